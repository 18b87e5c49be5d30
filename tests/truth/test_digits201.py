import signal
import sys
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from bench.digits201 import build as build
from bench.digits201 import reliability as quality
from bench.truth import Measure, load_table
from bench.truth.sources.digits201 import PATH, PROTOCOL, Protocol, load, packaged_or_checkout_path
from mngnas.errors import UserError
from mngnas.spaces import topology as space
from mngnas.spaces.topology import TOPOLOGY

TINY = Protocol(channels=2, steps_per_epoch=2, epochs=(1, 2), chunk=3)
ROOT = Path(__file__).parent.parent.parent


def train(directory: Path, seeds=build.SEEDS, limit=None, **options) -> build.Progress:
    """Train what `directory` lacks of the tiny benchmark."""
    options = {"protocol": TINY} | options
    tasks = build.chunks(seeds, limit, options["protocol"])
    build.train_chunks(directory, tasks, **options)
    return build.progress_of(directory, tasks)


def bits(directory: Path) -> dict[str, bytes]:
    """What decides the table, by chunk."""
    found = {}
    for path in directory.glob("*.npz"):
        with np.load(path) as chunk:
            found[path.name] = b"".join(chunk[key].tobytes() for key in ("archs", "accuracy", "loss"))
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Seeds 0 and 2 of the first six classes."""
    directory = tmp_path_factory.mktemp("built")
    done = train(directory, seeds=(0, 2), limit=5)
    assert (done.done, done.wanted) == (12, 12)
    return directory


# ------------------------------------------------------------------------------------------------------- building


def test_order_of_the_build():
    order = build.representatives()
    assert set(order) == set(space.benchmark_classes())
    assert len(order) == 6_466
    assert order[:4].tolist() == [6464, 187, 422, 13507]  # a finished part of an earlier build stays usable
    # A prefix is a fair sample: its cells hold as many 3x3 convolutions as all classes do, within 4 standard errors.
    threes = (TOPOLOGY.all_archs[order] == space.CONV_3X3).sum(axis=1)
    assert abs(threes[:500].mean() - threes.mean()) < 4 * threes.std() / 500**0.5


def test_chunks_do_not_depend_on_seeds_or_limit(built, tmp_path):
    assert sorted(bits(built)) == [f"seed{s}-chunk{c:04}.npz" for s in (0, 2) for c in (0, 1)]
    train(tmp_path, seeds=(2,), limit=3)
    assert bits(tmp_path) == {"seed2-chunk0000.npz": bits(built)["seed2-chunk0000.npz"]}
    first = build.representatives()[:3].astype(np.int32)
    assert bits(tmp_path)["seed2-chunk0000.npz"].startswith(first.tobytes())
    assert {path.suffix for path in built.iterdir()} == {".npz"}


def test_seeds_differ(built):
    first, second = (np.load(built / f"seed{seed}-chunk0000.npz")["loss"] for seed in (0, 2))
    assert (np.abs(first - second) > 1e-6).any()


def test_number_of_threads_changes_nothing(built, tmp_path):
    torch.set_num_threads(2)
    try:
        train(tmp_path, seeds=(0,), limit=3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert bits(tmp_path) == {"seed0-chunk0000.npz": bits(built)["seed0-chunk0000.npz"]}


def test_goes_on_after_a_kill_with_the_same_bits(built, tmp_path, start):
    code = (
        "from pathlib import Path; from bench.digits201.build import chunks, train_chunks; "
        f"from bench.truth.sources.digits201 import Protocol; tiny = {TINY!r}; "
        f"train_chunks(Path({str(tmp_path)!r}), chunks((0, 2), 3000, tiny), protocol=tiny)"
    )
    process = start([sys.executable, "-c", code], cwd=ROOT)
    while len(bits(tmp_path)) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = {path: path.stat().st_mtime_ns for path in tmp_path.glob("seed*.npz")}
    (tmp_path / "seed0-chunk0001.npz").unlink()
    del begun[tmp_path / "seed0-chunk0001.npz"]
    done = train(tmp_path, seeds=(0, 2), limit=6)
    assert done.done == done.wanted == 12
    again = bits(tmp_path)
    assert {name: again[name] for name in bits(built)} == bits(built)
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in begun.items())  # nothing is trained twice


def test_parts_of_the_work_make_the_whole(built, tmp_path):
    """Two workers, each with chunks of its own, in any order; one of them is asked for a chunk that is finished."""
    tasks = build.chunks((0, 2), 6, TINY)
    assert [(task.seed, task.number) for task in tasks] == [(0, 0), (2, 0), (0, 1), (2, 1)]
    told = []
    build.train_chunks(tmp_path, tasks[1::2], told.append, protocol=TINY)
    assert told == sorted(told)
    assert told[-1] == 1
    assert build.progress_of(tmp_path, tasks) == build.Progress(6, 12)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    told.clear()
    build.train_chunks(tmp_path, [*tasks[::2], tasks[1]], told.append, protocol=TINY)
    assert told == sorted(told)
    assert told[-1] == 1
    assert bits(tmp_path) == bits(built)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())  # nothing is trained twice


def test_seeds_are_trained_in_the_same_company_whoever_is_missing():
    groups = build.together(build.chunks((7, 3, 1, 4), 6, TINY))
    assert [[(task.number, task.seed, task.company) for task in group] for group in groups] == [
        [(0, 7, (4, 5, 6, 7)), (0, 4, (4, 5, 6, 7))],
        [(0, 3, (0, 1, 2, 3)), (0, 1, (0, 1, 2, 3))],
        [(1, 7, (4, 5, 6, 7)), (1, 4, (4, 5, 6, 7))],
        [(1, 3, (0, 1, 2, 3)), (1, 1, (0, 1, 2, 3))],
    ]


def test_mistakes(built, tmp_path):
    with pytest.raises(UserError, match="limit 0 is not a positive number"):
        train(tmp_path, limit=0)
    other = replace(TINY, noise=0.4)
    with pytest.raises(UserError, match=f"of another protocol .{TINY.checksum}, not {other.checksum}.: choose another"):
        train(built, limit=3, protocol=other)
    with pytest.raises(UserError, match="of another protocol"):
        build.assemble(built)
    with pytest.raises(UserError, match=r"no finished trainings in .*: run `data build digits201` first"):
        build.assemble(tmp_path, TINY)
    (tmp_path / "seed0-chunk0000.npz").write_bytes(b"half a file")
    with pytest.raises(UserError, match=r"seed0-chunk0000\.npz is not a chunk of trainings"):
        train(tmp_path, limit=3)
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device 'cuda': PyTorch sees no CUDA device here"):
            train(tmp_path / "new", limit=3, device="cuda")


@pytest.mark.gpu
def test_on_a_gpu(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    train(tmp_path, seeds=(0,), limit=3, device="cuda")
    table = build.assemble(tmp_path, TINY)
    assert np.isfinite(table.accuracy("digits", "test", 2)).sum() >= 3
    assert table.sources[0].note.endswith("cuda")


# ------------------------------------------------------------------------------------------------------ the table


def test_table_of_a_part(built, tmp_path):
    table = build.assemble(built, TINY)
    trained = build.representatives()[:6]
    shared = np.isin(space.benchmark_classes(), trained)
    assert shared.sum() > 6  # other members of the classes
    assert len(table.measures) == 8
    for measure, values in table.measures.items():
        assert values.shape == (15_625, 2)
        np.testing.assert_array_equal(np.isfinite(values), shared[:, None].repeat(2, 1))
        np.testing.assert_array_equal(values, values[space.benchmark_classes()])
        assert table.seeds[measure] == (0, 2)
    with np.load(built / "seed2-chunk0001.npz") as chunk:
        for i, arch in enumerate(trained[3:]):
            assert table.accuracy("digits", "test", 2)[arch, 1] == chunk["accuracy"][1, 1, i]
            assert table.loss("digits", "valid", 1)[arch, 1] == chunk["loss"][0, 0, i]
    assert (table.train_seconds["digits"][shared] > 0).all()
    assert TINY.checksum in table.sources[0].note
    assert torch.__version__ in table.sources[0].note
    table.save(tmp_path / "digits201.npz")
    assert load(tmp_path).checksum == load(tmp_path / "digits201.npz").checksum == table.checksum


def test_a_build_goes_on_from_a_table(built, tmp_path):
    table = build.assemble(built, TINY)
    build.unpack(table, tmp_path, TINY)
    assert bits(tmp_path) == bits(built)
    assert build.assemble(tmp_path, TINY).checksum == table.checksum
    done = train(tmp_path, seeds=(0, 2), limit=7)
    assert (done.done, done.wanted) == (18, 18)
    more = build.assemble(tmp_path, TINY)
    known = np.isfinite(table.mean(Measure("digits", "test", 2)))
    for measure, values in table.measures.items():
        np.testing.assert_array_equal(more.values(measure)[known], values[known])
    assert np.isfinite(more.mean(Measure("digits", "test", 2))).sum() > known.sum()
    with pytest.raises(UserError, match="the table was made with another protocol"):
        build.unpack(table, tmp_path)


def test_a_build_goes_on_from_what_was_collected(built, tmp_path):
    """In a fresh folder, with the same bits; what is there already stays."""
    assert build.collect(built, tmp_path / "progress.npz", TINY) == 12
    work = tmp_path / "work"
    train(work, seeds=(2,), limit=3)
    times = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    build.spread(tmp_path / "progress.npz", work, TINY)
    assert bits(work) == bits(built)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert build.assemble(work, TINY).checksum != build.assemble(work, TINY, (0,)).checksum
    for path in built.glob("seed*.npz"):
        with np.load(path) as ours, np.load(work / path.name) as again:
            assert set(ours) == set(again)
            assert ours["torch"] == again["torch"]
            assert path.name in {one.name for one in times} or ours["seconds"] == again["seconds"]
    with pytest.raises(UserError, match="no finished trainings"):
        build.collect(tmp_path / "nowhere", tmp_path / "nothing.npz", TINY)
    with pytest.raises(UserError, match="of another protocol"):
        build.spread(tmp_path / "progress.npz", work)


def test_classes_count_with_all_seeds_and_none_is_lost(built, tmp_path):
    table = quality.finalise(built, tmp_path / "digits201.npz", TINY)
    build.unpack(table, tmp_path, TINY)
    train(tmp_path, seeds=(0,), limit=9)
    partly = build.representatives()[6:9]
    both = build.assemble(tmp_path, TINY)
    assert both.checksum == table.checksum  # a class that lacks one of the two seeds is not there
    assert np.isfinite(build.assemble(tmp_path, TINY, (0,)).accuracy("digits", "test", 2)[partly]).all()
    train(tmp_path, seeds=(1,), limit=3)
    lost = np.isin(space.benchmark_classes(), build.representatives()[3:6]).sum()
    for seeds, message in (((0, 1, 2), f"lose trainings of {lost:,} architectures"), ((0,), "lose trainings of")):
        with pytest.raises(UserError, match=message):
            quality.finalise(tmp_path, tmp_path / "digits201.npz", TINY, seeds)
    assert load(tmp_path).checksum == table.checksum
    train(tmp_path, seeds=(0, 1, 2), limit=9)
    found = quality.finalise(tmp_path, tmp_path / "digits201.npz", TINY)
    assert (
        np.isfinite(found.accuracy("digits", "test", 2)[build.representatives()]).sum(1)[:10] == [3] * 9 + [0]
    ).all()


def test_where_the_table_lies(tmp_path):
    """In a checkout at the root's data folder; in an installed wheel inside the package."""
    package = tmp_path / "site-packages" / "bench" / "truth"
    checkout = tmp_path / "site-packages" / "data" / "digits201" / "digits201.npz"
    packaged = package / "data" / "digits201.npz"
    assert packaged_or_checkout_path(package) == checkout  # what the message names
    for path in (packaged, checkout):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert packaged_or_checkout_path(package) == path
    assert PATH == ROOT / "data" / "digits201" / "digits201.npz"


def test_missing_and_foreign_tables(tmp_path, small_table):
    with pytest.raises(UserError, match=r"there is no table .*digits201.npz: take it from the repository, or make it"):
        load(tmp_path)
    small_table.save(tmp_path / "other.npz")
    with pytest.raises(UserError, match=r"other\.npz holds the table 'made-up', not 'digits201'"):
        load(tmp_path / "other.npz")


# -------------------------------------------------------------------------------------------------- how good it is


def made_up_table(seeds: int, noise: float, built: Path):
    """The accuracy of a class is one number plus noise by seed; the loss is its negative plus 3."""
    rng = np.random.default_rng(0)
    base = rng.random((15_625, 1)) * 0.5 + 0.2 + noise * rng.normal(size=(15_625, seeds))
    accuracy = base.astype(np.float32)[space.benchmark_classes()]
    accuracy[space.benchmark_classes() % 3 == 0, -1] = np.nan  # one seed is not finished
    table = build.assemble(built, TINY)
    measures = {quality.TARGET: accuracy, replace(quality.TARGET, kind="loss"): 3 - accuracy}
    return replace(table, measures=measures, seeds=dict.fromkeys(measures, tuple(range(seeds))))


def test_reliability_against_brute_force(built):
    table = made_up_table(4, 0.1, built)
    for measure in table.measures:
        live = np.unique([TOPOLOGY.to_index(space.live_graph(TOPOLOGY.from_index(i))) for i in range(15_625)])
        x = table.values(measure)[live].astype(np.float64)
        x, parameters = x[np.isfinite(x).all(1)], table.parameters["digits"][live][np.isfinite(x).all(1)]
        found = quality.reliability(table, measure)
        assert (found.n_arch, found.n_seed) == (len(x), 4)
        pairs = [kendalltau(x[:, i], x[:, j]).statistic for i, j in combinations(range(4), 2)]
        assert found.single == pytest.approx(np.mean(pairs), abs=1e-4)
        assert np.ptp(pairs) > 1e-4
        halves = [
            kendalltau(x[:, [0, i]].mean(1), x[:, [j for j in (1, 2, 3) if j != i]].mean(1)).statistic
            for i in (1, 2, 3)
        ]
        assert found.halves == pytest.approx(np.mean(halves), abs=1e-4)
        assert found.halves > found.single + 0.05
        sign = 1 if measure.kind == "accuracy" else -1
        assert found.parameters == pytest.approx(sign * kendalltau(parameters, x.mean(1)).statistic, abs=1e-4)
        assert found.sd_seed == pytest.approx(0.1, rel=0.05)
        assert found.sd_arch == pytest.approx(x.mean(1).std(), rel=1e-3)
    assert quality.summary(table).count("\n") == 3


def test_reliability_without_noise_and_with_one_seed(built):
    found = quality.reliability(made_up_table(3, 0.0, built))
    assert (found.single, found.halves, found.sd_seed) == pytest.approx((1, 1, 0))
    with pytest.raises(UserError, match="reliability needs two of two"):
        quality.reliability(made_up_table(1, 0.1, built))


def with_known_cells(table, good: float, skips: float, nothing: float):
    values = table.values(quality.TARGET).copy()
    for key, value in (("333333", good), ("111111", skips), ("000000", nothing)):
        values[TOPOLOGY.to_index(TOPOLOGY.from_key(key))] = value
    return replace(table, measures={quality.TARGET: values})


def test_known_cells(built):
    table = made_up_table(2, 0.0, built)
    quality.check_known_cells(with_known_cells(table, 0.65, 0.25, 0.1))
    for wrong, message in (
        ((0.3, 0.25, 0.1), "all 3x3 convolutions: digits test accuracy after 8 epochs is 0.300, not in"),
        ((0.65, 0.5, 0.1), "all skip connections: "),
        ((0.65, 0.25, 0.2), "no path from input to output: .* is 0.200, not in 0.050..0.150"),
    ):
        with pytest.raises(UserError, match=message):
            quality.check_known_cells(with_known_cells(table, *wrong))


def test_verification_of_a_small_build(built):
    table = build.assemble(built, TINY)
    found = quality.verify(4, table=table, protocol=TINY)
    assert set(found.archs) < set(build.representatives()[:6].tolist())
    assert found.n_training == 8
    assert found.difference < 0.5 * found.sd_seed  # few steps: rounding has not grown yet
    assert found.reproduces
    measure = Measure("digits", "test", 2)
    shifted = table.values(measure) + np.float32(3 * found.sd_seed)
    assert not quality.verify(4, table=replace(table, measures={measure: shifted}), protocol=TINY).reproduces
    signs = np.where(np.arange(15_625) % 2, 3, -3).astype(np.float32)  # no mean shift, but far off
    spread = table.values(measure) + signs[:, None] * np.float32(found.sd_seed)
    assert not quality.verify(4, table=replace(table, measures={measure: spread}), protocol=TINY).reproduces
    with pytest.raises(UserError, match="cannot verify 7 architectures: the table has 6 of 2 seeds"):
        quality.verify(7, table=table, protocol=TINY)


# ---------------------------------------------------------------------------------- the table of the repository


@pytest.fixture(scope="module")
def table():
    return load()


def test_loads_quickly_and_by_name(table):
    load_table("digits201")
    start = time.perf_counter()
    again = load_table("digits201")
    assert time.perf_counter() - start < 0.05
    assert again.checksum == table.checksum
    assert again.search_space == "nas-bench-201"
    assert PATH.stat().st_size < 6e6


def test_repository_table_is_what_it_says(table):
    assert PROTOCOL.checksum in table.sources[0].note
    assert {(m.dataset, m.split, m.epochs, m.kind) for m in table.measures} == {
        ("digits", split, epochs, kind)
        for split in ("valid", "test")
        for epochs in (3, 8)
        for kind in ("accuracy", "loss")
    }
    accuracy = table.accuracy("digits", "test", 8)
    assert accuracy.shape[1] >= 4
    assert np.isfinite(accuracy).all()
    np.testing.assert_array_equal(accuracy, accuracy[space.benchmark_classes()])
    pictures = accuracy.astype(np.float64) * 897
    np.testing.assert_allclose(pictures, pictures.round(), atol=1e-3)
    np.testing.assert_array_equal(
        table.parameters["digits"], TOPOLOGY.parameters(TOPOLOGY.all_archs, PROTOCOL.skeleton)
    )
    quality.check_known_cells(table)


def test_ranking_is_reproducible(table):
    found = quality.reliability(table)
    assert found.halves > 0.8
    assert found.parameters < 0.7


def test_retraining_reproduces_the_table():
    found = quality.verify(3)
    assert found.reproduces, found
