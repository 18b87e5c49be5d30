"""Methods that train nothing: whose network is scored, with which weights and pictures."""

from dataclasses import replace

import numpy as np
import torch

from mngnas.methods.info import Cost
from mngnas.methods.training_free_method import SCORE, TrainingFreeMethod
from mngnas.nets.cell_network import CellNetwork
from mngnas.seeds import stand_alone_weights
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import ARCHS, SHORT, all_scores, bits, case, make, make_task


class Noting(TrainingFreeMethod):
    """Keeps what it is shown."""

    def score(self, network, batch):
        self.seen.append((network, batch))
        return float("nan") if len(self.seen) == 2 else -1.5 * len(self.seen)


def noting(seed=0):
    method = Noting(Noting.Config(), make_task(seed))
    method.seen = []
    return method


def test_it_is_done_before_it_begins_and_costs_nothing():
    method = make(case("toy-grad-norm"))
    assert method.done
    method.advance()
    assert method.outcome().cost == Cost()
    assert method.state_dict() == {}
    (ranking,) = method.rankings()
    assert (ranking.name, ranking.archs, ranking.by_canonical) == (SCORE, 0, False)


def test_each_architecture_has_a_network_of_its_own_with_weights_by_seed_and_architecture():
    method = noting(seed=3)
    method.scores(SCORE, ARCHS[:4])
    for arch, (network, batch) in zip(ARCHS, method.seen, strict=False):
        expected = CellNetwork(arch, method.task.skeleton, stand_alone_weights(3, TOPOLOGY.to_index(arch)))
        for one, other in zip(network.parameters(), expected.parameters(), strict=True):
            assert torch.equal(one, other)
            assert one.requires_grad
        assert torch.equal(batch.images, method.task.training_batch(0).images)
    stems = [network.stem[0].weight for network, _ in method.seen]
    assert not torch.equal(stems[0], stems[1])


def test_scores_depend_neither_on_the_order_nor_on_each_other():
    method = make(case("toy-grad-norm"))
    whole = method.scores(SCORE, ARCHS)[SCORE]
    np.testing.assert_array_equal(method.scores(SCORE, ARCHS[::-1])[SCORE], whole[::-1])
    np.testing.assert_array_equal(method.scores(SCORE, ARCHS[5:6])[SCORE], whole[5:6])
    assert len(set(whole)) == len(set(ARCHS))
    other = make(case("toy-grad-norm"), seed=1).scores(SCORE, ARCHS)[SCORE]
    assert (other != whole).all()


def test_scores_that_are_not_finite_are_kept():
    found = noting().scores(SCORE, ARCHS[:3])[SCORE]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [-1.5, np.nan, -4.5])


def test_more_cores_change_no_bit():
    """Networks are drawn one after the other, and computed side by side."""
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(8), 9)
    for name in ("synflow", "naswot", "zico"):
        one, four = (make(case(name), task=replace(make_task(skeleton=SHORT), cores=cores)) for cores in (1, 4))
        assert bits(all_scores(one, archs)) == bits(all_scores(four, archs))
