"""Every field of every class of settings says what is allowed, and refuses everything else in one line."""

import importlib
import math
import pkgutil
import random
from dataclasses import MISSING, dataclass, fields, replace

import pytest

import mngnas
from mngnas.errors import UserError
from mngnas.settings import HUGE, Settings, setting
from tests.methods.cases import METHODS

for _module in pkgutil.walk_packages(mngnas.__path__, "mngnas."):
    importlib.import_module(_module.name)


def subclasses(kind):
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


CLASSES = sorted(
    {one for one in subclasses(Settings) if one.__module__.startswith("mngnas.")}, key=lambda c: c.__name__
)
FIELDS = [(kind, one) for kind in CLASSES for one in fields(kind)]
OF_THE_REGISTRY = {("RdNasConfig", "teacher")}  # names of methods, which are looked up when one is made
NUMBERS = [(kind, one) for kind, one in FIELDS if type(one.default) in (int, float)]

every_class = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
every_number = pytest.mark.parametrize(
    ("kind", "one"), NUMBERS, ids=[f"{kind.__name__}.{one.name}" for kind, one in NUMBERS]
)


def place(kind, one):
    return f"{kind.section}.{one.name}" if kind.section else one.name


def refusal(kind, **values):
    """The line with which values are refused; "" if they are not."""
    try:
        kind(**values)
    except UserError as error:
        text = str(error)
    else:
        return ""
    assert "\n" not in text
    assert 0 < len(text) < 200
    return text


def limits(one):
    """The smallest and the largest value that are allowed, the smallest next to `above` where that is excluded."""
    low, high, above = (one.metadata[name] for name in ("low", "high", "above"))
    if above is not None:
        low = above + 1 if isinstance(one.default, int) else math.nextafter(above, math.inf)
    return low, high


def outside(one):
    """Numbers that are not allowed: far off, next to the limits, random ones."""
    (low, high), above, rng = limits(one), one.metadata["above"], random.Random(one.name)
    whole = isinstance(one.default, int)
    yield from (high * 2 + 1, 10**300, -(10**300), -1e300, 1e300, 2**63, -(2**63))
    yield (high + 1 if whole else math.nextafter(high, math.inf))
    yield above if above is not None else (low - 1 if whole else math.nextafter(low, -math.inf))
    for _ in range(50):
        distance = 10 ** rng.uniform(0, 290)
        yield high + 1 + (int(distance) if whole else distance + high * 1e-9)
        yield low - 1 - (int(distance) if whole else distance)


def test_the_classes_are_all_there():
    names = {kind.__name__ for kind in CLASSES}
    assert names >= {"TrainingConfig", "ScoringConfig", "RetrainingConfig", "Augmentation", "SupernetConfig"}
    assert names >= {"MngnasConfig", "EvolutionConfig", "GradientConfig", "SearcherConfig"}
    assert names >= {entry.load().Config.__name__ for entry in METHODS.values()} - {"ToyConfig"}
    assert len(NUMBERS) > 50


@every_class
def test_defaults_are_allowed_and_every_field_has_one(kind):
    made = kind()
    assert all(one.default is not MISSING for one in fields(kind))
    assert replace(made) == made
    for one in fields(kind):
        assert type(getattr(made, one.name)) in (bool, int, float, str)


@every_class
def test_every_field_says_what_is_allowed(kind):
    """A number has limits and a word a list; only switches need neither."""
    for one in fields(kind):
        if type(one.default) is not bool:
            assert one.metadata or (kind.__name__, one.name) in OF_THE_REGISTRY, f"{kind.__name__}.{one.name}"
        if type(one.default) is str and one.metadata:
            assert one.default in one.metadata["among"]


@every_number
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_is_infinite_or_none_at_all(kind, one, bad):
    assert refusal(kind, **{one.name: bad}).startswith(f"{place(kind, one)} = {bad!r} must be ")


@every_number
def test_what_is_outside_is_refused(kind, one):
    for bad in outside(one):
        text = refusal(kind, **{one.name: bad})
        assert text.startswith(f"{place(kind, one)} = "), f"{one.name} = {bad!r}: {text}"
        assert " must be " in text
        assert " and at most " in text


@pytest.mark.parametrize("bad", [10**400, -(10**400)])
def test_numbers_beyond_every_float_are_refused(bad):
    for kind, one in NUMBERS:
        assert refusal(kind, **{one.name: bad}).startswith(f"{place(kind, one)} = ")


@every_number
def test_what_is_inside_is_taken(kind, one):
    """The limits themselves and random numbers between them; other fields may say that two do not go together."""
    low, high = limits(one)
    rng = random.Random(one.name)
    whole = isinstance(one.default, int)
    between = [rng.randint(low, int(high)) if whole else rng.uniform(low, high) for _ in range(20)]
    for good in (low, high, *between):
        assert " must be " not in refusal(kind, **{one.name: good})


@pytest.mark.parametrize(
    ("kind", "one"),
    [pair for pair in FIELDS if type(pair[1].default) is str and pair[1].metadata],
    ids=lambda x: getattr(x, "name", getattr(x, "__name__", "")),
)
def test_words_are_of_a_list(kind, one):
    for good in one.metadata["among"]:
        assert refusal(kind, **{one.name: good}) == ""
    for bad in ("", "x", one.default.upper(), one.default + " "):
        assert refusal(kind, **{one.name: bad}).startswith(f"unknown {place(kind, one)} {bad!r}; ")


def test_limits_of_ones_own():
    @dataclass(frozen=True)
    class Own(Settings):
        section = "own"
        count: int = setting(3)
        share: float = setting(0.5, above=0, high=1)
        level: float = setting(-1.0, -2, 2)
        free: str = "anything"

    assert Own(count=0).count == 0
    assert Own(count=HUGE).count == HUGE
    assert refusal(Own, count=-1) == "own.count = -1 must be at least 0 and at most 1e+09"
    assert refusal(Own, share=0.0) == "own.share = 0.0 must be above 0 and at most 1"
    assert refusal(Own, level=-2.5) == "own.level = -2.5 must be at least -2 and at most 2"
    assert refusal(Own, count=10**100).startswith("own.count = 10000000000000000000... (101 characters) must be ")
    assert Own(free="").free == ""


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("ScoringConfig", {"images": 100, "batch_size": 30}, "scoring.images = 100 is not a positive multiple of"),
        ("TrainingConfig", {"passes": 0}, "training.passes = 0 must be at least 1 and at most 1e+09"),
        ("TrainingConfig", {"learning_rate": -1.0}, "training.learning_rate = -1.0 must be above 0"),
        ("TrainingConfig", {"momentum": -0.1}, "training.momentum = -0.1 must be at least 0 and at most 1"),
        ("RetrainingConfig", {"steps": 0}, "retraining.steps = 0 must be at least 1"),
        ("RetrainingConfig", {"learning_rate": 0.0}, "retraining.learning_rate = 0.0 must be above 0"),
        ("EvolutionConfig", {"budget": 0}, "evolution.budget = 0 must be at least 1"),
        ("EvolutionConfig", {"crossover": 1.5}, "evolution.crossover = 1.5 must be at least 0 and at most 1"),
        ("EvolutionConfig", {"mutation": 0.0}, "evolution.mutation = 0.0 must be above 0 and at most 1"),
        ("MngnasConfig", {"warmup": 0.95}, "are more than warmup leaves"),
    ],
)
def test_some_lines_as_they_are_read(name, values, expected):
    (kind,) = [one for one in CLASSES if one.__name__ == name]
    assert expected in refusal(kind, **values)
