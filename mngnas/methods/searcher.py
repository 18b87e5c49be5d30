"""Methods that search a table of ground truth, query by query, under a simulated clock.

They are the only ones that are handed an `Oracle`; what they asked is in the run's record. Where a table does not know
every architecture, the search is over those that it knows. A subclass has to have `info` and `propose`. It gives no
ranking, but a proposal, the best architecture that it was told about, and a trace.

Whatever a searcher learns is a function of its history, so the history is all that is saved. No torch here, nor in the
project's searchers: a run takes less time than importing it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mngnas.errors import UserError
from mngnas.methods.base import Method, SearchTask
from mngnas.methods.info import Answer, Cost, Outcome, Trace
from mngnas.seeds import Stream, generator
from mngnas.settings import Settings, setting
from mngnas.spaces import Arch

_ATTEMPTS = 1000


class Oracle(Protocol):
    """What tells a searcher the accuracy of an architecture, and what that costs."""

    @property
    def budget(self) -> float:
        """Simulated seconds that a search in this benchmark usually has."""

    def knows(self, arch: Arch) -> bool:
        """Whether it has an answer; to ask this is free."""

    def query(self, arch: Arch) -> Answer:
        """Ask; the same architecture has the same answer, and costs again."""


@dataclass(frozen=True)
class SearcherConfig(Settings):
    """How long a search may go on."""

    seconds: float = setting(0.0, high=1e9)  # simulated; 0: as many as the benchmark's searches have
    within: bool = False  # an answer that ends later is not waited for (NAS-Bench-201), or is the last (NATS-Bench)


@dataclass(frozen=True)
class Query:
    """A question and its answer."""

    arch: Arch
    answer: Answer


class Searcher(Method):
    """A search with its history."""

    Config = SearcherConfig

    def __init__(self, config: Any, task: SearchTask, oracle: Oracle) -> None:
        super().__init__(config, task)
        self._oracle = oracle
        self.history: list[Query] = []
        self.clock = 0.0  # simulated seconds
        self.seconds: float = config.seconds or oracle.budget
        self.ended = False  # by an answer that was not waited for

    def propose(self, history: Sequence[Query], rng: np.random.Generator) -> Arch:
        """The architecture to ask about next; draw from `rng` only, a function of the run's seed and of the query."""
        raise NotImplementedError

    def learn(self, query: Query) -> None:
        """Take notice of an answer, once each, in order; a resumed search is told all of them again. Draw nothing."""

    def knows(self, arch: Arch) -> bool:
        """Whether the ground truth has the architecture; free."""
        return self._oracle.knows(arch)

    @property
    def spent(self) -> float:
        """The share of the simulated time that has passed, 0..1."""
        return 1.0 if self.ended else min(1.0, self.clock / self.seconds)

    def advance(self) -> None:
        """One query; the first one counts however long it takes."""
        arch = self._known_proposal()
        answer = self._oracle.query(arch)
        if self.config.within and self.history and self.clock + answer.seconds > self.seconds:
            self.ended = True
        else:
            self._take(Query(arch, answer))
        self.steps += 1

    def _take(self, query: Query) -> None:
        self.history.append(query)
        self.clock += query.answer.seconds
        self.learn(query)

    def _known_proposal(self) -> Arch:
        """What `propose` gives, drawn again while it is an architecture that the ground truth does not have."""
        for attempt in range(_ATTEMPTS):
            arch = self.propose(self.history, generator(self.task.seed, Stream.ORACLE, self.steps, attempt))
            if self._oracle.knows(arch):
                return arch
        raise UserError(
            f"{self.info.name} proposed {_ATTEMPTS:,} architectures in a row that the ground truth does not have, the "
            f"last is {self.space.to_str(arch)}"
        )

    def outcome(self) -> Outcome:
        """The best architecture so far, and everything that was asked."""
        best = sorted(self.history, key=lambda query: -query.answer.accuracy)[:1]
        trace = Trace(
            [self.space.to_index(query.arch) for query in self.history],
            [query.answer.accuracy for query in self.history],
            [query.answer.seconds for query in self.history],
        )
        return Outcome(Cost(queries=len(self.history)), tuple(query.arch for query in best), trace)

    def state_dict(self) -> dict[str, Any]:
        """The history."""
        return {
            "history": [[list(q.arch), q.answer.accuracy, q.answer.seconds] for q in self.history],
            "ended": self.ended,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave; before anything is asked."""
        assert not self.history, "a search that has begun is not another one"
        for arch, *answer in state["history"]:
            self._take(Query(tuple(arch), Answer(*answer)))
        self.ended = state["ended"]
        self.steps = len(self.history) + self.ended
