"""SETN: weights as SPOS trains them, alpha as DARTS does, and the choice at the end."""

import numpy as np
import pytest
import torch

from mngnas.errors import UserError
from mngnas.methods.gradient.selection import best_candidate
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import bits, make_task, run
from tests.methods.gradient_cases import method_of, no_step, set_alpha, step_of


def test_with_frozen_alpha_it_is_spos_step_for_step():
    setn, spos = method_of("setn", candidates=1), method_of("spos")
    setn.architecture_step = no_step
    for _ in range(8):
        setn.advance()
        spos.advance()
        assert bits(setn.supernet.state_dict()) == bits(spos.supernet.state_dict())
    assert setn.passes == spos.passes


def test_alpha_descends_the_mixture_as_in_darts():
    setn, darts = method_of("setn"), method_of("darts-v1")
    batch = setn.task.validation_batch(3)
    for method in (setn, darts):
        method.architecture_step(batch, step_of(method))
    assert torch.equal(setn.alpha.grad, darts.alpha.grad)


def test_candidates_are_the_likeliest():
    method = method_of("setn", candidates=10)
    set_alpha(method)
    found = method.candidates()
    logs = method.log_probability(TOPOLOGY.all_archs)
    assert len(set(found)) == 10
    assert found[0] == method.likeliest()
    values = method.log_probability(np.array(found))
    assert values.tolist() == sorted(logs.tolist())[:-11:-1]


def test_it_proposes_the_most_accurate_candidate_and_pays_for_them():
    method = method_of("setn", candidates=12)
    each = 40 / 16 / 3  # forty pictures, batches of sixteen, forward alone
    while not method.done:
        before = method.passes
        method.advance()
    assert method.passes - before == pytest.approx(12 * each)
    assert before + 12 * each >= 120 > before - 6 + 12 * each
    candidates = method.candidates()
    accuracies = method.search_scorer(candidates).accuracy
    assert method.proposal() == [candidates[int(accuracies.argmax())]]
    assert method.outcome().proposal == tuple(method.proposal())


def test_a_batch_of_its_own_for_each_candidate():
    method = run(method_of("setn", candidates=12, pictures="own batch"), 4)
    archs = method.candidates()
    right = []
    for place, arch in enumerate(archs):
        batch = method.task.validation_batch(4 + place)
        with torch.no_grad():
            right.append(int((method.supernet(batch.images, arch).logits.argmax(1) == batch.labels).sum()))
    assert best_candidate(method, archs) == archs[right.index(max(right))]
    assert len(set(right)) > 1
    assert method.closing_price() == pytest.approx(4)


def test_candidates_that_cost_more_than_the_budget_are_an_error():
    with pytest.raises(UserError, match=r"setn.candidates = 200 take 167 passes to be scored; the budget is 120"):
        method_of("setn", make_task(), candidates=200)


def test_candidates_that_cost_less_than_a_step_are_scored_all_the_same():
    """Six passes a step: the last one ends at the budget of 120, where the choice is still to be paid."""
    method = run(method_of("setn", candidates=2))
    assert len(method.chosen) == 1
    assert method.passes == pytest.approx(120 + 2 * 40 / 16 / 3)
