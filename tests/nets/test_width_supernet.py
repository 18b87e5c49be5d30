import numpy as np
import pytest
import torch
from torch import nn

from mngnas.nets.build import build_network, build_supernet, fair_set_step
from mngnas.nets.norms import RecordingNorm, ReplayNorm
from mngnas.spaces.size import SIZE, widths
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import CONV_3X3, TOPOLOGY

SMALL = Skeleton(2, 1, classes=5)  # widths 1 to 8
POOLED = Skeleton(4, 1, classes=3, in_channels=1, residual_reduction=False)
ARCHS = [(0, 0, 0, 0, 0), (7, 7, 7, 7, 7), (2, 5, 5, 1, 6), (3, 3, 0, 0, 7)]


def pictures(skeleton, n=6):
    return torch.randn(n, skeleton.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))


def copied(supernet, arch, skeleton):
    """The architecture's own network with the slices of the supernet's weights, layer by layer."""
    network = build_network(SIZE, arch, skeleton, 1)
    c = widths([arch], skeleton)[0]

    def put(sequence, sliced, c_in, c_out):
        conv = next(module for module in sequence if isinstance(module, nn.Conv2d))
        norm = next(module for module in sequence if isinstance(module, nn.BatchNorm2d))
        conv.weight.copy_(sliced.weight[:c_out, :c_in])
        if sliced.scale is not None:
            norm.weight.copy_(sliced.scale[:c_out])
            norm.bias.copy_(sliced.shift[:c_out])

    with torch.no_grad():
        put(network.stem, supernet.stem, skeleton.in_channels, c[0])
        for place, (layer, shared) in enumerate(zip(network.body, supernet.layers, strict=True)):
            i, o = c[[0, 0, 1, 2, 3][place]], c[[0, 1, 2, 3, 4][place]]
            if place % 2 == 0:
                for edge, op in enumerate(TOPOLOGY.parse(SIZE.cell)):
                    if op == CONV_3X3:
                        put(layer.edges[edge], shared.convs[str(edge)], i if edge in (0, 1) else o, o)
                    elif i != o:
                        put(layer.edges[edge], shared.skip, i, o)
            elif skeleton.residual_reduction:
                put(layer.first, shared.first, i, o)
                put(layer.second, shared.second, o, o)
                layer.shortcut[1].weight.copy_(shared.shortcut[:o, :i])
            else:
                put(layer, shared.first, i, o)
        network.head.weight.copy_(supernet.head_weight[:, : c[-1]])
        network.head.bias.copy_(supernet.head_bias)
    return network


@pytest.mark.parametrize("skeleton", [SMALL, POOLED])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_path_is_the_network_with_the_first_channels(skeleton, arch):
    supernet = build_supernet(SIZE, skeleton, 0)
    with torch.no_grad():
        for name, parameter in supernet.named_parameters():
            if "s" in name.rpartition(".")[2] and parameter.dim() == 1:
                parameter.add_(torch.rand(parameter.shape, generator=torch.Generator().manual_seed(3)))
        supernet.last_scale.fill_(1.0)
        supernet.last_shift.zero_()
    found, own = supernet(pictures(skeleton), arch), copied(supernet, arch, skeleton).output(pictures(skeleton))
    torch.testing.assert_close(found.logits, own.logits, atol=1e-4, rtol=1e-4)
    for one, other in zip(found.features, own.features, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert [one.shape[1] for one in found.features] == widths([arch], skeleton)[0, [0, 2, 4]].tolist()


def test_scoring_in_order_of_rank_shares_layers_and_changes_nothing():
    supernet = build_supernet(SIZE, SMALL, 0)
    some = sorted(SIZE.sample_uniform(np.random.default_rng(0), 20) + ARCHS + [(2, 5, 5, 1, 5), (2, 5, 5, 1, 7)])
    with torch.no_grad():
        for arch, logits in zip(some, supernet.each(pictures(SMALL), some), strict=True):
            assert torch.equal(logits, supernet(pictures(SMALL), arch).logits)


def test_layers_that_are_shared_are_run_once():
    supernet, runs = build_supernet(SIZE, SMALL, 0), []
    for place, layer in enumerate(supernet.layers):
        layer.register_forward_hook(lambda *_, place=place: runs.append(place))
    archs = [(1, 1, 1, 1, last) for last in range(8)] + [(1, 1, 1, 2, 0)]
    list(supernet.each(pictures(SMALL), archs))
    assert [runs.count(place) for place in range(5)] == [1, 1, 1, 2, 9]


def test_only_the_first_channels_are_trained():
    supernet = build_supernet(SIZE, SMALL, 0)
    supernet(pictures(SMALL), (0, 1, 2, 3, 4)).logits.square().sum().backward()
    c = widths([(0, 1, 2, 3, 4)], SMALL)[0]
    first = supernet.layers[0].convs["0"].weight.grad
    assert first[: c[0], : c[0]].abs().sum() > 0
    assert first[c[0] :].abs().sum() == first[:, c[0] :].abs().sum() == 0
    assert supernet.layers[0].skip.weight.grad is None  # the first cell never changes its width
    last = supernet.layers[4].skip.weight.grad
    assert last[c[4] :].abs().sum() == 0
    assert last[: c[4], : c[3]].abs().sum() > 0


@torch.no_grad()
def test_recorded_statistics_serve_the_path_that_recorded_them():
    supernet, recording = build_supernet(SIZE, SMALL, 0), RecordingNorm()
    for arch in ARCHS:
        recording = RecordingNorm()
        wanted = supernet(pictures(SMALL), arch, recording).logits
        found = supernet(pictures(SMALL), arch, ReplayNorm(recording.statistics)).logits
        torch.testing.assert_close(found, wanted, atol=5e-2, rtol=5e-2)


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (build_supernet(SIZE, SMALL, seed) for seed in (4, 4, 5))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.head_weight, other.head_weight)
    assert fair_set_step(one) is None
