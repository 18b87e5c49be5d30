"""Timings of single parts. The test suite runs each once; to measure:

.venv/bin/python -m pytest tests/speed --benchmark-enable
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.speed.measure import SETTINGS, _FairSets, _pictures
from bench.speed.reference_supernet import ReferenceSupernet, scores, train_step
from bench.stats.intervals import bootstrap
from bench.stats.metrics import kendall_tau_b, named
from bench.truth import load_table
from mngnas.data.datasets import ImageData
from mngnas.data.images import scoring_batch, training_batch
from mngnas.methods.base import NoSettings, Task
from mngnas.methods.mngnas.descent import capped_min_norm
from mngnas.methods.mngnas.distillation import Combination, Teacher, guide, teacher_features
from mngnas.nets.build import fair_set_step
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.settings import Augmentation, RetrainingConfig, ScoringConfig, TrainingConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY, live_graph
from mngnas.train.scoring import Scorer

SMALL, FULL = SETTINGS
ARCH = (3, 1, 2, 4, 3, 2)


@pytest.fixture(scope="module")
def images():
    return _pictures(SMALL, "cpu")


@pytest.mark.parametrize("setting", SETTINGS, ids=["reduced", "full"])
@pytest.mark.parametrize("way", ["path by path", "one static graph"])
def test_a_fair_step(benchmark, setting, way):
    training, scoring = TrainingConfig(passes=10**9, batch_size=setting.batch), ScoringConfig()
    pictures = _pictures(setting, "cpu")
    settings = training, Augmentation(crop=2, flip=True), scoring, scoring, RetrainingConfig()
    task = Task(TOPOLOGY, 0, ImageData(pictures, pictures, pictures), setting.skeleton, *settings)
    method = _FairSets(NoSettings(), task)
    method._fair_set = fair_set_step(method.supernet) if way == "one static graph" else None
    benchmark(method.advance)
    assert method.passes == 5 * method.steps > 0


@pytest.mark.parametrize("setting", SETTINGS, ids=["reduced", "full"])
@pytest.mark.parametrize("layout", ["channels last", "contiguous", "channels last, bfloat16"])
@pytest.mark.parametrize("threads", [1, 2])
def test_one_path_forward_and_backward(benchmark, setting, layout, threads):
    supernet = CellSupernet(setting.skeleton, 0)
    batch = training_batch(_pictures(setting, "cpu"), 0, setting.batch, Augmentation(), 0)
    images = batch.images.bfloat16() if "bfloat16" in layout else batch.images
    if layout == "contiguous":
        images = images.contiguous()
        for parameter in supernet.parameters():
            parameter.data = parameter.data.contiguous()

    def path():
        loss = F.cross_entropy(supernet(images, ARCH).logits, batch.labels)
        loss.backward()
        return loss

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert benchmark(path).item() > 0
    finally:
        torch.set_num_threads(before)


def test_a_plain_step(benchmark, images):
    net = ReferenceSupernet(SMALL.skeleton)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9, nesterov=True, foreach=False)
    batch = training_batch(images, 0, SMALL.batch, Augmentation(crop=2, flip=True), 0)
    batch, rng = replace(batch, images=batch.images.contiguous()), np.random.default_rng(0)
    assert benchmark(lambda: train_step(net, optimizer, batch, TOPOLOGY.sample_uniform(rng, 1)[0])) > 0


def test_a_training_batch(benchmark, images):
    steps = iter(range(10**9))
    augmentation = Augmentation(crop=2, flip=True)
    assert len(benchmark(lambda: training_batch(images, next(steps), 128, augmentation, 0)).labels) == 128


@pytest.mark.parametrize("paths_at_once", [1, 5, 25])
def test_scoring_live_graphs(benchmark, images, paths_at_once):
    scorer = Scorer(CellSupernet(SMALL.skeleton, 0), ScoringConfig(250, 125), images, images)
    scorer.paths_at_once = paths_at_once
    archs = sorted({live_graph(TOPOLOGY.from_index(index)) for index in range(60)}, key=TOPOLOGY.to_rank)[:25]
    assert len(benchmark(lambda: scorer(archs)).loss) == 25


def test_scoring_plainly(benchmark, images):
    net, batch = ReferenceSupernet(SMALL.skeleton), scoring_batch(images.subset(np.arange(125)))
    archs = [TOPOLOGY.from_index(index) for index in range(5)]
    assert len(benchmark(lambda: scores(net, [batch], archs))) == 5


@pytest.mark.parametrize("k", [2, 4, 8])
def test_the_min_norm_problem(benchmark, k):
    gradients = torch.randn((3, k, 20), generator=torch.Generator().manual_seed(0))
    assert benchmark(lambda: capped_min_norm(gradients @ gradients.mT, 0.6)).shape == (3, k)


def test_guidance_of_a_path(benchmark, images):
    batch = training_batch(images, 0, 64, Augmentation(), 0)
    archs = TOPOLOGY.sample_strictly_fair(np.random.default_rng(0))
    teachers = [Teacher(n, arch, CellSupernet(Skeleton(8, 1), n), 1.0) for n, arch in enumerate(archs[:4])]
    seen, output = teacher_features(teachers, batch), CellSupernet(Skeleton(8, 1), 9)(batch.images, archs[4])
    assert benchmark(lambda: guide(output, archs[4], seen, Combination())).alpha.shape == (3, 4)


def test_tau_of_the_space(benchmark):
    true = np.random.default_rng(0).normal(size=TOPOLOGY.n_arch).round(2)
    assert benchmark(lambda: kendall_tau_b(true + 1, true)) == pytest.approx(1)


def test_a_bootstrap_of_the_space(benchmark):
    true = np.random.default_rng(0).normal(size=TOPOLOGY.n_arch).round(2)
    metrics = named(["kendall_tau_b"])
    found = benchmark(lambda: bootstrap(true + 1, true, metrics, resamples=100, rng=np.random.default_rng(0)))
    assert found["kendall_tau_b"].value == pytest.approx(1)


def test_loading_a_table(benchmark):
    assert benchmark(lambda: load_table("digits201")).name == "digits201"
