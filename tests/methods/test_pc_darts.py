"""PC-DARTS: what passes an edge by, the shuffle, weights of edges, and full channels as DARTS."""

import numpy as np
import pytest
import torch

from mngnas.errors import UserError
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import batch_norm
from mngnas.nets.partial_supernet import INCOMING, PartialCell, PartialSupernet, shuffled
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import EDGES
from tests.methods.cases import make_task, run
from tests.methods.gradient_cases import method_of, set_alpha, step_of

WIDE = Skeleton(channels=8, cells=1, stages=2)


def pictures(channels=3, b=4):
    x = torch.randn(b, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    return x.to(memory_format=torch.channels_last)


def uniform():
    shares = torch.tensor([1.0, 1 / 2, 1 / 2, 1 / 3, 1 / 3, 1 / 3])
    return shares[:, None].expand(6, 5) / 5


def filled(cell, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in cell.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return cell


def test_the_shuffle_is_a_permutation_that_mixes_groups():
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert shuffled(x, 4).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    assert torch.equal(shuffled(x, 1), x)


def test_channels_that_pass_by_are_the_inputs_up_to_the_shuffle():
    """An edge of one operation: the rest of the channels, wherever the shuffle puts it, is the cell's input."""
    cell, x = filled(PartialCell(8, False, 4)), pictures(8)
    weights = torch.zeros(6, 5)
    weights[3, 3] = 1.0  # 0->3, 3x3 convolution
    found = cell.mixed(x, weights, batch_norm)
    places = shuffled(torch.arange(8.0).reshape(1, 8, 1, 1), 4).flatten().long()
    for channel, source in enumerate(places.tolist()):
        assert torch.equal(found[:, channel], x[:, source]) == (source >= 2)
    none = torch.zeros(6, 5)
    none[3, 0] = 1.0
    handed_on = cell.mixed(x, none, batch_norm)
    for channel, source in enumerate(places.tolist()):
        assert torch.equal(handed_on[:, channel], x[:, source] if source >= 2 else torch.zeros_like(x[:, 0]))


def test_on_all_channels_with_equal_edges_it_is_darts_over_the_number_of_inputs():
    partial, full = PartialSupernet(WIDE, 3, parts=1), CellSupernet(WIDE, 3)
    for one, other in zip(partial.parameters(), full.parameters(), strict=True):
        assert torch.equal(one, other)
    found, expected = (net.mixed(pictures(), uniform()).logits for net in (partial, full))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", [(3, 1, 2, 4, 3, 1), (0, 3, 0, 1, 0, 2), (0,) * 6])
def test_a_path_on_all_channels_is_the_mixture_of_one_operation_an_edge(arch):
    partial, full = PartialSupernet(WIDE, 3, parts=1), CellSupernet(WIDE, 3)
    one_hot = torch.nn.functional.one_hot(torch.tensor(arch), 5) * uniform() * 5
    torch.testing.assert_close(
        partial(pictures(), arch).logits, full.mixed(pictures(), one_hot).logits, rtol=1e-4, atol=1e-5
    )


def test_a_path_on_a_part_is_the_mixture_where_no_edge_is_none():
    """`none` has no edge in a path; a mixture hands the other channels on."""
    partial, arch = PartialSupernet(WIDE, 3, parts=4), (3, 1, 2, 4, 3, 1)
    shares = torch.tensor([1.0, 0.3, 0.7, 0.2, 0.2, 0.6])
    partial.set_shares(shares)
    weights = torch.nn.functional.one_hot(torch.tensor(arch), 5) * shares[:, None]
    torch.testing.assert_close(
        partial(pictures(), arch).logits, partial.mixed(pictures(), weights).logits, rtol=1e-4, atol=1e-5
    )


def test_scoring_many_is_scoring_each():
    partial = PartialSupernet(WIDE, 3, parts=4)
    archs = [(0, 0, 0, 3, 0, 0), (3, 1, 2, 4, 3, 1)]
    with torch.no_grad():
        alone = torch.stack([partial(pictures(), arch).logits for arch in archs])
        assert torch.equal(torch.stack(list(partial.each(pictures(), archs))), alone)
        assert torch.equal(partial.together(pictures(), archs), alone)


def test_an_operation_has_a_quarter_of_the_channels():
    sizes = [cell.conv3x3.weight.shape for cell in PartialSupernet(WIDE, 0, parts=4).cells]
    assert sizes == [(6, 2, 2, 3, 3), (6, 4, 4, 3, 3)]


def test_edge_weights_sum_to_one_in_every_node():
    method = method_of("pc-darts")
    with torch.no_grad():
        method.beta.copy_(torch.arange(6.0))
    weights = method.edge_weights().detach()
    for node in (1, 2, 3):
        assert weights[[e for e, (_, to) in enumerate(EDGES) if to == node]].sum().item() == pytest.approx(1)
    assert weights[0] == 1
    assert weights[1].item() == pytest.approx(1 / (1 + np.e))
    assert [edge for edges in INCOMING for edge in edges] == list(range(6))
    set_alpha(method)
    rows = method.mixture_weights(None).detach()
    torch.testing.assert_close(rows.sum(1), weights)
    torch.testing.assert_close(rows / rows.sum(1, keepdim=True), method.alpha.detach().softmax(1))


def test_paths_are_scored_with_the_weights_of_edges():
    method = method_of("pc-darts")
    with torch.no_grad():
        method.beta.copy_(torch.arange(6.0))
    method.weight_step(step_of(method))
    for cell in method.supernet.cells:
        assert torch.equal(cell.shares, method.edge_weights().detach())
    method.supernet.set_shares(torch.ones(6))
    other = method_of("pc-darts")
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.supernet.cells[0].shares, torch.ones(6))


def test_architecture_parameters_wait_for_the_warm_up():
    method = method_of("pc-darts")
    first = [p.detach().clone() for p in method.architecture_parameters]
    while method.spent < 0.3:
        assert all(torch.equal(p, f) for p, f in zip(method.architecture_parameters, first, strict=True))
        before = method.passes
        method.advance()
        assert method.passes - before == 1.25
    before = method.passes
    method.advance()
    assert method.passes - before == 2.5
    assert not any(torch.equal(p, f) for p, f in zip(method.architecture_parameters, first, strict=True))


def test_betas_factor_is_the_same_for_all_architectures():
    method = run(method_of("pc-darts"), 40)
    archs = np.array([(0, 1, 2, 3, 4, 0), (3,) * 6, (1,) * 6])
    logs = method.mixture_weights(None).detach().double().log().numpy()
    with_beta = logs[np.arange(6), archs].sum(1)
    difference = with_beta - method.log_probability(archs)
    assert difference == pytest.approx([difference[0]] * 3, abs=1e-5)


def test_channels_that_cannot_be_split_are_an_error_in_one_line():
    task = make_task(skeleton=Skeleton(channels=6, cells=1))
    with pytest.raises(UserError, match=r"^pc-darts.parts = 4 does not divide supernet.channels = 6$"):
        method_of("pc-darts", task)
