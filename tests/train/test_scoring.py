"""Scores of many architectures against one at a time."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.errors import UserError
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.norms import RecordingNorm, ReplayNorm, batch_norm
from mngnas.settings import ScoringConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY, live_graph
from mngnas.train.scoring import Scorer
from tests.train.pictures import random_images


@pytest.fixture(scope="module")
def supernet():
    return CellSupernet(Skeleton(channels=4, cells=2), seed=3)


def plain(supernet, scorer, arch):
    """The readable twin: one architecture, one batch at a time, nothing shared."""
    losses, right = [], 0
    for batch in scorer.batches:
        logits = supernet(batch.images, arch, _norm(supernet, scorer, arch)).logits
        losses.append(F.cross_entropy(logits, batch.labels).item())
        right += (logits.argmax(1) == batch.labels).sum().item()
    return right / scorer.config.images, np.mean(losses)


def _norm(supernet, scorer, arch):
    if scorer.calibration is None:
        return batch_norm
    recording = RecordingNorm()
    supernet(scorer.calibration, arch, recording)
    return ReplayNorm(recording.statistics)


@pytest.mark.parametrize("mode", ["batch", "recalibrated"])
def test_scorer_agrees_with_one_at_a_time(supernet, mode):
    config = ScoringConfig(images=40, batch_size=20, batch_norm=mode, recalibration_images=30)
    scorer = Scorer(supernet, config, random_images(), random_images(seed=1))
    # Neighbours in rank share most, random ones little; dead edges and the disconnected are among them.
    archs = [
        TOPOLOGY.from_index(0),
        (0,) * 6,
        (1, 0, 0, 0, 0, 3),
        *TOPOLOGY.sample_uniform(np.random.default_rng(0), 15),
    ]
    archs += [(3, 2, 4, 1, op, other) for op in range(5) for other in range(5)]
    found = scorer(archs)
    with torch.inference_mode():
        expected = np.array([plain(supernet, scorer, arch) for arch in archs])
    np.testing.assert_array_equal(found.accuracy, expected[:, 0])
    np.testing.assert_allclose(found.loss, expected[:, 1], rtol=1e-5)
    assert len(np.unique(found.loss)) > 20


def test_same_live_graph_same_score(supernet):
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=20), random_images(), random_images())
    archs = [tuple(map(int, row)) for row in TOPOLOGY.all_archs[:200]]
    whole, live = scorer(archs), scorer([live_graph(arch) for arch in archs])
    np.testing.assert_array_equal(whole.loss, live.loss)
    assert sum(arch != live_graph(arch) for arch in archs) > 20


def test_scores_do_not_depend_on_what_else_is_scored(supernet):
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=10), random_images(), random_images())
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(1), 30)
    np.testing.assert_array_equal(scorer(archs).loss, np.concatenate([scorer(archs[:7]).loss, scorer(archs[7:]).loss]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_norm": "running"}, "unknown scoring.batch_norm 'running'; available: batch, recalibrated"),
        ({"images": 100, "batch_size": 30}, "scoring.images = 100 is not a positive multiple of batch_size = 30"),
    ],
)
def test_bad_configurations_are_refused(config, message):
    with pytest.raises(UserError) as caught:
        ScoringConfig(**config)
    assert str(caught.value) == message


def test_more_images_than_there_are(supernet):
    with pytest.raises(UserError, match="more than the 60 validation images"):
        Scorer(supernet, ScoringConfig(images=100, batch_size=50), random_images(), random_images())


def test_two_supernets_are_scored_on_the_same_images(supernet):
    other = CellSupernet(supernet.skeleton, seed=4)
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=20), random_images(), random_images())
    archs = TOPOLOGY.sample_uniform(np.random.default_rng(2), 10)
    own = Scorer(other, ScoringConfig(images=20, batch_size=20), random_images(), random_images())
    np.testing.assert_array_equal(scorer(archs, other).loss, own(archs).loss)
    assert not np.array_equal(scorer(archs).loss, own(archs).loss)


def test_the_images_are_a_fixed_sample(supernet):
    """Of any two runs the same; not the first ones, which may be of one class."""
    images = random_images()
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=10), images, images)
    labels = torch.cat([batch.labels for batch in scorer.batches])
    assert torch.equal(labels, images.labels[torch.as_tensor(np.random.default_rng(0).permutation(60)[:20])])


def test_too_few_images_to_recalibrate_with(supernet):
    config = ScoringConfig(images=20, batch_size=20, batch_norm="recalibrated", recalibration_images=61)
    with pytest.raises(UserError, match=r"^scoring.recalibration_images = 61 is outside 2..60$"):
        Scorer(supernet, config, random_images(), random_images())


def test_nothing_at_all(supernet):
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=20), random_images(), random_images())
    assert scorer([]).loss.shape == scorer([]).accuracy.shape == (0,)
