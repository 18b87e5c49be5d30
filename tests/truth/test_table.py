import json
import time
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bench.truth.checks import Expected, Known, Optimum, SeedCount, verify
from bench.truth.table import Measure, Source, Table, default_target, load_or_build
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

TEST = Measure("digits", "test", 5)


def test_means_and_counts(small_table):
    values = small_table.accuracy("digits", "test", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = np.nanmean(values.astype(np.float64), axis=1)
    found = small_table.mean_accuracy("digits", "test", 5)
    np.testing.assert_allclose(found, expected, atol=6e-7)
    assert np.isnan(found[5])
    counts = small_table.seed_counts("digits", "test", 5)
    assert (counts[0], counts[1], counts[5]) == (2, 3, 0)
    assert counts.sum() == np.isfinite(values).sum()
    np.testing.assert_allclose(small_table.mean_loss("digits", "test", 5), small_table.loss("digits", "test", 5)[:, 0])
    np.testing.assert_allclose(
        small_table.mean_train_seconds("digits"), small_table.train_seconds["digits"].mean(axis=1), rtol=1e-6
    )


def test_the_same_number_of_right_answers_is_a_tie(small_table):
    accuracy = np.full((15_625, 3), np.nan, np.float32)
    accuracy[0] = [0.9375, 0.9362, 0.9361]
    accuracy[1] = [0.9370, 0.9365, 0.9363]
    means = replace(small_table, measures={TEST: accuracy}, seeds={}).mean(TEST)
    assert means[0] == means[1]


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (Measure("digitz", "test", 5), "table 'made-up': unknown data set 'digitz'; did you mean 'digits'? "),
        (Measure("digits", "tset", 5), "table 'made-up', digits: unknown split 'tset'; did you mean 'test'? "),
        (Measure("digits", "valid", 9, "loss"), "table 'made-up', digits, valid: unknown kind 'loss'; "),
        (Measure("digits", "test", 200), "table 'made-up', digits, test, accuracy: unknown number of epochs '200'; "),
    ],
)
def test_absent_measure_names_what_there_is(small_table, measure, message):
    with pytest.raises(UserError) as raised:
        small_table.values(measure)
    assert str(raised.value).startswith(message)
    assert "available: " in str(raised.value)


def test_longest_and_shortest_schedule(small_table):
    values = small_table.values(TEST)
    measures = {Measure("digits", "test", epochs): values for epochs in (12, 5, 200)}
    table = replace(small_table, measures={**measures, Measure("digits", "test", 300, "loss"): values}, seeds={})
    assert table.longest("digits", "test") == Measure("digits", "test", 200)
    assert table.longest("digits", "test", "loss") == Measure("digits", "test", 300, "loss")
    assert table.shortest("digits", "test") == Measure("digits", "test", 5)
    assert default_target(table, "digits") == Measure("digits", "test", 200)
    assert default_target(table, "digits", epochs=12) == Measure("digits", "test", 12)
    for find in (table.longest, table.shortest, partial(default_target, table)):
        with pytest.raises(UserError, match="table 'made-up': unknown data set 'digitz'; did you mean 'digits'"):
            find("digitz", "test")
        with pytest.raises(UserError, match="table 'made-up', digits: unknown split 'valid'; available: test"):
            find("digits", "valid")
    with pytest.raises(UserError, match="unknown number of epochs '13'; "):
        default_target(table, "digits", epochs=13)


def test_the_search_space_is_known(small_table):
    assert small_table.space is TOPOLOGY
    with pytest.raises(UserError, match="unknown search space 'nas-bench-2O1'; did you mean 'nas-bench-201'"):
        replace(small_table, search_space="nas-bench-2O1")


def test_absent_training_run(small_table):
    with pytest.raises(UserError, match="unknown training run 'cifar10'; available: digits"):
        small_table.mean_train_seconds("cifar10")


def test_round_trip(small_table, tmp_path):
    table = replace(small_table, sources=(Source("a", "b", "c", "MIT", "é"),))
    path = tmp_path / "folder" / "table.npz"
    table.save(path)
    again = Table.load(path)
    assert again.checksum == table.checksum
    assert (again.name, again.search_space, again.sources) == (table.name, table.search_space, table.sources)
    assert again.seeds == table.seeds
    for group in ("measures", "train_seconds", "parameters", "flops"):
        ours, theirs = getattr(table, group), getattr(again, group)
        assert ours.keys() == theirs.keys()
        for key, values in ours.items():
            np.testing.assert_array_equal(values, theirs[key])
            assert values.dtype == theirs[key].dtype
    assert [file.name for file in path.parent.iterdir()] == ["table.npz"]  # no temporary file stays


def test_the_same_table_gives_the_same_bytes(small_table, tmp_path):
    for name in ("a", "b"):
        small_table.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_checksum_is_of_the_content(small_table):
    assert replace(small_table, sources=(Source("a", "", "", ""),)).checksum == small_table.checksum
    assert replace(small_table, name="other").checksum != small_table.checksum
    changed = small_table.accuracy("digits", "test", 5).copy()
    changed[7, 0] += np.float32(1e-6)
    measures = {**small_table.measures, TEST: changed}
    assert replace(small_table, measures=measures).checksum != small_table.checksum
    other_nan = small_table.accuracy("digits", "test", 5).copy()
    other_nan[np.isnan(other_nan)] = np.uint32(0xFFC00001).view(np.float32)
    assert replace(small_table, measures={**small_table.measures, TEST: other_nan}).checksum == small_table.checksum


def test_failed_write_leaves_the_old_file(small_table, tmp_path, monkeypatch):
    path = tmp_path / "table.npz"
    small_table.save(path)
    before = path.read_bytes()

    def fails(*_args, **_arrays):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(OSError, match="disk full"):
        replace(small_table, name="other").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_loads_at_once(small_table, tmp_path):
    path = tmp_path / "table.npz"
    small_table.save(path)
    seconds = []
    for _ in range(5):  # the best of some, as other processes may be running
        start = time.perf_counter()
        Table.load(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.05
    assert path.stat().st_size < 20e6


def test_arrays_are_read_only(small_table, tmp_path):
    small_table.save(tmp_path / "t")
    for table in (small_table, Table.load(tmp_path / "t")):
        with pytest.raises(ValueError, match="read-only"):
            table.accuracy("digits", "test", 5)[0] = 1
        with pytest.raises(TypeError):
            table.measures[TEST] = None


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(UserError, match="there is no table file"):
        Table.load(tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "format.npz", about=np.array('{"format": 99}'))
    for name in ("text", "other.npz", "pickle.npy"):
        with pytest.raises(UserError, match="is not a table file"):
            Table.load(tmp_path / name)
    with pytest.raises(UserError, match="has format 99, not 1"):
        Table.load(tmp_path / "format.npz")


def test_a_changed_bit_is_noticed(small_table, tmp_path):
    path = tmp_path / "t.npz"
    small_table.save(path)
    content = path.read_bytes()
    with np.load(path) as file:
        about, where = str(file["about"]), content.index(small_table.values(TEST)[100:120].tobytes())
    text = about.encode("utf-32-le")
    for at in (
        where + 3,
        content.index(text) + 4 * about.index("measures"),
        content.index(text) + 4 * about.index('"seeds"'),
    ):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        with pytest.raises(UserError, match="delete it and build it again") as raised:
            Table.load(path)
        assert "\n" not in str(raised.value)


def rewritten(path, **changes):
    """The file with other arrays, and with a right checksum of the archive format around each."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files} | changes
    np.savez(path, **{key: values for key, values in arrays.items() if values is not None})


def test_other_numbers_under_the_same_checksum_are_refused(small_table, tmp_path):
    path = tmp_path / "t.npz"
    small_table.save(path)
    with np.load(path) as file:
        column, about = file["column0"], str(file["about"])
    other = column.copy()
    other[3, 0] += np.float32(1e-6)
    rewritten(path, column0=other)
    with pytest.raises(UserError, match=r"t\.npz is damaged, .*: delete it and build it again"):
        Table.load(path)
    rewritten(path, column0=column)
    assert Table.load(path).checksum == small_table.checksum
    rewritten(path, about=np.array(about.replace("made-up", "made-in")))
    with pytest.raises(UserError, match="is damaged"):
        Table.load(path)


def test_files_of_earlier_versions_have_no_checksum(small_table, tmp_path):
    path = tmp_path / "t.npz"
    small_table.save(path)
    with np.load(path) as file:
        about = json.loads(str(file["about"]))
    del about["checksum"]
    rewritten(path, about=np.array(json.dumps(about)), digest=None)
    assert Table.load(path).checksum == small_table.checksum


def test_wrong_shapes_are_refused(small_table):
    with pytest.raises(UserError, match=r"is float32 \(10, 3\), not 15625 rows"):
        replace(small_table, measures={TEST: np.zeros((10, 3), np.float32)}, seeds={})


def test_built_once(small_table, tmp_path):
    path = tmp_path / "t.npz"
    assert load_or_build(path, lambda: small_table) is small_table
    assert load_or_build(path, lambda: pytest.fail("built again")).checksum == small_table.checksum


def _facts(table):
    means = table.mean(TEST)
    best = int(np.nanargmax(means))
    return means, best


def test_verify_accepts_the_truth_and_names_each_lie(small_table):
    means, best = _facts(small_table)
    valid = Measure("digits", "valid", 9)
    valid_means = small_table.mean(valid)
    top = int(valid_means.argmax())
    good = Expected(
        known=(Known(TEST, 7, float(means[7])),),
        optima=(Optimum(valid, (top,), float(valid_means[top])),),
        seed_counts=(SeedCount(TEST, 0, 1),),
    )
    verify(small_table, good)
    lies = {
        "of index 7 is": Expected(known=(Known(TEST, 7, 0.0),)),
        "of index 5 is nan": Expected(known=(Known(TEST, 5, 0.5),)),
        "is missing for 1 of 15,625": Expected(optima=(Optimum(TEST, (best,), float(means[best])),)),
        "the best digits valid accuracy after 9 epochs is": Expected(optima=(Optimum(valid, (top,), 0.5),)),
        r"is at index \(\d+,\), not \(3,\)": Expected(optima=(Optimum(valid, (3,), float(valid_means[top])),)),
        "has 1 architectures with 0 seeds, not 8,169": Expected(seed_counts=(SeedCount(TEST, 0, 8_169),)),
    }
    for message, expected in lies.items():
        with pytest.raises(UserError, match=message):
            verify(small_table, expected)


@pytest.mark.parametrize("value", [-0.1, 1.5, 94.37, np.inf])
def test_verify_refuses_values_out_of_range(small_table, value):
    accuracy = small_table.accuracy("digits", "test", 5).copy()
    accuracy[3, 0] = value
    with pytest.raises(UserError, match=r"leaves the range 0\.\.1"):
        verify(replace(small_table, measures={TEST: accuracy}), Expected())
