"""Retraining single architectures from a supernet's weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mngnas.data.images import scoring_batch
from mngnas.errors import UserError
from mngnas.methods.mngnas.mngnas import Mngnas, MngnasConfig
from mngnas.train.loop import TrainingConfig
from mngnas.train.retraining import RetrainingConfig, cosine, retrained_scores
from mngnas.train.scoring import Scorer, ScoringConfig
from tests.test_training import learnable_images, make_trainer, train, weights

ARCH = (3, 1, 2, 4, 3, 1)
CONFIG = TrainingConfig(passes=60, batch_size=16)
RETRAINING = RetrainingConfig(archs=1, steps=30)


def retrained(trainer, config=RETRAINING, arch=ARCH):
    scorer = Scorer(
        trainer.supernet, ScoringConfig(images=100, batch_size=50), learnable_images(100, 1), trainer.images
    )
    loss = trainer.strategy.retraining_loss
    return retrained_scores(trainer.supernet, arch, loss, trainer.retraining_batch, config, scorer), scorer([arch])


def test_it_trains_a_copy():
    trainer = train(make_trainer("fairnas", config=CONFIG))
    before = weights(trainer)
    after, inherited = retrained(trainer)
    assert after.loss.shape == (1,)
    assert after.loss[0] < inherited.loss[0] - 0.05
    assert torch.equal(weights(trainer), before)
    again, _ = retrained(trainer)
    assert again.loss[0] == after.loss[0]


def test_the_batches_are_none_of_the_supernets():
    trainer = make_trainer("fairnas", config=CONFIG)
    assert not torch.equal(trainer.retraining_batch(0).images, trainer._batch(0, trainer.seed).images)
    assert torch.equal(trainer.retraining_batch(3).images, trainer.retraining_batch(3).images)


def test_the_pool_guides_it_and_its_price_is_counted():
    config = MngnasConfig(warmup=0.2, rounds=2, candidates=1, search_share=0.1, perturbation="off")
    trainer = train(make_trainer(Mngnas(config), config=replace(CONFIG, passes=150)))
    strategy = trainer.strategy
    assert strategy.pool
    assert strategy.retraining_price == 1 + len(strategy.pool) / 3
    batch = trainer.retraining_batch(0)
    _, guidance = strategy.retraining_loss(trainer.supernet, ARCH, batch)
    assert guidance > 0
    guided, _ = retrained(trainer)
    strategy.config = replace(config, guides="supernet")
    assert strategy.retraining_price == 1
    _, guidance = strategy.retraining_loss(trainer.supernet, ARCH, batch)
    assert guidance == 0
    plain, _ = retrained(trainer)
    assert plain.loss[0] != guided.loss[0]


def test_the_teachers_predictions_guide_too():
    config = MngnasConfig(warmup=0.2, rounds=1, candidates=1, search_share=0.1, perturbation="off", logits=1.0)
    trainer = train(make_trainer(Mngnas(config), config=replace(CONFIG, passes=150)))
    batch = scoring_batch(learnable_images(20, 3))
    strategy = trainer.strategy
    with_logits, _ = strategy.retraining_loss(trainer.supernet, ARCH, batch)
    strategy.config = replace(config, logits=0.0)
    without, _ = strategy.retraining_loss(trainer.supernet, ARCH, batch)
    teacher = strategy.pool[0]
    prediction = teacher.network(batch.images, teacher.arch).logits.softmax(1)
    logits = trainer.supernet(batch.images, ARCH).logits.log_softmax(1)
    expected = -(prediction * logits).sum(1).mean()
    assert (with_logits - without).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("mistake", [{"steps": 0}, {"learning_rate": 0.0}])
def test_refuses(mistake):
    with pytest.raises(UserError, match="retraining"):
        RetrainingConfig(**mistake)


def test_the_cosine_falls_from_one_to_zero():
    np.testing.assert_allclose([cosine(share) for share in (0, 0.5, 1)], [1, 0.5, 0], atol=1e-12)
