"""The settings that all methods share, and how a setting says what is allowed; plain data, no torch.

A settings class is a frozen dataclass that derives from `Settings`; each field is `setting(default, ...)` with the
range that makes sense, which is checked whenever one is made. A method's own settings (`Method.Config`) are written the
same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from mngnas.errors import UserError, unknown

HUGE = 10**9  # no count, size or budget is larger


def setting(
    default: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    above: float | None = None,
    among: Sequence[str] | None = None,
) -> Any:
    """A field with its default and what is allowed: `low` and `high` inclusive, or more than `above`, or one of a few.

    Where nothing else is said a number is 0 to `HUGE`. No setting is ever NaN or infinite.
    """
    if low is None and above is None:
        low = 0
    allowed = {"low": low, "high": HUGE if high is None else high, "above": above, "among": among}
    return field(default=default, metadata=allowed)


@dataclass(frozen=True)
class Settings:
    """Checks every field when it is made; raises `UserError` in one line."""

    section: ClassVar[str] = ""  # of a preset

    def __post_init__(self) -> None:
        for one in fields(self):
            value, allowed = getattr(self, one.name), one.metadata
            place = f"{self.section}.{one.name}" if self.section else one.name
            if allowed.get("among") is not None:
                if value not in allowed["among"]:
                    raise unknown(place, str(value), allowed["among"])
            elif isinstance(value, int | float) and not isinstance(value, bool) and allowed:
                _check(place, value, allowed["low"], allowed["high"], allowed["above"])


def shown(value: object, most: int = 40) -> str:
    """A value as a message has it: short, whatever it is."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, containers nested as deep
        return "a value too large to be shown"
    return text if len(text) < most else f"{text[:20]}... ({len(text)} characters)"


def _check(place: str, value: float, low: float | None, high: float, above: float | None) -> None:
    if value <= high and (low is None or value >= low) and (above is None or value > above):  # NaN is nowhere
        return
    least = f"above {above:g} and" if above is not None else f"at least {low:g} and"
    raise UserError(f"{place} = {shown(value)} must be {least} at most {high:g}")


@dataclass(frozen=True)
class ImageConfig(Settings):
    """How the pictures are prepared."""

    section = "images"
    shrink: int = setting(1, 1, 64)  # every side divided by this number


@dataclass(frozen=True)
class SupernetConfig(Settings):
    """The size of the networks; classes and input channels follow from the pictures."""

    section = "supernet"
    channels: int = setting(16, 1, 4096)
    cells: int = setting(5, 1, 100)
    stages: int = setting(3, 1, 8)
    residual_reduction: bool = True  # the benchmark's; False is digits201's, see `mngnas.spaces.skeleton`
    affine: bool = False


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """How long and how shared weights are trained; every method gets the same."""

    section = "training"
    passes: int = setting(10_000, 1)  # budget: forward-backward passes of one path over one batch; forward alone: 1/3
    batch_size: int = setting(128, 1, 1_000_000)
    learning_rate: float = setting(0.1, above=0, high=1e6)  # at the start; falls to 0 along a cosine of the budget
    momentum: float = setting(0.9, 0, 1)  # Nesterov's
    weight_decay: float = setting(5e-4, 0, 1e6)
    clip: float = setting(5.0)  # largest norm of the whole gradient; 0 switches clipping off
    bfloat16: bool = False  # activations in bfloat16; weights, statistics and logits stay float32


@dataclass(frozen=True)
class Augmentation(Settings):
    """Random changes of training pictures; the defaults change nothing."""

    section = "augmentation"
    crop: int = setting(0, 0, 1000)  # pad by so many pixels, then cut the original size at a random place
    flip: bool = False  # mirror left-right with probability 1/2
    cutout: int = setting(0, 0, 1000)  # side of a square set to the mean
    noise: float = setting(0.0, 0, 1000)  # standard deviation of Gaussian noise, in units of the full range 0..1


BATCH_NORM_MODES = ("batch", "recalibrated")
SCORES = ("accuracy", "minus_loss")  # as the columns are called


@dataclass(frozen=True)
class ScoringConfig(Settings):
    """By which images and which BatchNorm statistics architectures are scored."""

    section = "scoring"
    images: int = setting(1000, 1)  # validation images, picked once for all runs
    batch_size: int = setting(125, 1)  # with "batch" statistics the size matters to the result
    batch_norm: str = setting("batch", among=BATCH_NORM_MODES)  # "recalibrated": fixed on training images first
    recalibration_images: int = setting(500, 2)
    noise: float = setting(0.0, 0, 1000)  # standard deviation of the noise added to the images, full range 0..1
    score: str = setting("accuracy", among=SCORES)  # what one-shot methods rank by; the other is kept beside it

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.images % self.batch_size:
            raise UserError(
                f"scoring.images = {self.images} is not a positive multiple of batch_size = {self.batch_size}"
            )


@dataclass(frozen=True)
class CurveConfig(Settings):
    """How often, and by how many random architectures, a method is scored while it goes on."""

    section = "curve"
    points: int = setting(8, 1, 10_000)  # equally spaced over the budget; a point before the first step comes on top
    archs: int = setting(200, 1)


@dataclass(frozen=True)
class SearchConfig(Settings):
    """By how many validation images a method searches while it trains; all else is as in scoring."""

    section = "search"
    images: int = setting(250, 1)  # rounded up to whole scoring batches, but no more than scoring has


@dataclass(frozen=True)
class RetrainingConfig(Settings):
    """Which architectures are retrained after a supernet's training, for how long, and how."""

    section = "retraining"
    archs: int = setting(0)  # a random sample of so many, the same in every run; 0: none
    steps: int = setting(50, 1)  # batches of training.batch_size
    learning_rate: float = setting(0.05, above=0, high=1e6)  # at the start; it falls to zero along a cosine
    momentum: float = setting(0.9, 0, 1)
    weight_decay: float = setting(0.0, 0, 1e6)
    clip: float = setting(5.0)
