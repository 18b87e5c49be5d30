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
    whole longest schedule by its epochs; measuring the accuracy is not counted. A table may know some architectures
    only: `knows` tells. Raises `UserError` if the table has no such accuracies or seconds at all.
    """

    def __init__(self, table: Table, dataset: str, measure: Measure | None = None) -> None:
        self.measure = measure or table.shortest(dataset, "valid")
        self.longest = table.longest(self.measure.dataset, self.measure.split, self.measure.kind).epochs
        self.run = _training_run(table, self.measure)
        self.queries, self.seconds = 0, 0.0  # so far
        self._table, self._space = table, table.space
        self._accuracy = table.mean(self.measure)
        self._seconds = self.measure.epochs / self.longest * table.mean_train_seconds(self.run)
        self._known = np.isfinite(self._accuracy) & np.isfinite(self._seconds)
        if not self._known.any():
            raise UserError(f"table {table.name!r} cannot be asked: it has no {self.measure} with training seconds")

    def knows(self, arch: Arch) -> bool:
        """Whether the table has an answer."""
        return bool(self._known[self._space.to_index(arch)])

    def query(self, arch: Arch) -> Answer:
        """The accuracy of an architecture (fraction), and the seconds that this question costs; see `knows`."""
        index = self._space.to_index(arch)
        if not self._known[index]:
            raise UserError(f"table {self._table.name!r} has no {self.measure} of architecture {index}")
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
            "known": f"{int(self._known.sum()):,} of {len(self._known):,} architectures",
            "clock": f"training seconds of {self.run} x {self.measure.epochs} / {self.longest}, repeated questions too",
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
