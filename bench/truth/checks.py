"""Self-checks of a table against facts known from elsewhere, run whenever one is built."""

from dataclasses import dataclass

import numpy as np

from bench.truth.table import Measure, Table
from mngnas.errors import UserError


@dataclass(frozen=True)
class Known:
    """The mean accuracy of one architecture, a fraction."""

    measure: Measure
    index: int
    value: float
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Optimum:
    """The best mean accuracy of the table and every index that reaches it; no indices: only the value is known."""

    measure: Measure
    indices: tuple[int, ...]
    value: float
    tolerance: float = 1e-5


@dataclass(frozen=True)
class SeedCount:
    """How many architectures have exactly `n_seed` seeds."""

    measure: Measure
    n_seed: int
    n_arch: int


@dataclass(frozen=True)
class Expected:
    """Everything that a complete table must show."""

    known: tuple[Known, ...] = ()
    optima: tuple[Optimum, ...] = ()
    seed_counts: tuple[SeedCount, ...] = ()


def verify(table: Table, expected: Expected) -> None:
    """Raise `UserError` if the table is out of range, incomplete, in another order, or of other numbers."""
    for measure, values in table.measures.items():
        top = 1.0 if measure.kind == "accuracy" else np.inf
        known = values[np.isfinite(values)]
        if np.isinf(values).any() or (known < 0).any() or (known > top).any():
            raise _failed(table, f"{measure} leaves the range 0..{top:g}")
    for fact in expected.known:
        found = float(table.mean(fact.measure)[fact.index])
        if not abs(found - fact.value) <= fact.tolerance:
            raise _failed(table, f"{fact.measure} of index {fact.index} is {found:.5f}, not {fact.value:.5f}")
    for optimum in expected.optima:
        _verify_optimum(table, optimum)
    for count in expected.seed_counts:
        found_count = int((np.isfinite(table.values(count.measure)).sum(axis=1) == count.n_seed).sum())
        if found_count != count.n_arch:
            what = f"{count.measure} has {found_count:,} architectures with {count.n_seed} seeds, not {count.n_arch:,}"
            raise _failed(table, what)


def _verify_optimum(table: Table, optimum: Optimum) -> None:
    means = table.mean(optimum.measure)
    missing = int(np.isnan(means).sum())
    if missing:
        raise _failed(table, f"{optimum.measure} is missing for {missing:,} of {len(means):,} architectures")
    best = float(means.max())
    if not abs(best - optimum.value) <= optimum.tolerance:
        raise _failed(table, f"the best {optimum.measure} is {best:.5f}, not {optimum.value:.5f}")
    where = tuple(int(i) for i in np.flatnonzero(means == best))
    if optimum.indices and where != optimum.indices:
        raise _failed(table, f"the best {optimum.measure} is at index {where}, not {optimum.indices}")


def _failed(table: Table, what: str) -> UserError:
    return UserError(f"table {table.name!r} fails its self-check: {what}; its files are not the published ones")
