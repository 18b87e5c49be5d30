"""Training: the loop, and the contract that every strategy in the list keeps."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from mngnas.data.images import Augmentation, ImageSet, training_batch
from mngnas.errors import UserError
from mngnas.methods.registry import STRATEGIES, Search, StepContext, make_strategy
from mngnas.nets.cell_supernet import Skeleton, Supernet, sample_strictly_fair, sample_uniform
from mngnas.train.loop import Trainer, TrainingConfig
from mngnas.train.scoring import Scorer, ScoringConfig

CONFIG = TrainingConfig(passes=40, batch_size=16)


def learnable_images(n=160, seed=0):
    """Ten classes, each with a colour of its own under noise: something that training must get right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n)
    patterns = np.random.default_rng(99).integers(0, 256, (10, 3, 1, 1))
    pixels = np.clip(patterns[labels] + rng.normal(0, 40, (n, 3, 8, 8)), 0, 255).astype(np.uint8)
    return ImageSet("made-up", torch.as_tensor(pixels), torch.as_tensor(labels), 10, (0.5,) * 3, (0.25,) * 3)


def make_trainer(strategy, seed=0, config=CONFIG):
    """A small supernet with a strategy, given itself or by name."""
    supernet = Supernet(Skeleton(channels=4, cells=1), seed)
    strategy = make_strategy(strategy) if isinstance(strategy, str) else strategy
    images, valid = learnable_images(), learnable_images(40, seed=1)
    search = Search(
        Scorer(supernet, ScoringConfig(images=40, batch_size=20), valid, images), 40 / config.batch_size / 3
    )
    return Trainer(supernet, strategy, config, images, Augmentation(flip=True), seed, search)


def train(trainer, steps=None):
    while not trainer.done and (steps is None or trainer.steps < steps):
        trainer.step()
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.supernet.parameters()])


# ------------------------------------------------------------------------------------- the contract of every strategy


@pytest.fixture(params=[name for name in STRATEGIES if "-" not in name])  # ablations have tests of their own
def name(request):
    return request.param


def test_has_what_lists_and_reports_show(name):
    entry = STRATEGIES[name]
    assert entry.name == name == make_strategy(name).name
    assert all(getattr(entry, text) for text in ("label", "paper", "description"))


def test_learns(name):
    trainer = make_trainer(name, config=replace(CONFIG, passes=300))
    scoring = ScoringConfig(images=100, batch_size=50)
    scorer = Scorer(trainer.supernet, scoring, learnable_images(100, seed=1), trainer.images)
    archs = [arch for arch in sample_uniform(np.random.default_rng(0), 30) if 3 in arch[3:5]]
    before = scorer(archs)
    train(trainer)
    after = scorer(archs)
    assert after.loss.mean() < before.loss.mean() - 0.4
    assert after.accuracy.mean() > 0.5


def test_same_seed_same_bits(name):
    one, two, other = (train(make_trainer(name, seed)) for seed in (1, 1, 2))
    assert torch.equal(weights(one), weights(two))
    assert not torch.equal(weights(one), weights(other))


def test_goes_on_from_a_saved_state_with_the_same_bits(name, tmp_path):
    whole = train(make_trainer(name))
    first = train(make_trainer(name), steps=3)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second = make_trainer(name)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    train(second)
    assert torch.equal(weights(whole), weights(second))
    assert (whole.steps, whole.passes, whole.images_seen) == (second.steps, second.passes, second.images_seen)


def test_stays_within_its_budget(name):
    trainer, cost = make_trainer(name), 0.0
    while not trainer.done:
        assert trainer.passes < CONFIG.passes
        before = trainer.passes
        cost = trainer.step().passes
        assert trainer.passes == before + cost
    assert CONFIG.passes <= trainer.passes < CONFIG.passes + cost
    assert trainer.images_seen <= trainer.passes * CONFIG.batch_size


def test_trains_every_operation_of_every_edge(name):
    trainer = make_trainer(name, config=replace(CONFIG, weight_decay=0.0))
    before = copy.deepcopy(trainer.supernet.state_dict())
    train(trainer)
    for key, value in trainer.supernet.state_dict().items():
        if key.endswith(("conv1x1.weight", "conv3x3.weight")):
            moved = (value - before[key]).flatten(1).abs().amax(1)
            assert (moved > 0).all(), f"{key}: an edge was never trained"


def test_steps_are_a_function_of_their_context_alone(name):
    """Nothing global is drawn from, so other code between the steps changes nothing."""
    one, two = make_trainer(name), make_trainer(name)
    for _ in range(4):
        one.step()
        two.step()
        np.random.rand()  # noqa: NPY002
        torch.rand(3)
    assert torch.equal(weights(one), weights(two))


# ------------------------------------------------------------------------------------------------ the loop and papers


def test_the_learning_rate_follows_the_cosine():
    trainer = make_trainer("spos", config=TrainingConfig(passes=4, batch_size=8, learning_rate=0.2))
    rates = []
    while not trainer.done:
        trainer.step()
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1 * (1 + np.cos(np.pi * k / 4)) for k in range(4)])


def test_the_gradient_is_clipped():
    free = make_trainer("spos", config=replace(CONFIG, clip=0.0))
    clipped = make_trainer("spos", config=replace(CONFIG, clip=1e-3))

    def norm(trainer):
        trainer.step()
        return torch.cat([p.grad.flatten() for p in trainer.supernet.parameters()]).norm().item()

    assert norm(free) > 0.1
    assert norm(clipped) == pytest.approx(1e-3, rel=1e-3)


def test_a_fairnas_step_adds_up_the_gradients_of_its_five_paths():
    supernet = Supernet(Skeleton(channels=4, cells=1), 0)
    batch = training_batch(learnable_images(), 0, 16, Augmentation(), 0)
    result = make_strategy("fairnas").step(StepContext(supernet, batch, np.random.default_rng(5), 0.0))
    together = [p.grad.clone() for p in supernet.parameters()]
    alone = []
    supernet.zero_grad()
    for arch in sample_strictly_fair(np.random.default_rng(5)):
        loss = torch.nn.functional.cross_entropy(supernet(batch.images, arch).logits, batch.labels)
        loss.backward()
        alone.append(loss.item())
    for a, p in zip(together, supernet.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)
    assert result.loss.item() == pytest.approx(np.mean(alone), rel=1e-5)
    assert (result.passes, result.images) == (5, 80)


def test_a_spos_step_trains_one_uniform_path():
    supernet = Supernet(Skeleton(channels=4, cells=1), 0)
    batch = training_batch(learnable_images(), 0, 16, Augmentation(), 0)
    result = make_strategy("spos").step(StepContext(supernet, batch, np.random.default_rng(5), 0.0))
    (arch,) = sample_uniform(np.random.default_rng(5), 1)
    trained = [bool(g.abs().amax() > 0) for g in supernet.cells[0].conv3x3.weight.grad]
    assert trained == [op == 3 for op in arch]
    assert (result.passes, result.images) == (1, 16)


def test_bfloat16_follows_float32():
    exact = train(make_trainer("fairnas"), steps=2)
    mixed = train(make_trainer("fairnas", config=replace(CONFIG, bfloat16=True)), steps=2)
    a, b = weights(exact), weights(mixed)
    start = weights(make_trainer("fairnas"))
    assert not torch.equal(a, b)
    assert torch.cosine_similarity(a - start, b - start, dim=0) > 0.9


@pytest.mark.parametrize("bad", [{"passes": 0}, {"learning_rate": -1.0}, {"momentum": -0.1}])
def test_bad_configurations_are_refused(bad):
    with pytest.raises(UserError, match=f"training.{next(iter(bad))} = "):
        TrainingConfig(**bad)


def test_unknown_strategy():
    with pytest.raises(UserError, match=r"unknown strategy 'spso'; did you mean 'spos'\? available: spos, fairnas"):
        make_strategy("spso")


def test_averaged_weights_are_the_mean_over_the_last_steps():
    trainer = make_trainer("fairnas", config=replace(CONFIG, passes=50, average=0.4))
    seen = []
    while not trainer.done:
        assert trainer.scored is (trainer.averaged or trainer.supernet)
        spent = trainer.spent
        trainer.step()
        if spent >= 0.6:
            seen.append(weights(trainer))
    assert len(seen) == 4
    mean = torch.cat([p.flatten() for p in trainer.scored.parameters()])
    torch.testing.assert_close(mean, torch.stack(seen).mean(0))
    plain = train(make_trainer("fairnas", config=replace(CONFIG, passes=50)))
    assert torch.equal(weights(plain), weights(trainer))
    assert plain.scored is plain.supernet
