"""Numbers as the report prints them; lines after the first are small print."""

import math
from collections.abc import Collection

from bench.stats.intervals import Estimate, OverSeeds

NOT_KNOWN = "n/a"


def number(value: float, digits: int = 3) -> str:
    """With a true minus sign; an undefined number is n/a."""
    return f"{value:z,.{digits}f}".replace("-", "−") if math.isfinite(value) else NOT_KNOWN


def percent(value: float, digits: int = 2) -> str:
    """A fraction in percent, without the sign."""
    return number(100 * value, digits)


def count(n: Collection[int]) -> str:
    """How many, or from how many to how many."""
    return f"{min(n):,}" if min(n) == max(n) else f"{min(n):,} to {max(n):,}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Both ends."""
    return f"{number(low, digits)} to {number(high, digits)}" if math.isfinite(low + high) else NOT_KNOWN


def over_seeds(one: OverSeeds, *, digits: int = 3, scale: float = 1, show_n: bool = False) -> str:
    """The mean, then a line for each interval and, where a metric looks at some architectures only, their number."""
    spread, archs = one.spread, one.architectures
    lines = [number(scale * spread.mean, digits)]
    if spread.n < len(one.values):
        lines.append(f"defined for {spread.n} of {len(one.values)} seeds")
    if spread.n:
        seeds = f"{NOT_KNOWN} (1 seed)" if spread.n == 1 else ""
        lines.append(f"seeds {seeds or interval(scale * spread.ci_low, scale * spread.ci_high, digits)}")
    if spread.n and archs is not None:
        lines.append(f"archs {interval(scale * archs.ci_low, scale * archs.ci_high, digits)}")
    return "\n".join([*lines, f"n = {count(one.n)}"] if show_n else lines)


def estimate(one: Estimate) -> str:
    """The value and the interval over architectures."""
    return f"{number(one.value)}\narchs {interval(one.ci_low, one.ci_high)}"


def mean_and_range(one: OverSeeds, digits: int) -> str:
    """The mean over seeds and, where they differ, the lowest and the highest."""
    low, high = min(one.values), max(one.values)
    mean = number(one.spread.mean, digits)
    return mean if low == high else f"{mean}\n{number(low, digits)} to {number(high, digits)}"


def by_column(name: str) -> str:
    """How a column beside the score is called: "by loss" for minus_loss."""
    return f"by {name.removeprefix('minus_')}"


def listed(names: Collection[str]) -> str:
    """Names as people list them, "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def ranges(numbers: Collection[int]) -> str:
    """Whole numbers in their order, three or more in a row by their ends: "0 to 4, 7, 8"."""
    rows: list[list[int]] = []
    for one in sorted(numbers):
        if rows and one == rows[-1][-1] + 1:
            rows[-1].append(one)
        else:
            rows.append([one])
    parts = [[f"{row[0]} to {row[-1]}"] if len(row) > 2 else map(str, row) for row in rows]
    return ", ".join(part for row in parts for part in row)


def starred(label: str, asked: bool) -> str:
    """Marks a method that was allowed to ask the ground truth."""
    return f"{label} *" if asked else label


STAR = "* It was allowed to ask the ground truth, which the others never saw."
