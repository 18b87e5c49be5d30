"""The numbers behind the names of random streams: another number would change every result that there is."""

import ast
from pathlib import Path

import numpy as np
import pytest

import mngnas
from mngnas import seeds
from mngnas.seeds import Sample, Stream, generator, sample_generator
from tests.methods.cases import make_task

ROOT = Path(mngnas.__file__).resolve().parent
SOURCES = sorted(ROOT.rglob("*.py"))
FIRST = 1_000_003


def same(one, other):
    return one.integers(0, 2**60, 8).tolist() == other.integers(0, 2**60, 8).tolist()


@pytest.mark.parametrize("seed", [0, 7, 1_000_000_007])
@pytest.mark.parametrize(
    ("stream", "number"),
    [
        (Stream.PICTURE_ORDER, 0),
        (Stream.AUGMENTATION, 1),
        (Stream.SCORING_NOISE, 2),
        (Stream.STEP, 3),
        (Stream.ARCHITECTURE_PARAMETERS, 4),
        (Stream.ORACLE, 5),
        (Stream.METHOD, 6),
    ],
)
def test_streams_have_their_numbers(stream, number, seed):
    assert stream == number
    for place in ((), (0,), (41,), (3, 9)):
        assert same(generator(seed, stream, *place), np.random.default_rng([seed, number, *place]))


def test_streams_differ():
    first = {stream: tuple(generator(1, stream, 2).integers(0, 2**60, 4)) for stream in Stream}
    assert len(set(first.values())) == len(Stream) == 8
    assert not same(generator(1, Stream.STEP, 2), generator(1, Stream.STEP, 3))
    assert not same(generator(1, Stream.STEP, 2), generator(2, Stream.STEP, 2))


@pytest.mark.parametrize(
    ("sample", "number"),
    [(Sample.CURVE, 0), (Sample.FINAL, 1), (Sample.RETRAINED, 2), (Sample.PICTURES, 0), (Sample.BRIEF, 0)],
)
def test_samples_have_their_numbers(sample, number):
    assert same(sample_generator(sample), np.random.default_rng(number))


def test_the_first_draws_of_some_streams():
    """Written down, so that a change of numpy's generators is seen, too."""
    assert generator(0, Stream.STEP, 0).integers(0, 1000, 6).tolist() == [503, 894, 954, 860, 697, 321]
    assert generator(3, Stream.PICTURE_ORDER, 1).permutation(10).tolist() == [3, 8, 9, 7, 4, 6, 1, 2, 0, 5]
    assert sample_generator(Sample.FINAL).choice(15_625, 5, replace=False).tolist() == [7995, 544, 11797, 14850, 7391]


def test_seeds_of_batches_and_weights():
    assert seeds.further_batches(5, 0) == 5 + FIRST
    assert seeds.further_batches(5, 16) == 5 + 17 * FIRST
    assert seeds.retraining_batches(5) == 500_000_008
    assert seeds.validation_batches(5) == 700_000_006
    assert seeds.stand_alone_weights(201, 1234) == 201 * FIRST + 1234
    assert seeds.BRIEF_TRAINING == 1_000_000_007


def test_seeds_do_not_meet():
    """Of ten thousand steps of the first thousand runs, and of what they take besides."""
    runs = range(1000)
    further = {seeds.further_batches(seed, step) for seed in (0, 1, 999) for step in range(10_000)}
    special = {f(seed) for seed in runs for f in (seeds.retraining_batches, seeds.validation_batches)}
    assert len(special) == 2000
    assert not further & set(runs)
    assert not special & set(runs)
    assert len({seeds.stand_alone_weights(s, i) for s in (0, 1, 2) for i in range(15_625)}) == 3 * 15_625


def test_a_tasks_batches_are_of_the_named_streams():
    task = make_task(seed=2)
    order = np.random.default_rng([2, 0, 0]).permutation(160)
    assert task.training_batch(3).labels.tolist() == task.images.train.labels[order[48:64]].tolist()
    valid = np.random.default_rng([2 + 700_000_001, 0, 0]).permutation(40)
    assert task.validation_batch(1).labels.tolist() == task.images.valid.labels[valid[16:32]].tolist()


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nobody_else_makes_a_generator():
    """But the fixed split of pictures, which is a matter of the data and no run's."""
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in SOURCES
        for name, _ in calls(path)
        if name.split(".")[-1] in ("default_rng", "RandomState", "SeedSequence", "Generator", "PCG64")
        and not name.startswith("torch.")
    }
    assert found == {("seeds.py", "np.random.default_rng"), ("data/datasets.py", "np.random.default_rng")}
    splits = [ast.unparse(node) for name, node in calls(ROOT / "data/datasets.py") if name.endswith("default_rng")]
    assert splits == ["np.random.default_rng(0)"]


def test_nobody_else_adds_to_a_seed():
    """A number that turns one seed into another has a name, and its place is `seeds`."""
    for path in SOURCES:
        if path.name == "seeds.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp):
                text = ast.unparse(node)
                numbers = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is int]
                assert not ("seed" in text and numbers), f"{path}: {text}"
            if isinstance(node, ast.Constant) and type(node.value) is int:
                assert node.value not in (1_000_003, 1_000_000_007, 500_000_003), f"{path}: {node.value}"


def test_torchs_generators_are_seeded_by_what_was_handed_in():
    """Never by a number in the code."""
    found = [(path, node) for path in SOURCES for name, node in calls(path) if name.endswith("manual_seed")]
    assert found
    assert {path.parent.name for path, _ in found} <= {"nets", "data", "methods"}
    for path, node in found:
        assert not any(isinstance(argument, ast.Constant) for argument in node.args), path
