"""What every method keeps, and every variant that is run: the project's, and toys of the kinds that it has none of."""

import ast
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from mngnas.methods.base import Method
from mngnas.methods.gradient_method import ArchitectureMethod
from mngnas.methods.info import KINDS, TOLD, Diary, MethodInfo
from mngnas.methods.registry import methods, parse_variant
from mngnas.methods.searcher import Searcher
from mngnas.methods.supernet_method import INHERITED, RETRAINED, SupernetMethod
from mngnas.methods.supervised_method import SupervisedMethod
from mngnas.methods.training_free_method import TrainingFreeMethod
from mngnas.settings import ScoringConfig, Settings
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import (
    ARCHS,
    CASES,
    EARLY,
    METHODS,
    SLOW,
    TOYS,
    TRAINING,
    Case,
    alike,
    all_scores,
    bits,
    build,
    case,
    completed,
    done,
    make,
    make_task,
    rows,
    run,
    state_bits,
)
from tests.train.pictures import learnable_data

BASES = {
    "supernet": SupernetMethod,
    "gradient": ArchitectureMethod,
    "training-free": TrainingFreeMethod,
    "supervised": SupervisedMethod,
    "searcher": Searcher,
}
TRAINING_CASES = [one for one in CASES if issubclass(BASES[one.entry.info.kind], SupernetMethod)]

every_method = pytest.mark.parametrize("entry", METHODS.values(), ids=METHODS)
every_case = pytest.mark.parametrize("one", CASES, ids=str)
every_supernet = pytest.mark.parametrize("one", TRAINING_CASES, ids=str)


# ----------------------------------------------------------------------------------------------- what it says of itself


def test_every_kind_is_under_test():
    assert {entry.info.kind for entry in METHODS.values()} == set(KINDS) == set(BASES)
    assert {"spos", "fairnas", "mngnas"} <= set(methods()) <= set(METHODS)
    assert len(rows()) > 10
    assert len(CASES) > len(METHODS) + 10


@every_method
def test_its_text_and_its_class_say_the_same(entry):
    """Lists and reports read the text; runs use the class."""
    found = entry.load()
    assert found.info == entry.info
    assert isinstance(entry.info, MethodInfo)
    assert issubclass(found, Method)
    assert issubclass(found.Config, Settings)
    kinds = [kind for kind, base in BASES.items() if issubclass(found, base)]
    also = ["supernet"] if entry.info.kind in ("gradient", "supervised") else []
    assert kinds == [*also, entry.info.kind]


@every_method
def test_it_has_what_lists_and_reports_show(entry):
    info = entry.info
    assert info.name == info.name.strip().lower()
    assert not set(info.name) & set(" ,[]=!*?'\"#")
    for text in (info.name, info.label, info.paper, info.description):
        assert text
        assert "\n" not in text
    assert len(info.description) < 100
    assert isinstance(info.not_in, Mapping)
    for old, variant in info.former.items():
        assert old not in METHODS
        assert parse_variant(variant)[0] == info.name


@every_method
def test_nothing_that_a_subclass_must_have_is_missing(entry):
    assert not entry.load().__abstractmethods__


# ------------------------------------------------------------------------------------------------------- what it does


@every_case
def test_it_runs_to_its_end_and_no_further(one):
    """Every step spends something; only the last may go over the budget, by less than its own cost."""
    found = done(one)
    assert found.spent[-1] == 1
    assert all(0 <= before < 1 for before in found.spent[:-1])
    assert all(before < after for before, after in pairwise(found.spent))
    if found.passes[-1]:
        assert found.passes[-2] < found.method.task.training.passes <= found.passes[-1]
        assert found.method.images_seen <= found.method.passes * TRAINING.batch_size


@every_case
def test_same_seed_same_bits_whatever_else_is_drawn(one):
    """Each step is a function of the seed and its number: other code may draw and seed in between."""
    again = make(one)
    for step in range(min(EARLY, len(done(one).spent) - 1)):
        np.random.seed(step)  # noqa: NPY002
        torch.manual_seed(step)
        again.advance()
    if again.steps == EARLY:
        assert state_bits(again) == done(one).early
    if one.entry.info.kind == "training-free":
        assert bits(all_scores(again)) == bits(done(one).after)


@every_case
def test_another_seed_gives_something_else(one):
    first, second = (run(make(one, seed), 1) for seed in (0, 1))
    assert state_bits(first) != state_bits(second) or not first.state_dict()
    if not getattr(first, "seeded", True):  # a closed form
        assert bits(all_scores(first)) == bits(all_scores(second))
    else:
        assert bits(all_scores(first)) != bits(all_scores(second)) or not first.rankings()


@every_case
def test_it_goes_on_from_a_saved_state_with_the_same_bits(one, tmp_path):
    """Saved and taken up by a new process's method again and again, at about twenty moments, each round's end among
    them where steps are few."""
    whole, method = done(one), make(one)
    every = max(1, len(whole.spent) // 20)
    file, moments = tmp_path / "state.pt", 0
    while not method.done:
        run(method, every)
        torch.save(method.state_dict(), file)
        method = make(one)
        method.load_state_dict(torch.load(file, weights_only=True))
        moments += 1
    assert moments > 5 or one.entry.info.kind == "training-free"
    assert method.spent == 1
    assert method.steps == whole.method.steps
    assert state_bits(method) == state_bits(whole.method)
    assert bits(all_scores(method)) == bits(whole.after)
    assert bits(method.outcome().proposal) == bits(whole.method.outcome().proposal)


@every_case
def test_it_draws_from_no_global_generator(one):
    assert not done(one).global_draws


@every_case
def test_its_scores_are_finite_and_asking_for_them_changes_nothing(one):
    """Only a score without training may be undefined, for an architecture that joins input and output nowhere."""
    method, found = done(one).method, done(one).after
    before = state_bits(method)
    rankings = method.rankings()
    assert len({ranking.name for ranking in rankings}) == len(rankings)
    assert set(found) == {ranking.name for ranking in rankings}
    for ranking in rankings:
        archs = ARCHS[: ranking.archs] if ranking.archs else ARCHS
        again = completed(method, ranking.name, archs)
        backwards = completed(method, ranking.name, archs[::-1])
        for name, values in found[ranking.name].items():
            assert values.dtype == np.float64
            assert values.shape == (len(archs),)
            defined = [TOPOLOGY.connected[TOPOLOGY.to_index(arch)] for arch in archs]
            assert np.isfinite(values[defined] if one.entry.info.kind == "training-free" else values).all()
            np.testing.assert_array_equal(values, again[name])
            np.testing.assert_array_equal(values[::-1], backwards[name])
        if ranking.by_canonical:
            lives = [TOPOLOGY.canonical(arch) for arch in archs]
            assert lives != archs
            assert bits(method.scores(ranking.name, lives)) == bits(method.scores(ranking.name, archs))
    assert state_bits(method) == before


@every_case
def test_a_ranking_that_it_does_not_have_is_an_error(one):
    with pytest.raises(NotImplementedError, match=f"{one.name} has no ranking 'best'"):
        done(one).method.scores("best", ARCHS)


@every_case
def test_its_outcome_may_be_asked_for_at_any_time(one):
    for method in (make(one), done(one).method):
        outcome = method.outcome()
        assert Diary.from_json(outcome.diary.to_json()).to_json() == outcome.diary.to_json()
        for arch in outcome.proposal:
            assert TOPOLOGY.from_index(TOPOLOGY.to_index(arch)) == arch
        assert (outcome.trace is not None) == (one.entry.info.kind == "searcher")
    cost = done(one).method.outcome().cost
    assert cost.passes == done(one).passes[-1]
    assert (cost.queries > 0) == (one.entry.info.kind in TOLD)


# ------------------------------------------------------------------------------------------------- methods with weights


@every_supernet
def test_the_loss_of_inherited_weights_falls(one):
    before, after = (np.mean(scores[INHERITED]["minus_loss"]) for scores in (done(one).before, done(one).after))
    assert after > before + 0.1


LEARNERS = [name for name, entry in methods().items() if entry.info.kind == "supernet"]


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_what_can_be_learnt(name):
    """With its own default settings, on pictures that it has not seen."""
    entry, task = methods()[name], make_task(data=learnable_data(valid=100), passes=SLOW.get(name, 400))
    task = replace(task, scoring=ScoringConfig(images=100, batch_size=50))
    method = run(build(entry, entry.load().Config(), task))
    archs = [arch for arch in TOPOLOGY.sample_uniform(np.random.default_rng(0), 30) if 3 in arch[3:5]]
    found = method.scores(INHERITED, archs)
    assert found["accuracy"].mean() > 0.5
    assert -found["minus_loss"].mean() < np.log(10) - 0.4


@every_supernet
def test_it_trains_every_operation_of_every_edge(one):
    """Weight decay is off, so what has moved was trained. Several networks may share the architectures among them."""
    trained = dict[str, torch.Tensor]()
    method, fresh = done(one).method, make(one)
    for now, first in {(method.network_of(arch), fresh.network_of(arch)) for arch in ARCHS}:
        for (name, value), start in zip(now.named_parameters(), first.parameters(), strict=True):
            moved = (value - start).detach().flatten(1).abs().amax(1) if value.ndim > 1 else value.detach() - start
            assert moved.any(), f"{name} was never trained"
            if name.endswith(("conv1x1.weight", "conv3x3.weight")):
                trained[name] = trained.get(name, torch.zeros(len(moved), dtype=torch.bool)) | (moved > 0)
    assert len(trained) == 4  # two sizes of convolutions in two cells
    for name, edges in trained.items():
        assert edges.all(), f"{name}: an edge was never trained"


@every_supernet
def test_it_can_retrain(one):
    found = done(one)
    (ranking,) = [ranking for ranking in found.method.rankings() if ranking.name == RETRAINED]
    assert ranking.archs == 2
    assert ranking.passes_each >= 3
    assert not np.array_equal(found.after[RETRAINED]["minus_loss"], found.after[INHERITED]["minus_loss"][:2])


# ------------------------------------------------------------------------------------------------------------- variants


def test_no_two_variants_are_the_same():
    """A variant that says it changes something does: weights, snapshots or scores are others. Rounds do take place."""
    assert alike(CASES) == []
    for one in CASES:
        rounds = getattr(done(one).method, "history", ()) if one.name == "mngnas" else ()
        changes = dict(one.changes)
        if one.name == "mngnas" and changes.get("rounds") != 0:
            assert len(done(one).method.pool) >= min(2, changes.get("pool", 2))
            retrained = ["retraining_distance" in entry for entry in rounds]
            assert any(retrained) == (changes.get("candidates") != 1)
            assert any("perturbation_distance" in e for e in rounds) == (changes.get("perturbation") != "off")


def test_a_variant_that_changes_nothing_would_be_found():
    """A setting that nobody reads; and a pool that is larger than the number of rounds."""
    idle = [Case("toy-few-shot"), case("toy-few-shot[idle=1]"), case("toy-few-shot[paths=2]")]
    assert alike(idle) == [("toy-few-shot", "toy-few-shot[idle=1]")]
    assert alike([Case("mngnas"), case("mngnas[pool=5]")]) == [("mngnas", "mngnas[pool=5]")]


@pytest.mark.parametrize("one", [one for one in CASES if one.changes], ids=str)
def test_a_variant_sets_what_its_method_has_to_something_else(one):
    config = one.entry.load().Config
    for field, value in one.changes:
        assert getattr(config(**{field: value}), field) == value != getattr(config(), field)


# ------------------------------------------------------------------------------------------------------------- the toys


def test_toys_are_found_as_a_users_methods_without_running_them():
    code = (
        "import sys; from pathlib import Path; from mngnas.methods.registry import methods;"
        f"found = methods((Path({str(TOYS)!r}),)); print(len(found), 'torch' in sys.modules)"
    )
    root = TOYS.parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(METHODS)), "False"]
    classes = [node for node in ast.parse((TOYS / "toys.py").read_text()).body if isinstance(node, ast.ClassDef)]
    assert len(METHODS) - len(methods()) == len(classes) - 1  # all but their settings
