import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mngnas.data.images import ImageSet
from mngnas.errors import UserError
from mngnas.nets.cell_supernet import RecordingNorm, ReplayNorm, Skeleton, Supernet, batch_norm, sample_uniform
from mngnas.spaces.topology import all_archs, from_index, live_graph
from mngnas.train.scoring import Scorer, ScoringConfig


def made_up_images(n=60, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, size, size), generator=generator).to(torch.uint8)
    return ImageSet("made-up", pixels, torch.randint(0, 10, (n,), generator=generator), 10, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def supernet():
    return Supernet(Skeleton(channels=4, cells=2), seed=3)


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
    scorer = Scorer(supernet, config, made_up_images(), made_up_images(seed=1))
    # Neighbours in rank share most, random ones little; dead edges and the disconnected are among them.
    archs = [from_index(0), (0,) * 6, (1, 0, 0, 0, 0, 3), *sample_uniform(np.random.default_rng(0), 15)]
    archs += [(3, 2, 4, 1, op, other) for op in range(5) for other in range(5)]
    found = scorer(archs)
    with torch.inference_mode():
        expected = np.array([plain(supernet, scorer, arch) for arch in archs])
    np.testing.assert_array_equal(found.accuracy, expected[:, 0])
    np.testing.assert_allclose(found.loss, expected[:, 1], rtol=1e-5)
    assert len(np.unique(found.loss)) > 20


def test_same_live_graph_same_score(supernet):
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=20), made_up_images(), made_up_images())
    archs = [tuple(map(int, row)) for row in all_archs()[:200]]
    whole, live = scorer(archs), scorer([live_graph(arch) for arch in archs])
    np.testing.assert_array_equal(whole.loss, live.loss)
    assert sum(arch != live_graph(arch) for arch in archs) > 20


def test_scores_do_not_depend_on_what_else_is_scored(supernet):
    scorer = Scorer(supernet, ScoringConfig(images=20, batch_size=10), made_up_images(), made_up_images())
    archs = sample_uniform(np.random.default_rng(1), 30)
    np.testing.assert_array_equal(scorer(archs).loss, np.concatenate([scorer(archs[:7]).loss, scorer(archs[7:]).loss]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_norm": "running"}, "unknown batch_norm 'running'; available: batch, recalibrated"),
        ({"images": 100, "batch_size": 30}, "scoring.images = 100 is not a positive multiple of batch_size = 30"),
    ],
)
def test_bad_configurations_are_refused(config, message):
    with pytest.raises(UserError) as caught:
        ScoringConfig(**config)
    assert str(caught.value) == message


def test_more_images_than_there_are(supernet):
    with pytest.raises(UserError, match="more than the 60 validation images"):
        Scorer(supernet, ScoringConfig(images=100, batch_size=50), made_up_images(), made_up_images())
