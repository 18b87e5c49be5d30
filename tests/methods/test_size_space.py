"""Every method in NATS-Bench's size space: it runs there unchanged, or says why not."""

from dataclasses import replace

import numpy as np
import pytest

from mngnas.errors import UserError
from mngnas.methods.info import Answer
from mngnas.methods.registry import check_space
from mngnas.spaces.size import SIZE
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import METHODS, SMALL, all_scores, bits, case, make_task, state_bits
from tests.methods.cases import run as advance

ARCHS = SIZE.sample_uniform(np.random.default_rng(3), 5)


class Oracle:
    """Answers that are a function of the widths."""

    budget = 60.0

    def knows(self, _arch):
        return True

    def query(self, arch):
        return Answer(sum(arch) / 40, 10.0)


def make(one, **training):
    task = replace(make_task(skeleton=Skeleton(2, 1), **{"passes": 60, **training}), space=SIZE)
    method = one.entry.load()
    config = method.Config(**{**SMALL.get(one.name, {}), **dict(one.changes)})
    return method(config, task, Oracle()) if one.entry.info.kind in ("searcher", "supervised") else method(config, task)


def runs(name):
    try:
        check_space(METHODS[name], SIZE)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("name", METHODS)
def test_it_runs_or_says_why_not(name):
    check_space(METHODS[name], TOPOLOGY)
    if not runs(name):
        with pytest.raises(UserError, match=f"^{name} does not run in nats-bench-size: .{{10}}") as raised:
            check_space(METHODS[name], SIZE)
        assert "\n" not in str(raised.value)
        return
    method = make(case(name))
    half = advance(make(case(name)), 3)
    resumed = make(case(name))
    resumed.load_state_dict(half.state_dict())
    advance(method)
    advance(resumed)
    assert method.done
    assert state_bits(method) == state_bits(resumed)
    scores = all_scores(method, ARCHS)
    assert bits(scores) == bits(all_scores(resumed, ARCHS))
    for columns in scores.values():
        assert all(values.shape == (len(columns[next(iter(columns))]),) for values in columns.values())
    assert all(SIZE.from_index(SIZE.to_index(arch)) == arch for arch in method.outcome().proposal)


def test_methods_that_make_sense_here_run():
    assert all(runs(name) for name in ("spos", "fairnas", "mngnas"))
    assert not any(runs(name) for name, entry in METHODS.items() if entry.info.kind == "gradient")


def test_guidance_is_by_similarities():
    """Features of different widths cannot be subtracted."""
    method = advance(make(case("mngnas"), passes=200))
    assert method.match == "similarities"
    assert method.pool
    assert all(np.isfinite(entry["loss"]) for entry in method.history)
    with pytest.raises(UserError, match=r"mngnas.match = 'features' needs features of one shape, and those of"):
        make(case("mngnas[match=features]"))
