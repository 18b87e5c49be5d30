"""A table of ground truth as something to ask: what a searcher is told about an architecture, and what that costs.

As in NAS-Bench-201 (Dong & Yang, ICLR 2020, section 5) and NATS-Bench (Dong et al., TPAMI 2021, section 5): the answer
is the validation accuracy after the shortest training, its price the seconds of that training and of one pass over the
validation pictures.
"""

from typing import Any

import numpy as np

from bench.truth.table import Measure, Table
from mngnas.errors import UserError, unknown
from mngnas.methods.info import Answer
from mngnas.seeds import Stream, generator
from mngnas.spaces import Arch
from mngnas.spaces.topology import TOPOLOGY

# Pictures of the training run and of its validation. The compact tables have no seconds of validation: one picture is
# taken to need .35 of its share of a training epoch; official records of NATS-Bench (indices 0, 11 and 284) have .353,
# .333 and .490. Where a data set is not here its seconds have the validation in them (digits201), or none is counted.
_PICTURES = {"cifar10": (25_000, 25_000), "cifar100": (50_000, 5_000), "imagenet16-120": (151_700, 3_000)}
_PASS = 0.35

# NATS-Bench's searches, of the topology space; NAS-Bench-201's have 12,000 on CIFAR-10.
_BUDGETS = {
    (TOPOLOGY.name, "cifar10"): 20_000.0,
    (TOPOLOGY.name, "cifar100"): 40_000.0,
    (TOPOLOGY.name, "imagenet16-120"): 120_000.0,
}
_QUERIES = 175  # about what these pay for; the budget of other searches


class TableOracle:
    """Answers from a table; the same question has the same answer and costs again.

    The accuracy is, by default, on the validation set after the shortest training schedule that the table has: what a
    search could afford. With `seed`, the run's, it is that of one random training of each architecture, as in the
    papers, but the same one whenever it is asked about; without, the mean over the known trainings. Seconds are the
    mean over trainings: a share of the longest schedule by its epochs, and one pass over the validation pictures. A
    table may know some architectures only: `knows` tells. Raises `UserError` if it has no such accuracies or seconds.
    """

    def __init__(self, table: Table, dataset: str, measure: Measure | None = None, seed: int | None = None) -> None:
        self.measure = measure or table.shortest(dataset, "valid")
        self.longest = table.longest(self.measure.dataset, self.measure.split, self.measure.kind).epochs
        self.run = _training_run(table, self.measure)
        self._table, self._space = table, table.space
        trainings = table.values(self.measure)
        self._drawn = seed is not None and trainings.shape[1] > 1
        self._accuracy = _one_of_each(trainings, seed) if seed is not None else table.mean(self.measure)
        train, valid = _PICTURES[dataset] if dataset in _PICTURES and self.measure.split == "valid" else (1, 0)
        self._epochs = self.measure.epochs + _PASS * valid / train
        self._seconds = np.round(self._epochs / self.longest * table.mean_train_seconds(self.run), 4)
        self._known = np.isfinite(self._accuracy) & np.isfinite(self._seconds)
        if not self._known.any():
            raise UserError(f"table {table.name!r} cannot be asked: it has no {self.measure} with training seconds")
        usual = _QUERIES * float(self._seconds[self._known].mean())
        self.budget = _BUDGETS.get((table.search_space, dataset), usual)

    def knows(self, arch: Arch) -> bool:
        """Whether the table has an answer."""
        return bool(self._known[self._space.to_index(arch)])

    def query(self, arch: Arch) -> Answer:
        """The accuracy of an architecture (fraction), and the seconds that this question costs; see `knows`.

        Raises `UserError` for an architecture that the table does not know.
        """
        index = self._space.to_index(arch)
        if not self._known[index]:
            raise UserError(f"table {self._table.name!r} has no {self.measure} of architecture {index}")
        return Answer(float(self._accuracy[index]), float(self._seconds[index]))

    def about(self) -> dict[str, Any]:
        """What was asked, and the rules of answers and clock, in types that JSON has."""
        return {
            "benchmark": self._table.name,
            "table": self._table.checksum,
            "measure": str(self.measure),
            "answer": "one random training of each architecture" if self._drawn else "mean over trainings",
            "known": f"{int(self._known.sum()):,} of {len(self._known):,} architectures",
            "clock": f"training seconds of {self.run} x {self._epochs:g} / {self.longest}, repeated questions too",
            "budget": self.budget,
        }


def _one_of_each(values: np.ndarray, seed: int) -> np.ndarray:
    """Of each row of `[n_arch, n_seed]` one of the known values, `[n_arch]` float64 rounded as means are; else NaN."""
    known = np.isfinite(values)
    draws = generator(seed, Stream.ANSWER).random(len(values))
    place = np.argsort(~known, axis=1, kind="stable")  # the known ones first
    chosen = np.take_along_axis(place, (draws * known.sum(axis=1)).astype(np.int64)[:, None], axis=1)
    return np.round(np.take_along_axis(values, chosen, axis=1)[:, 0].astype(np.float64), 6)


def _training_run(table: Table, measure: Measure) -> str:
    """The training run behind a measure: a data set may have one of its own for validation, named so."""
    own = f"{measure.dataset}-{measure.split}"
    run = own if own in table.train_seconds else measure.dataset
    if run not in table.train_seconds:
        raise UserError(f"table {table.name!r}: {unknown('training run', run, table.train_seconds)}")
    return run
