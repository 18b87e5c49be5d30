"""Methods that ask the ground truth: the clock, the history and what they may know."""

import pytest

from mngnas.errors import UserError
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

    def __init__(self):
        self.asked = []

    def knows(self, arch):
        return arch is not None

    def query(self, arch):
        self.asked.append(arch)
        return Answer((0.5, 0.9, 0.7, 0.9)[len(self.asked) - 1], 10.0)


def listed(seconds):
    oracle = Oracle()
    return Listed(SearcherConfig(seconds=seconds), make_task(), oracle), oracle


@pytest.mark.parametrize(("seconds", "queries"), [(5, 1), (10, 1), (10.1, 2), (25, 3), (40, 4)])
def test_no_query_begins_after_the_time(seconds, queries):
    """The first always does; the last may end later."""
    method, oracle = listed(seconds)
    run(method)
    assert len(oracle.asked) == queries
    assert method.clock == 10 * queries
    assert method.spent == 1
    assert method.outcome().cost.queries == queries


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
    method = METHODS["toy-random"].load()(SearcherConfig(seconds=200.0), make_task(3), oracle)
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

    method = METHODS["toy-random"].load()(SearcherConfig(), make_task(), Nobody())
    with pytest.raises(UserError, match=r"^toy-random proposed 1,000 architectures in a row .* the last is \|\w+~0\|"):
        method.advance()
    assert method.history == []


def test_it_gives_no_ranking():
    method = done(case("toy-random")).method
    assert method.rankings() == ()
    with pytest.raises(NotImplementedError, match="toy-random has no ranking 'score'"):
        method.scores("score", [(0,) * 6])


def test_a_resumed_search_has_the_same_clock_to_the_last_bit():
    """Sums of seconds are taken in the same order."""
    method = make(case("toy-random"))
    run(method, 7)
    other = make(case("toy-random"))
    other.load_state_dict(method.state_dict())
    assert other.clock == method.clock
    assert other.steps == 7
    asked = ToyOracle()
    assert [asked.query(query.arch) for query in other.history] == [query.answer for query in method.history]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 2e9])
def test_bad_times_are_refused(seconds):
    with pytest.raises(UserError, match=r"^seconds = .* must be above 0 and at most 1e\+09$"):
        SearcherConfig(seconds=seconds)
