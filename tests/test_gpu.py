"""What only a GPU can show: the recorded graph, steps that the host does not wait for, scores of many paths at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mngnas.data.images import Augmentation
from mngnas.methods.mngnas.mngnas import Mngnas, MngnasConfig
from mngnas.methods.registry import STRATEGIES, Search, make_strategy
from mngnas.nets.cell_supernet import Skeleton, Supernet, sample_strictly_fair, sample_uniform
from mngnas.nets.many_paths import FairSetStep
from mngnas.train.loop import Trainer, TrainingConfig
from mngnas.train.scoring import Scorer, ScoringConfig
from tests.test_paths import batch, relative_difference
from tests.test_training import learnable_images

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
GPU = torch.device("cuda")
SKELETON = Skeleton(channels=8, cells=2)


def trainer_on(device, strategy, passes=100, **changes):
    supernet = Supernet(SKELETON, 0).to(device)
    images, valid = (learnable_images(160, seed).to(device) for seed in (0, 1))
    search = Search(Scorer(supernet, ScoringConfig(images=40, batch_size=20), valid, images), 1.0)
    config = TrainingConfig(passes=passes, batch_size=16, **changes)
    return Trainer(supernet, strategy, config, images, Augmentation(crop=1, flip=True), 0, search)


@pytest.fixture(autouse=True)
def _exact():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def test_the_recorded_graph_is_replayed_with_new_numbers():
    """Gradients of several sets, each against single paths on the GPU and the first against the CPU."""
    net, (images, labels) = Supernet(SKELETON, 0).to(GPU), batch()
    step, on_gpu = FairSetStep(net), (images.to(GPU), labels.to(GPU))
    for seed in range(4):
        archs = sample_strictly_fair(np.random.default_rng(seed))
        loss = step(*on_gpu, archs)
        recorded = [parameter.grad.clone() for parameter in net.parameters()]
        net.zero_grad()
        losses = [torch.nn.functional.cross_entropy(net(on_gpu[0], arch).logits, on_gpu[1]) for arch in archs]
        torch.stack(losses).sum().backward()
        assert loss.item() == pytest.approx(sum(losses).item() / 5, rel=1e-4)
        for fast, parameter in zip(recorded, net.parameters(), strict=True):
            if parameter.grad is not None:
                assert (fast - parameter.grad).norm() <= 1e-3 * parameter.grad.norm() + 1e-5


def test_a_supernet_learns_the_same_as_on_the_cpu():
    found = [trainer_on(device, make_strategy("fairnas"), learning_rate=0.01) for device in (GPU, torch.device("cpu"))]
    for _ in range(5):
        for trainer in found:
            trainer.step()
    assert relative_difference(found[0].supernet.cpu(), found[1].supernet) < 1e-2


@pytest.mark.parametrize("name", [name for name in STRATEGIES if "-" not in name])
def test_every_strategy_runs_to_its_end(name):
    config = MngnasConfig(warmup=0.2, rounds=2, candidates=2, search_share=0.1)
    trainer = trainer_on(GPU, make_strategy(name, config), bfloat16=True)
    first = trainer.step().loss.item()
    while not trainer.done:
        last = trainer.step().loss.item()
    assert last < first


@pytest.mark.parametrize("name", ["spos", "fairnas", "mngnas"])
def test_the_host_does_not_wait_inside_a_step(name):
    config = MngnasConfig(warmup=0.0, rounds=1, candidates=1, perturbation="off", search_share=0.02)
    trainer = trainer_on(GPU, Mngnas(config) if name == "mngnas" else make_strategy(name), passes=10_000)
    for _ in range(4):  # libraries choose, the graph is recorded, the round of search is done
        trainer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_scores_of_many_paths_are_those_of_single_ones():
    net, valid = Supernet(SKELETON, 0).to(GPU), learnable_images(60, seed=1).to(GPU)
    scorer = Scorer(net, ScoringConfig(images=60, batch_size=20), valid, valid)
    archs = [*sample_uniform(np.random.default_rng(1), 300), (0,) * 6]
    assert scorer.paths_at_once > 1
    found = scorer(archs)
    scorer.paths_at_once = 1
    twin = scorer(archs)
    np.testing.assert_allclose(found.loss, twin.loss, rtol=1e-3)
    cpu = Scorer(net.cpu(), ScoringConfig(images=60, batch_size=20), *(replace(valid).to(torch.device("cpu")),) * 2)
    np.testing.assert_allclose(found.loss, cpu(archs).loss, rtol=1e-3)
