"""Methods that train a supernet and read some architectures' stand-alone accuracies: supervised, and marked so.

Like a searcher such a method is handed an `Oracle`; what it asked is counted in its cost and its diary, the rule of the
oracle is in the record, and its rankings stand apart from those of methods that see no ground truth. A subclass has to
have `info` and `step`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.methods.info import Answer, Column, Diary, DiaryTable, Outcome
from mngnas.methods.searcher import Oracle, Query
from mngnas.methods.supernet_method import SupernetMethod


class SupervisedMethod(SupernetMethod):
    """A supernet in training, and what the ground truth said."""

    def __init__(self, config: Any, task: Task, oracle: Oracle) -> None:
        super().__init__(config, task)
        self._oracle = oracle
        self.told: list[Query] = []  # in the order of the questions

    def ask(self, n: int, rng: np.random.Generator) -> None:
        """Ask about so many architectures, random ones; for one that the ground truth does not have another is drawn.

        Raises `UserError` if it has fewer.
        """
        drawn = (self.space.from_index(int(index)) for index in rng.permutation(self.space.n_arch))
        known = [arch for arch, _ in zip(filter(self._oracle.knows, drawn), range(n), strict=False)]
        if len(known) < n:
            raise UserError(f"{self.info.name} asks for {n:,} accuracies, and the ground truth has {len(known):,}")
        self.told += [Query(arch, self._oracle.query(arch)) for arch in known]

    def outcome(self) -> Outcome:
        """As of every supernet, and how many accuracies were read."""
        found = super().outcome()
        return Outcome(replace(found.cost, queries=len(self.told)), found.proposal, found.trace, found.diary)

    def diary(self) -> Diary:
        """What it was told."""
        rows = [[self.space.to_index(query.arch), query.answer.accuracy] for query in self.told]
        columns = [Column("architecture", "arch"), Column("told", "percent", 2)]
        note = "Accuracies of the ground truth that the method was told; other methods never saw any."
        return Diary(tables=[DiaryTable("What the ground truth said", columns, rows, note)] if rows else [])

    def state_dict(self) -> dict[str, Any]:
        """The supernet's, and what was told."""
        told = [[list(query.arch), query.answer.accuracy, query.answer.seconds] for query in self.told]
        return super().state_dict() | {"told": told}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        super().load_state_dict(state)
        self.told = [Query(tuple(arch), Answer(*answer)) for arch, *answer in state["told"]]
