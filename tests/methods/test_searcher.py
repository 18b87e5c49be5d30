"""Methods that ask the ground truth: the clock, the history and what they may know."""

import pytest

from mngnas.errors import UserError
from mngnas.methods.base import SearchTask
from mngnas.methods.info import Answer
from mngnas.methods.searcher import Searcher, SearcherConfig
from mngnas.seeds import Stream, generator
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import METHODS, ToyOracle, case, done, make, make_task, run


class Listed(Searcher):
    """Asks about the architectures of a list."""

    archs = ((0,) * 6, (3,) * 6, (1, 2, 3, 4, 0, 1), (3,) * 6)

    def propose(self, history, rng):
        self.draws = [*getattr(self, "draws", []), rng.random()]
        self.given = list(history)
        return self.archs[len(history)]


class Oracle:
    """Tells 0.5, 0.9, 0.7, 0.9 after 10 seconds each."""

    budget = 30.0

    def __init__(self):
        self.asked = []

    def knows(self, arch):
        return arch is not None

    def query(self, arch):
        self.asked.append(arch)
        return Answer((0.5, 0.9, 0.7, 0.9)[len(self.asked) - 1], 10.0)


def listed(seconds, within=False):
    oracle = Oracle()
    return Listed(SearcherConfig(seconds, within), SearchTask(TOPOLOGY, 0), oracle), oracle


@pytest.mark.parametrize(("seconds", "queries"), [(5, 1), (10, 1), (10.1, 2), (25, 3), (40, 4)])
def test_no_query_begins_after_the_time(seconds, queries):
    """The first always does; the last may end later."""
    method, oracle = listed(seconds)
    run(method)
    assert len(oracle.asked) == queries
    assert method.clock == 10 * queries
    assert method.spent == 1
    assert method.outcome().cost.queries == queries


@pytest.mark.parametrize(("seconds", "queries"), [(5, 1), (10, 1), (19.9, 1), (20, 2), (25, 2), (40, 4)])
def test_an_answer_that_ends_too_late_may_not_be_waited_for(seconds, queries):
    """The first always is; the one that is not ends the search, and is neither told nor paid."""
    method, oracle = listed(seconds, within=True)
    run(method)
    assert method.clock == 10 * queries
    assert method.spent == 1
    assert len(method.outcome().trace.value) == method.outcome().cost.queries == queries
    assert len(oracle.asked) == method.steps == queries + (10 * queries < seconds)
    again, _ = listed(seconds, within=True)
    again.load_state_dict(method.state_dict())
    assert (again.done, again.steps, again.clock) == (True, method.steps, method.clock)


def test_without_a_budget_of_its_own_it_has_the_benchmarks():
    method, oracle = listed(0.0)
    run(method)
    assert len(oracle.asked) == 3


def test_it_learns_each_answer_once_and_in_order_also_when_resumed():
    class Learner(Listed):
        def learn(self, query):
            self.learnt = [*getattr(self, "learnt", []), query]

    methods = [Learner(SearcherConfig(40.0), SearchTask(TOPOLOGY, 0), Oracle()) for _ in range(2)]
    run(methods[0])
    methods[1].load_state_dict(methods[0].state_dict())
    assert methods[0].learnt == methods[1].learnt == methods[0].history


def test_the_proposal_is_the_best_that_it_was_told_the_earlier_of_equals():
    method, _ = listed(40)
    assert method.outcome().proposal == ()
    run(method)
    assert method.outcome().proposal == (Listed.archs[1],)


def test_the_trace_is_what_was_asked_in_order():
    method, oracle = listed(40)
    trace = run(method).outcome().trace
    assert [query.arch for query in method.given] == list(Listed.archs[:3])
    assert [TOPOLOGY.from_index(index) for index in trace.arch_index] == oracle.asked == list(Listed.archs)
    assert list(trace.value) == [0.5, 0.9, 0.7, 0.9]
    assert list(trace.seconds) == [10.0] * 4


def test_draws_are_of_the_query_and_the_seed():
    method, _ = listed(40)
    run(method)
    assert method.draws == [generator(0, Stream.ORACLE, number, 0).random() for number in range(4)]


class Half(Oracle):
    """Knows the architectures of even index only; what it does not know costs nothing."""

    def knows(self, arch):
        return TOPOLOGY.to_index(arch) % 2 == 0

    def query(self, arch):
        assert self.knows(arch)
        self.asked.append(arch)
        return Answer(0.5, 10.0)


def test_the_search_is_over_what_the_ground_truth_knows():
    """A proposal that it does not know is drawn again, by the next generator of the same query."""
    oracle = Half()
    method = METHODS["random-search"].load()(SearcherConfig(seconds=200.0), make_task(3), oracle)
    run(method)
    assert len(oracle.asked) == method.outcome().cost.queries == 20
    expected = []
    for number in range(20):
        drawn = (TOPOLOGY.sample_uniform(generator(3, Stream.ORACLE, number, attempt), 1)[0] for attempt in range(1000))
        expected.append(next(arch for arch in drawn if oracle.knows(arch)))
    assert oracle.asked == expected


def test_a_search_that_proposes_only_what_nobody_knows_ends_with_one_line():
    class Nobody(Half):
        def knows(self, arch):  # noqa: ARG002
            return False

    method = METHODS["random-search"].load()(SearcherConfig(), make_task(), Nobody())
    with pytest.raises(
        UserError, match=r"^random-search proposed 1,000 architectures in a row .* the last is \|\w+~0\|"
    ):
        method.advance()
    assert method.history == []


def test_it_gives_no_ranking():
    method = done(case("random-search")).method
    assert method.rankings() == ()
    with pytest.raises(NotImplementedError, match="random-search has no ranking 'score'"):
        method.scores("score", [(0,) * 6])


def test_a_resumed_search_has_the_same_clock_to_the_last_bit():
    """Sums of seconds are taken in the same order."""
    method = make(case("random-search"))
    run(method, 7)
    other = make(case("random-search"))
    other.load_state_dict(method.state_dict())
    assert other.clock == method.clock
    assert other.steps == 7
    asked = ToyOracle()
    assert [asked.query(query.arch) for query in other.history] == [query.answer for query in method.history]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 2e9])
def test_bad_times_are_refused(seconds):
    with pytest.raises(UserError, match=r"^seconds = .* must be at least 0 and at most 1e\+09$"):
        SearcherConfig(seconds=seconds)
