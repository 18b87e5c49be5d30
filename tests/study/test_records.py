"""Records and scores: exact, compact, and not to be changed unnoticed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.study.records import MethodRef, RunRecord
from bench.study.scores import Curve, RunScores, Scores, scores_digest, scores_from_arrays, scores_to_arrays
from bench.study.store import is_finished, load_run, load_runs, pack_runs, save_run
from mngnas.errors import UserError
from mngnas.methods.info import Column, Cost, Diary, DiaryLine, DiaryPanel, DiaryPlot, DiaryTable, Trace
from mngnas.spaces.topology import TOPOLOGY


def some_scores(n=30, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.choice(15_625, n, replace=False)
    curve_index = rng.choice(15_625, 4, replace=False)
    columns = {"accuracy": rng.integers(0, 41, n) / 40, "minus_loss": -rng.random(n)}
    curve = Curve(
        curve_index,
        np.array([0.0, 10.5]),
        np.array([0, 160]),
        np.array([0.0, 1.5]),
        np.array([0, 0]),
        {"accuracy": rng.integers(0, 41, (2, 4)) / 40, "minus_loss": -rng.random((2, 4))},
    )
    return RunScores(
        {"inherited": Scores(index, columns), "logits": Scores(index[:5], {"log_probability": -rng.random(5)})},
        curve,
        Trace([3, 4, 3], [0.5, 0.25, 0.5], [10.0, 11.0, 10.0]),
    )


def some_record(**changes):
    diary = Diary(
        {"a": 1.5, "b": None},
        "note",
        [DiaryTable("t", [Column("arch", "arch"), Column("x")], [[3, 0.5]], "how")],
        [DiaryPlot("p", "x", "y", [DiaryPanel("one", [DiaryLine("l", [1.0], [2.0])])], [0.5])],
    )
    record = RunRecord(
        method=MethodRef("mine", {"x": 2, "y": "word"}, "Mine", "supernet", "You 2026"),
        seed=3,
        benchmark="digits201",
        space="nas-bench-201",
        dataset="digits",
        images="digits",
        preset="my preset",
        changes=("training.passes=3",),
        config={"scoring": {"images": 40}, "mine": {"x": 2}},
        protocol=2,
        table_checksum="abc",
        steps=7,
        cost=Cost(12.5, 160, 1.5, 3),
        ranking_costs={"inherited": Cost(seconds=2.0)},
        proposal=(3, 4),
        oracle={"benchmark": "digits201"},
        diary=diary,
        device="cpu",
        versions={"torch": "2"},
        commit="c",
        dirty=False,
        started="2026-01-01T00:00:00+00:00",
        scores_sha256="",
    )
    return replace(record, **changes)


@pytest.fixture
def saved(tmp_path):
    directory = tmp_path / "study" / "mine-seed3"
    directory.mkdir(parents=True)
    save_run(directory, some_record(), some_scores(), 40)
    return directory


def assert_same_scores(one: RunScores, other: RunScores):
    assert list(one.rankings) == list(other.rankings)
    for name, ranking in one.rankings.items():
        np.testing.assert_array_equal(ranking.arch_index, other.rankings[name].arch_index)
        assert list(ranking.columns) == list(other.rankings[name].columns)
    np.testing.assert_array_equal(one.curve.passes, other.curve.passes)
    assert one.trace == other.trace


def test_what_is_saved_is_read_back(saved):
    run = load_run(saved)
    expected = some_record(scores_sha256=run.record.scores_sha256)
    assert run.record.to_json() == expected.to_json()
    assert run.record.diary.tables[0].columns[0] == Column("arch", "arch")
    found, given = run.scores, some_scores()
    assert_same_scores(found, given)
    accuracy = "inherited", "accuracy"
    np.testing.assert_array_equal(
        found.rankings[accuracy[0]].columns[accuracy[1]], given.rankings[accuracy[0]].columns[accuracy[1]]
    )
    np.testing.assert_array_equal(found.curve.columns["accuracy"], given.curve.columns["accuracy"])
    loss = given.rankings["inherited"].columns["minus_loss"]
    np.testing.assert_array_equal(found.rankings["inherited"].columns["minus_loss"], loss.astype(np.float32))


def test_counts_are_stored_as_counts():
    stored = scores_to_arrays(some_scores(), TOPOLOGY, 40)
    assert stored["ranking/inherited/column/accuracy"].dtype == np.uint8
    assert stored["ranking/inherited/arch_index"].dtype == np.uint16
    assert stored["ranking/inherited/column/minus_loss"].dtype == np.float32
    assert "ranking/inherited/of/minus_loss" not in stored
    odd = some_scores()
    odd.rankings["inherited"].columns["accuracy"][0] = 0.123456
    assert scores_to_arrays(odd, TOPOLOGY, 40)["ranking/inherited/column/accuracy"].dtype == np.float32


@pytest.mark.parametrize("images", [1, 3, 7, 150, 300, 1000, 10_000, 25_000])
def test_every_count_comes_back_as_the_same_fraction(images):
    accuracy = np.arange(images + 1) / images
    scores = RunScores({"r": Scores(np.arange(images + 1) % 15_625, {"accuracy": accuracy})})
    stored = scores_to_arrays(scores, TOPOLOGY, images)
    np.testing.assert_array_equal(scores_from_arrays(stored, TOPOLOGY).rankings["r"].columns["accuracy"], accuracy)


def test_scores_that_follow_the_canonical_form_are_stored_once():
    index = np.random.default_rng(0).permutation(15_625)
    by_form = np.random.default_rng(1).integers(0, 41, 15_625) / 40
    accuracy = by_form[TOPOLOGY.canonical_indices[index]]
    loss = accuracy - 1
    stored = scores_to_arrays(RunScores({"r": Scores(index, {"accuracy": accuracy, "minus_loss": loss})}), TOPOLOGY, 40)
    assert stored["ranking/r/column/accuracy"].shape == stored["ranking/r/column/minus_loss"].shape == (9_445,)
    found = scores_from_arrays(stored, TOPOLOGY).rankings["r"]
    np.testing.assert_array_equal(found.arch_index, index)
    np.testing.assert_array_equal(found.columns["accuracy"], accuracy)
    np.testing.assert_array_equal(found.columns["minus_loss"], loss.astype(np.float32))
    loss[np.flatnonzero(~TOPOLOGY.connected[index])[0]] -= 0.5  # one of 341 is no longer like the others
    stored = scores_to_arrays(RunScores({"r": Scores(index, {"accuracy": accuracy, "minus_loss": loss})}), TOPOLOGY, 40)
    assert stored["ranking/r/column/accuracy"].shape == (15_625,)
    found = scores_from_arrays(stored, TOPOLOGY).rankings["r"].columns["minus_loss"]
    np.testing.assert_array_equal(found, loss.astype(np.float32))


def test_the_digest_sees_every_number_but_the_clock():
    stored = scores_to_arrays(some_scores(), TOPOLOGY, 40)
    assert scores_digest(stored | {"curve/seconds": stored["curve/seconds"] + 1}) == scores_digest(stored)
    for name, values in stored.items():
        if name == "curve/seconds" or not values.size:
            continue
        changed = values.copy()
        changed.flat[0] = changed.flat[0] + 1 if changed.dtype != bool else not changed.flat[0]
        assert scores_digest(stored | {name: changed}) != scores_digest(stored), name
        assert scores_digest({key: v for key, v in stored.items() if key != name}) != scores_digest(stored), name


def test_records_are_not_overwritten(saved):
    with pytest.raises(UserError, match=r"records are not overwritten"):
        save_run(saved, some_record(), some_scores(), 40)


def edit(path: Path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(seed=4),
        lambda c: c["cost"].update(passes=1.0),
        lambda c: c.update(dirty=True),
        lambda c: c["config"]["mine"].update(x=3),
        lambda c: c["method"].update(changes={}),
        lambda c: c.update(scores_sha256="0" * 64),
        lambda c: c["diary"]["numbers"].update(a=2.5),
    ],
)
def test_an_edited_record_is_refused(saved, change):
    edit(saved / "record.json", change)
    with pytest.raises(UserError, match=r"it was changed after it was written"):
        load_run(saved)


def test_changed_scores_are_refused(saved):
    stored = dict(np.load(saved / "scores.npz"))
    stored["ranking/inherited/column/accuracy"][3] ^= 1
    np.savez(saved / "scores.npz", **stored)
    with pytest.raises(UserError, match=r"are not those that its record describes"):
        load_run(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 99}', "has format 99, not 2"),
        ('{"format": 2}', "does not hold a readable run"),
        ("{", "is not readable"),
        ("[]", "holds no record"),
        ("[" * 100_000, "is not readable"),
    ],
)
def test_files_that_are_no_records(saved, content, message):
    (saved / "record.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_run(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        (Scores(np.array([1, 1]), {"accuracy": np.array([0.5, 0.5])}), "are not different ones of 0..15624"),
        (Scores(np.array([1, 2]), {"accuracy": np.array([0.5, 1.5])}), "an accuracy is outside 0..1"),
    ],
)
def test_scores_that_cannot_be(tmp_path, ranking, message):
    save_run(tmp_path, some_record(), RunScores({"r": ranking}), 40)
    with pytest.raises(UserError, match=message):
        load_run(tmp_path)


def test_scores_of_the_wrong_shape(tmp_path):
    save_run(tmp_path, some_record(), RunScores({"r": Scores(np.arange(3), {"accuracy": np.zeros(2)})}), 40)
    with pytest.raises(UserError, match=r"has the shape \[2\], not \[3\]"):
        load_run(tmp_path)


def test_a_study_packed_is_the_same_study(tmp_path):
    study = tmp_path / "study"
    for seed in range(3):
        directory = study / f"mine-seed{seed}"
        directory.mkdir(parents=True)
        save_run(directory, some_record(seed=seed), some_scores(seed=seed), 40)
        (directory / "method.pt").write_bytes(b"x" * 1000)
    before = load_runs(study)
    assert pack_runs(study) == 3
    assert {path.name for path in study.iterdir()} == {"runs.npz"}
    after = load_runs(study)
    for one, other in zip(before, after, strict=True):
        assert one.record.to_json() == other.record.to_json()
        assert one.directory == other.directory
        assert_same_scores(one.scores, other.scores)
    assert is_finished(study / "mine-seed1")
    assert not is_finished(study / "mine-seed9")
    assert load_run(study / "mine-seed1").record.seed == 1

    late = study / "mine-seed8"  # more runs later, packed again
    late.mkdir()
    save_run(late, some_record(seed=8), some_scores(seed=8), 40)
    assert [run.record.seed for run in load_runs(study)] == [0, 1, 2, 8]
    assert pack_runs(study) == 4
    assert [run.record.seed for run in load_runs(study)] == [0, 1, 2, 8]


def test_a_packed_study_that_was_changed_is_refused(saved):
    study = saved.parent
    pack_runs(study)
    stored = dict(np.load(study / "runs.npz"))
    changed = stored["records"].tobytes().replace(b'"seed": 3', b'"seed": 5')
    np.savez(study / "runs.npz", **(stored | {"records": np.frombuffer(changed, np.uint8)}))
    with pytest.raises(UserError, match=r"it was changed after it was written"):
        load_runs(study)


@pytest.mark.parametrize("content", [b"", b"PK", b"{}", b"x" * 5000])
def test_a_packed_file_that_is_none_is_one_line(tmp_path, content):
    (tmp_path / "runs.npz").write_bytes(content)
    for read in (load_runs, lambda study: load_run(study / "mine-seed3"), lambda study: is_finished(study / "a")):
        with pytest.raises(UserError, match=r"runs\.npz does not hold readable runs") as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


def test_names_and_labels():
    ref = MethodRef("m", {"a": 1.0, "b": "word", "c": True}, "M")
    assert ref.variant == "m[a=1.0,b=word,c=true]"
    assert ref.full_label == "M [a=1.0, b=word, c=true]"
    assert MethodRef("m").full_label == "m"


OLD = {
    "benchmark": "digits201",
    "commit": "c",
    "config": {"training": {"passes": 5}},
    "dataset": "digits",
    "device": "cpu",
    "diagnostics": {"rounds": []},
    "dirty": False,
    "format": 1,
    "images": "digits",
    "images_seen": 10,
    "passes": 5.0,
    "preset": "digits training.passes=5",
    "protocol": 1,
    "retraining_passes": 3.0,
    "retraining_seconds": 0.5,
    "score_seconds": 2.0,
    "seed": 4,
    "started": "2026-01-01T00:00:00+00:00",
    "steps": 5,
    "strategy": "mngnas-uniform",
    "table_checksum": "t",
    "train_seconds": 1.0,
    "versions": {},
}


def old_arrays():
    index, two = np.arange(3), np.arange(2)
    found = {"curve_arch_index": two, "curve_passes": np.array([0.0, 5.0]), "curve_images": np.array([0, 10])}
    found |= {"curve_seconds": np.zeros(2), "curve_accuracy": np.zeros((2, 2)), "curve_loss": np.ones((2, 2))}
    for name in ("retrained", "inherited"):
        found |= {f"{name}_arch_index": index, f"{name}_accuracy": np.full(3, 0.5), f"{name}_loss": np.arange(3.0)}
    return found


def old_run(directory: Path, **changes):
    from bench.study.former_records import _digest

    directory.mkdir(parents=True)
    np.savez(directory / "scores.npz", **old_arrays())
    (directory / "record.json").write_text(json.dumps(OLD | {"scores_sha256": _digest(old_arrays())} | changes))
    return directory


def test_records_of_format_1_are_read(tmp_path):
    run = load_run(old_run(tmp_path / "study" / "mngnas-uniform-seed4"))
    record = run.record
    assert record.method.variant == "mngnas[coefficients=uniform,perturbation=off]"
    assert (record.method.label, record.preset, record.changes) == ("MNGNAS", "digits", ("training.passes=5",))
    assert record.cost == Cost(5.0, 10, 1.0)
    assert record.ranking_costs == {"inherited": Cost(seconds=2.0), "retrained": Cost(3.0, 0, 0.5)}
    assert list(run.scores.rankings) == ["inherited", "retrained"]
    np.testing.assert_array_equal(run.scores.rankings["inherited"].columns["minus_loss"], [0, -1, -2])
    pack_runs(tmp_path / "study")
    assert load_runs(tmp_path / "study")[0].record.method.variant == record.method.variant


def test_a_method_of_format_1_that_nobody_knows(tmp_path):
    record = load_run(old_run(tmp_path / "run", strategy="somebody's")).record
    assert (record.method.name, record.method.changes, record.method.full_label) == ("somebody's", {}, "somebody's")


def test_changed_scores_of_format_1_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"are not those that its record describes"):
        load_run(old_run(tmp_path / "run", scores_sha256="0" * 64))
