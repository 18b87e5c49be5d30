"""Everything that a table of ground truth says about one architecture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bench.scores.forms import Notation
from bench.scores.naming import OFFICIAL, digits_order
from bench.truth.table import Measure, Table
from mngnas.errors import UserError
from mngnas.spaces import Space


@dataclass(frozen=True)
class Measured:
    """One measure of an architecture, accuracies as fractions and losses in nats."""

    measure: Measure
    mean: float  # over the known seeds
    seeds: Mapping[str, float]  # by their name, or by their number from 0 where the table does not know names
    rank: int  # 1 is the best; equal means have the same
    of: int  # how many architectures have a mean


@dataclass(frozen=True)
class Found:
    """One architecture; `print` shows it as a table."""

    benchmark: str
    space: str
    arch_str: str
    index: int  # official
    key: str  # its option numbers, in this project's order
    canonical: int  # the official index of the architecture that shared weights cannot tell it from
    known: bool  # whether the table has any measure of it
    measured: tuple[Measured, ...]
    parameters: Mapping[str, int]  # by data set, closed forms
    flops: Mapping[str, int]  # multiply-adds of one picture
    train_seconds: Mapping[str, float]  # by training run: the longest schedule, mean over seeds
    latency: Mapping[str, float] = field(default_factory=dict)  # by device, milliseconds

    def to_json(self) -> dict[str, Any]:
        """All of it in types that JSON has."""
        content = asdict(self)
        for one in content["measured"]:
            one |= one.pop("measure")
        return content

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def query(
    table: Table,
    arch: object,
    *,
    order: str = OFFICIAL,
    latency: Mapping[str, np.ndarray] | None = None,
) -> Found:
    """What the table knows of an architecture; `print` the answer, or read its fields.

    `arch` is an architecture string, an official index (a number or its digits), the key of option numbers ("310243"),
    a tuple or list of them, or any other form that score files have (`bench.scores.forms`). `order` says what option
    numbers mean: "official" or "naslib". `latency` holds milliseconds `[n_arch]` by device. An architecture without a
    ground truth has no `measured`. Raises `UserError` for what is no architecture of the table's search space.
    """
    index = index_of(table.space, arch, order)
    space, found = table.space, table.space.from_index(index)
    measured = tuple(one for measure in sorted(table.measures) if (one := _measured(table, measure, index)))
    seconds = {run: float(table.mean_train_seconds(run)[index]) for run in sorted(table.train_seconds)}
    return Found(
        benchmark=table.name,
        space=space.name,
        arch_str=space.to_str(found),
        index=index,
        key=space.to_key(found),
        canonical=int(space.canonical_indices[index]),
        known=bool(measured),
        measured=measured,
        parameters={name: int(values[index]) for name, values in sorted(table.parameters.items())},
        flops={name: int(values[index]) for name, values in sorted(table.flops.items())},
        train_seconds={run: one for run, one in seconds.items() if np.isfinite(one)},
        latency={device: float(times[index]) for device, times in (latency or {}).items()},
    )


def index_of(space: Space, arch: object, order: str = OFFICIAL) -> int:
    """The official index of an architecture in any form, see `query`; raises `UserError`."""
    notation = Notation(space, digits_order(order))
    if isinstance(arch, np.integer):
        arch = int(arch)
    form = notation.form(arch)
    if form is None:
        raise UserError(
            f"{str(arch)[:80]!r} is no architecture of {space.label}: give an architecture string, its official index, "
            f"or {len(space.sizes)} option numbers"
        )
    return notation.index(form, arch)


def _measured(table: Table, measure: Measure, index: int) -> Measured | None:
    means = table.mean(measure)
    if not np.isfinite(means[index]):
        return None
    values = table.values(measure)[index].astype(float)
    names = table.seeds.get(measure, tuple(range(len(values))))
    seeds = {str(name): round(float(one), 6) for name, one in zip(names, values, strict=True) if np.isfinite(one)}
    better = means < means[index] if measure.kind == "loss" else means > means[index]
    return Measured(measure, float(means[index]), seeds, 1 + int(better.sum()), int(np.isfinite(means).sum()))


# --------------------------------------------------------------------------------------------------------------- words


def _lines(found: Found) -> list[str]:
    lines = [
        found.arch_str,
        f"index {found.index} of {found.space}, key {found.key}, in the table {found.benchmark}",
    ]
    if found.canonical != found.index:
        lines.append(f"its live graph is that of index {found.canonical}")
    if not found.known:
        return [*lines, "the table has no ground truth of it", *_costs(found)]
    rows = [("data set", "split", "epochs", "", "mean", "rank", "seeds"), *map(_row, found.measured)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, "", *table, "", *_costs(found)]


def _row(one: Measured) -> tuple[str, ...]:
    measure, is_loss = one.measure, one.measure.kind == "loss"

    def shown(value: float) -> str:
        return f"{value:.4f}" if is_loss else f"{100 * value:.2f} %"

    seeds = ", ".join(f"{name}: {shown(value)}" for name, value in one.seeds.items()) if len(one.seeds) > 1 else ""
    rank = f"{one.rank:,} of {one.of:,}"
    return measure.dataset, measure.split, str(measure.epochs), measure.kind, shown(one.mean), rank, seeds


def _costs(found: Found) -> list[str]:
    lines = [
        f"parameters: {', '.join(f'{name} {value:,}' for name, value in found.parameters.items())}",
        f"FLOPs: {', '.join(f'{name} {value:,}' for name, value in found.flops.items())}",
    ]
    if found.train_seconds:
        lines.append(f"training seconds: {', '.join(f'{run} {one:,.1f}' for run, one in found.train_seconds.items())}")
    if found.latency:
        lines.append(f"latency, ms: {', '.join(f'{device} {one:.3f}' for device, one in found.latency.items())}")
    return lines
