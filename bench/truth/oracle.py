"""A table of ground truth as something to ask: what a searcher is told about an architecture, and what that costs."""

from typing import Any

import numpy as np

from bench.truth.table import Measure, Table
from mngnas.errors import UserError, unknown
from mngnas.methods.info import Answer
from mngnas.spaces import Arch


class TableOracle:
    """Answers from a table and counts questions and simulated seconds; the same question costs again.

    The accuracy is the mean over the known seeds, by default on the validation set after the shortest training schedule
    that the table has: what a search could afford. The seconds are those of training for that schedule, a share of the
    whole longest schedule by its epochs; measuring the accuracy is not counted. Raises `UserError` if the table has no
    such accuracies or seconds, or not of every architecture.
    """

    def __init__(self, table: Table, dataset: str, measure: Measure | None = None) -> None:
        self.measure = measure or table.shortest(dataset, "valid")
        self.longest = table.longest(self.measure.dataset, self.measure.split, self.measure.kind).epochs
        self.run = _training_run(table, self.measure)
        self.queries, self.seconds = 0, 0.0  # so far
        self._table, self._space = table, table.space
        self._accuracy = _complete(table, str(self.measure), table.mean(self.measure))
        share = self.measure.epochs / self.longest
        self._seconds = _complete(table, f"training seconds of {self.run}", share * table.mean_train_seconds(self.run))

    def query(self, arch: Arch) -> Answer:
        """The accuracy of an architecture (fraction), and the seconds that this question costs."""
        index = self._space.to_index(arch)
        answer = Answer(float(self._accuracy[index]), float(self._seconds[index]))
        self.queries += 1
        self.seconds += answer.seconds
        return answer

    def about(self) -> dict[str, Any]:
        """What was asked, and the rule of the clock, in types that JSON has."""
        return {
            "benchmark": self._table.name,
            "table": self._table.checksum,
            "measure": str(self.measure),
            "clock": f"training seconds of {self.run} x {self.measure.epochs} / {self.longest}; a repeated question too",
        }

    def state_dict(self) -> dict[str, Any]:
        """How much has been asked."""
        return {"queries": self.queries, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.queries, self.seconds = int(state["queries"]), float(state["seconds"])


def _training_run(table: Table, measure: Measure) -> str:
    """The training run behind a measure: a data set may have one of its own for validation, named so."""
    own = f"{measure.dataset}-{measure.split}"
    run = own if own in table.train_seconds else measure.dataset
    if run not in table.train_seconds:
        raise UserError(f"table {table.name!r}: {unknown('training run', run, table.train_seconds)}")
    return run


def _complete(table: Table, what: str, values: np.ndarray) -> np.ndarray:
    missing = int(np.count_nonzero(~np.isfinite(values)))
    if missing:
        raise UserError(f"table {table.name!r} cannot be asked: {what} is missing for {missing:,} of {len(values):,}")
    return values
