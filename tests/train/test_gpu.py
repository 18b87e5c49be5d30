"""What only a GPU can show: the recorded graph, steps that the host does not wait for, scores of many paths at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.datasets import ImageData
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.many_paths import FairSetStep
from mngnas.settings import ScoringConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY
from mngnas.train.scoring import Scorer
from tests.methods.cases import ARCHS, METHODS, all_scores, build, make_task
from tests.train.pictures import learnable_images, random_batch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
GPU, CPU = torch.device("cuda"), torch.device("cpu")
SKELETON = Skeleton(channels=8, cells=2)
CHANGES = {
    "mngnas": {"warmup": 0.2, "rounds": 2, "candidates": 2, "search_share": 0.1, "retraining_share": 0.1},
    "random-search": {"seconds": 50.0},
}


def method_on(device, name, config=None, **training):
    entry = METHODS[name].load()
    data = ImageData(*(learnable_images(160, seed).to(device) for seed in (0, 1, 2)))
    task = make_task(data=data, skeleton=SKELETON, **training)
    config = config or entry.Config(**CHANGES.get(name, {}))
    return build(METHODS[name], config, task)


@pytest.fixture(autouse=True)
def _exact():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def test_the_recorded_graph_is_replayed_with_new_numbers():
    """Gradients of several sets, each against single paths on the GPU."""
    net, (images, labels) = CellSupernet(SKELETON, 0).to(GPU), random_batch()
    step, on_gpu = FairSetStep(net), (images.to(GPU), labels.to(GPU))
    for seed in range(4):
        archs = TOPOLOGY.sample_strictly_fair(np.random.default_rng(seed))
        loss = step(*on_gpu, archs)
        recorded = [parameter.grad.clone() for parameter in net.parameters()]
        net.zero_grad()
        losses = [F.cross_entropy(net(on_gpu[0], arch).logits, on_gpu[1]) for arch in archs]
        torch.stack(losses).sum().backward()
        assert loss.item() == pytest.approx(sum(losses).item() / 5, rel=1e-4)
        for fast, parameter in zip(recorded, net.parameters(), strict=True):
            if parameter.grad is not None:
                assert (fast - parameter.grad).norm() <= 1e-3 * parameter.grad.norm() + 1e-5


def test_a_supernet_learns_the_same_as_on_the_cpu():
    found = [method_on(device, "fairnas", learning_rate=0.01, passes=100) for device in (GPU, CPU)]
    for _ in range(5):
        for method in found:
            method.advance()
    for one, other in zip(found[0].supernet.cpu().parameters(), found[1].supernet.parameters(), strict=True):
        assert (one - other).norm() <= 1e-2 * other.norm()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_to_its_end(name):
    method = method_on(GPU, name, bfloat16=METHODS[name].info.kind in ("supernet", "gradient"), passes=100)
    before = all_scores(method)
    while not method.done:
        method.advance()
    after = all_scores(method)
    assert all(np.isfinite(values).all() for columns in after.values() for values in columns.values())
    if "inherited" in after:
        assert after["inherited"]["minus_loss"].mean() > before["inherited"]["minus_loss"].mean()


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.info.kind == "supernet"])
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_the_host_does_not_wait_inside_a_step(name):
    config = METHODS[name].load().Config
    if name == "mngnas":
        config = config(warmup=0.0, rounds=1, candidates=1, perturbation="off", search_share=0.02)
    else:
        config = config()
    method = method_on(GPU, name, config, passes=10_000)
    for _ in range(4):  # libraries choose, the graph is recorded, the round of search is done
        method.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            method.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_scores_of_many_paths_are_those_of_single_ones():
    net, valid = CellSupernet(SKELETON, 0).to(GPU), learnable_images(60, seed=1).to(GPU)
    scorer = Scorer(net, ScoringConfig(images=60, batch_size=20), valid, valid)
    archs = [*TOPOLOGY.sample_uniform(np.random.default_rng(1), 300), (0,) * 6, *ARCHS]
    assert scorer.paths_at_once > 1
    found = scorer(archs)
    scorer.paths_at_once = 1
    twin = scorer(archs)
    np.testing.assert_allclose(found.loss, twin.loss, rtol=1e-3)
    cpu = Scorer(net.cpu(), ScoringConfig(images=60, batch_size=20), *(replace(valid).to(CPU),) * 2)
    np.testing.assert_allclose(found.loss, cpu(archs).loss, rtol=1e-3)
