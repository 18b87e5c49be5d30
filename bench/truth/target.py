"""What predictions are compared with: a column of the table, one seed of it, or a device's latency."""

from dataclasses import dataclass, replace

import numpy as np

from bench.truth.table import Measure, Table, default_target
from mngnas.errors import UserError, unknown


@dataclass(frozen=True, eq=False)
class Target:
    """One number for each architecture, in the order of the official index."""

    label: str
    true: np.ndarray  # float64 [n_arch], NaN where it is not known
    of_seeds: np.ndarray  # [n_arch, n_seed], the single trainings behind it; no column where there are none
    is_accuracy: bool  # a fraction, higher is better
    valid: np.ndarray | None = None  # [n_arch], of a test accuracy: the validation accuracy of the same schedule


def accuracy_target(
    table: Table, dataset: str, split: str | None, epochs: int | None, seed: int | None = None
) -> Target:
    """The mean accuracy over seeds, or that of one seed; by default after the longest training.

    `seed` is the name of one if the table knows their names and else their number from 0. Raises `UserError` naming
    what the table has.
    """
    measure = default_target(table, dataset, split, epochs)
    values = table.values(measure)
    if seed is None:
        return Target(str(measure), table.mean(measure), values, True, validation_of(table, measure))
    names = [str(name) for name in table.seeds.get(measure, range(values.shape[1]))]
    if str(seed) not in names:
        raise UserError(f"table {table.name!r}, {measure}: {unknown('seed', str(seed), names)}")
    one = np.round(values[:, names.index(str(seed))].astype(np.float64), 6)  # as `Table.mean` rounds
    return Target(f"{measure}, seed {seed}", one, values, True)


def validation_of(table: Table, measure: Measure) -> np.ndarray | None:
    """The mean validation accuracy `[n_arch]` beside a test accuracy; None where there is none."""
    beside = replace(measure, split="valid")
    return table.mean(beside) if measure.split == "test" and beside in table.measures else None


def latency_target(device: str, milliseconds: np.ndarray) -> Target:
    """The latency of a device, milliseconds `[n_arch]`: scores that are high for slow architectures agree with it."""
    return Target(f"latency of {device} in ms", milliseconds, np.full((len(milliseconds), 0), np.nan), False)
