"""The methods and variants under test, a small task that each finishes within a second, and what a method has done."""

import random
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from mngnas.methods.base import Task
from mngnas.methods.info import TOLD, Answer
from mngnas.methods.registry import methods, select
from mngnas.settings import Augmentation, RetrainingConfig, ScoringConfig, TrainingConfig
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY
from tests.train.pictures import learnable_data

TOYS = Path(__file__).resolve().parent / "toys"
ROWS = Path(__file__).resolve().parents[2] / "bench" / "cli" / "ablations.txt"
METHODS = methods((TOYS,))

# So that within a small budget every round searches, retrains at least a step and perturbs at least a step.
SMALL = {
    "mngnas": {"warmup": 0.1, "search_share": 0.1, "retraining_share": 0.3, "perturbation_share": 0.25},
    "cream": {"every": 5},
    "sdarts-adv": {"attack_steps": 1},
    "pc-darts": {"parts": 2},  # one channel alone has nothing to learn before its BatchNorm
    "setn": {"candidates": 10},
    "enas": {"candidates": 10, "draws": 5},
    "te-nas": {"batch_size": 6},
}
LONGER = {"darts-v2": 250, "mngnas": 200, "sdarts-adv": 200, "setn": 200}  # passes, where steps take many of them
TRAINING = TrainingConfig(passes=120, batch_size=16, weight_decay=0.0)
SHORT = Skeleton(channels=4, cells=1, stages=2)
EARLY = 6  # steps
SLOW = {"sandwich": 900, "sumnas": 400}  # passes until much has been learnt: most paths learn from a path that learns
VARIANTS = (  # that `ablate` does not run
    "cream[meta_rate=0.0]",
    "dynas[momenta=false]",
    "dynas[rates=false]",
    "gdas[unselected=ones]",
    "pa-da[paths=false]",
    "pa-da[pictures=false]",
    "pa-da[weights=true]",
    "rd-nas[weight=0.0]",
    "rsps[batch=8]",
    "rsps[per_cell=true]",
    "sandwich[between=1]",
    "setn[pictures=own batch]",
    "sumnas[momentum_stays=false]",
)
ARCHS = TOPOLOGY.sample_uniform(np.random.default_rng(5), 12)


def make_task(seed=0, data=None, skeleton=None, **training):
    """A task on made-up pictures; `training` changes the training settings."""
    return Task(
        TOPOLOGY,
        seed,
        learnable_data() if data is None else data,
        Skeleton(channels=4, cells=1) if skeleton is None else skeleton,
        replace(TRAINING, **training),
        Augmentation(flip=True),
        ScoringConfig(images=40, batch_size=20),
        ScoringConfig(images=40, batch_size=20),
        RetrainingConfig(archs=2, steps=3),
    )


class ToyOracle:
    """Answers that are a function of the architecture; a third of them are not known."""

    budget = 300.0

    def knows(self, arch):
        return TOPOLOGY.to_index(arch) % 3 > 0

    def query(self, arch):
        index = TOPOLOGY.to_index(arch)
        return Answer(index * 7919 % 1000 / 1000, 5.0 + index % 7)


@dataclass(frozen=True)
class Case:
    """A method or a variant of it."""

    name: str
    changes: tuple = ()  # pairs of field and value

    @property
    def entry(self):
        return METHODS[self.name]

    def __str__(self):
        shown = ",".join(f"{field}={value}" for field, value in self.changes)
        return f"{self.name}[{shown}]" if shown else self.name


def case(text):
    """The case that a name or a variant means."""
    ((name, changes),) = select(text, (TOYS,))
    return Case(name, tuple(changes.items()))


def rows():
    """The variants that `ablate` runs."""
    lines = (line.partition("#")[0].strip() for line in ROWS.read_text(encoding="utf-8").splitlines())
    return [case(line) for line in lines if line]


CASES = list(dict.fromkeys([*map(Case, METHODS), *rows(), *map(case, VARIANTS)]))


def make(one, seed=0, task=None):
    """A method that has done nothing yet."""
    method = one.entry.load()
    task = make_task(seed, skeleton=SHORT, passes=LONGER.get(one.name, TRAINING.passes)) if task is None else task
    config = method.Config(**{**SMALL.get(one.name, {}), **dict(one.changes)})
    return build(one.entry, config, task)


def build(entry, config, task):
    """A method, with the toy oracle where it is of a kind that is handed one."""
    return entry.load()(config, task, *[ToyOracle()] * (entry.info.kind in TOLD))


@dataclass
class Done:
    """A method that has run to its end."""

    method: object
    spent: list  # before the first step and after each
    passes: list  # the same; of a method that trains
    global_draws: bool  # whether a global generator has moved
    before: dict  # scores before the first step
    after: dict  # scores at the end
    early: tuple  # state after a few steps


@cache
def done(one, seed=0):
    """The method trained to its end, once for all tests of the session."""
    generators = _global_generators()
    method = make(one, seed)
    before = all_scores(method)
    spent, passes, early = [method.spent], [getattr(method, "passes", 0)], ()
    while not method.done:
        method.advance()
        if method.steps == EARLY:
            early = state_bits(method)
        spent.append(method.spent)
        passes.append(getattr(method, "passes", 0))
    after = all_scores(method)
    return Done(method, spent, passes, _global_generators() != generators, before, after, early)


def run(method, steps=None):
    """Go on to the end, or by some steps."""
    while not method.done and steps != 0:
        method.advance()
        steps = None if steps is None else steps - 1
    return method


def all_scores(method, archs=ARCHS):
    """Every column of every ranking."""
    found = {}
    for ranking in method.rankings():
        some = archs[: ranking.archs] if ranking.archs else archs
        found[ranking.name] = {name: values.copy() for name, values in completed(method, ranking.name, some).items()}
    return found


def completed(method, ranking, archs):
    """The columns of a ranking that is about these architectures."""
    return method.complete(ranking, archs, method.scores(ranking, archs))


def weights(method):
    return torch.cat([p.detach().flatten() for p in method.supernet.parameters()])


def bits(value):
    """Nested containers of tensors, arrays and numbers as something that is equal exactly if all bits are."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().cpu().reshape(-1).view(torch.uint8)
        return tuple(value.shape), str(value.dtype), flat.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, dict):
        return tuple((key, bits(one)) for key, one in value.items())
    if isinstance(value, list | tuple):
        return tuple(bits(one) for one in value)
    return repr(value)


def state_bits(method):
    """All of the state but the seconds that it took."""
    state = dict(method.state_dict())
    if "spent" in state:
        state["spent"] = state["spent"][:-1]
    return bits(state)


def learnt_bits(one):
    """What counts of a run: weights, those of all snapshots, architecture parameters, all scores and the proposal."""
    method, scores = done(one).method, done(one).after
    state = method.state_dict()
    learnt = {name: state[name] for name in ("supernet", "extra", "architecture") if name in state}
    pool = [network for *_, network in state.get("pool", ())]
    outcome = method.outcome()
    return bits([learnt, pool, scores, outcome.proposal, outcome.trace and list(outcome.trace.arch_index)])


def alike(cases):
    """The pairs of cases that have learnt the same."""
    first, found = {}, []
    for one in cases:
        known = first.setdefault(learnt_bits(one), one)
        if known != one:
            found.append((str(known), str(one)))
    return found


def _global_generators():
    return bits([torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()])  # noqa: NPY002
