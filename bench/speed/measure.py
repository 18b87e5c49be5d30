"""How fast this machine trains and scores, each number beside the plain way in the same run and beside its floor.

On a CPU the fast way is one process a core with one thread each, as `run_bench.py run` does it; the plain way is one
process with all threads, the default of published code. On a GPU both are one process.
"""

import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.provenance import core_count, device_name, versions
from bench.speed.reference_supernet import ReferenceSupernet, scores, train_step
from bench.stats.intervals import bootstrap
from bench.stats.metrics import named
from bench.truth import load_table
from mngnas.data.datasets import ImageData
from mngnas.data.images import ImageSet, training_batch
from mngnas.methods.base import NoSettings, Task
from mngnas.methods.supernet_method import Step, StepResult, SupernetMethod
from mngnas.nets.build import build_supernet
from mngnas.settings import Augmentation, RetrainingConfig, ScoringConfig, TrainingConfig
from mngnas.spaces import Arch
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY
from mngnas.train.scoring import Scorer


@dataclass(frozen=True)
class Setting:
    """A size of supernet and pictures to measure with."""

    name: str
    skeleton: Skeleton
    side: int
    batch: int  # of training
    scored: int = 1000  # pictures
    scored_batch: int = 125


SETTINGS = (
    Setting("reduced (preset cpu): C=8, N=1, 16x16, batch 64", Skeleton(8, 1, residual_reduction=False), 16, 64, 500),
    Setting("full: C=16, N=5, 32x32, batch 64", Skeleton(16, 5), 32, 64),
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    unit: str
    fast: float
    plain: float | None  # None: there is no plain way
    arithmetic: float | None = None  # what the machine's largest matrix product's speed would allow, same unit
    traffic: float | None = None  # what copying speed would allow if every operation read and wrote main memory
    more_is_better: bool = True

    @property
    def gain(self) -> float | None:
        """How many times better than the plain way."""
        if self.plain is None:
            return None
        return self.fast / self.plain if self.more_is_better else self.plain / self.fast


def measure(device: str, seconds: float) -> Iterator[Row]:
    """All rows, one after another; `seconds` is the time for each single measurement."""
    peak, bandwidth = (_everywhere(device, partial(one, device, seconds / 4)) for one in (_peak, _bandwidth))
    lives = np.unique(TOPOLOGY.canonical_indices)
    for setting in SETTINGS:
        flops, moved = path_cost(setting, TOPOLOGY.sample_uniform(np.random.default_rng(0), 50))
        fast = _everywhere(device, partial(_train_fast, setting, device, seconds))
        plain = _train_plain(setting, device, seconds)
        # Backward takes about twice what forward takes.
        floors = peak / (3 * flops), bandwidth / (3 * moved)
        yield Row(f"training, {setting.name}", "pictures x paths / s", fast, plain, *floors)
        live = _everywhere(device, partial(_score_fast, setting, device, seconds))
        one_by_one = _score_plain(setting, device, seconds)
        picked = [TOPOLOGY.from_index(int(index)) for index in np.random.default_rng(0).choice(lives, 50)]
        flops, moved = (setting.scored * len(lives) * cost for cost in path_cost(setting, picked))
        what = f"scoring all {TOPOLOGY.n_arch:,} by {setting.scored:,} pictures, {setting.name}"
        times = len(lives) / live, TOPOLOGY.n_arch / one_by_one, flops / peak, moved / bandwidth
        yield Row(what, "s", *times, more_is_better=False)
    memory = _in_own_process(partial(_scoring_memory, SETTINGS[-1], device))
    yield Row(f"memory of scoring, {SETTINGS[-1].name}", "GB at most", memory, None, more_is_better=False)
    yield Row("loading the table digits201", "ms", 1e3 * _seconds(lambda: load_table("digits201")), None)
    yield _bootstrap_row()


# ----------------------------------------------------------------------------------------------- on all cores at once


def _everywhere(device: str, rate: Callable[[], float]) -> float:
    """The sum of the rates that one process a core reaches while the others work too; on a GPU the rate of one."""
    cores = core_count()
    if device != "cpu":
        return rate()
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), partial(torch.set_num_threads, 1)) as pool:
        return sum(future.result() for future in [pool.submit(rate) for _ in range(cores)])


def _in_own_process(function: Callable[[], float]) -> float:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), partial(torch.set_num_threads, 1)) as pool:
        return pool.submit(function).result()


def _rate(device: str, work: Callable[[], float], seconds: float) -> float:
    """How much of its own unit of work `work` does in a second, for about `seconds`, after one call to warm up."""
    work()
    _wait(device)
    done, began = 0.0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds or not done:
        done += work()
        _wait(device)
    return done / (passed if passed >= seconds else time.perf_counter() - began)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


# ------------------------------------------------------------------------------------------------- training and scoring


def _pictures(setting: Setting, device: str) -> ImageSet:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2000, 3, setting.side, setting.side), dtype=np.uint8)
    labels = torch.as_tensor(rng.integers(0, 10, 2000))
    return ImageSet("made up", torch.as_tensor(pixels), labels, 10, (0.5,) * 3, (0.25,) * 3).to(torch.device(device))


def _augmentation(setting: Setting) -> Augmentation:
    return Augmentation(crop=setting.side // 8, flip=True)


class _FairSets(SupernetMethod):
    """What most methods do in a step: a strictly fair set of paths."""

    def step(self, step: Step) -> StepResult:
        return self.train_fair_set(step.batch, self.space.sample_strictly_fair(step.rng))


def _train_fast(setting: Setting, device: str, seconds: float) -> float:
    images = _pictures(setting, device)
    training = TrainingConfig(passes=10**9, batch_size=setting.batch, bfloat16=device == "cuda")
    scoring = ScoringConfig(images=setting.scored, batch_size=setting.scored_batch)
    data = ImageData(images, images, images)
    settings = training, _augmentation(setting), scoring, scoring, RetrainingConfig()
    method = _FairSets(NoSettings(), Task(TOPOLOGY, 0, data, setting.skeleton, *settings))

    def step() -> float:
        before = method.images_seen
        method.advance()
        return float(method.images_seen - before)

    return _rate(device, step, seconds)


def _train_plain(setting: Setting, device: str, seconds: float) -> float:
    net, images = ReferenceSupernet(setting.skeleton).to(device), _pictures(setting, device)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, 0.9, weight_decay=5e-4, nesterov=True, foreach=False)
    rng, steps = np.random.default_rng(0), iter(range(10**9))

    def step() -> float:
        batch = training_batch(images, next(steps), setting.batch, _augmentation(setting), 0)
        batch = replace(batch, images=batch.images.contiguous())
        train_step(net, optimizer, batch, TOPOLOGY.sample_uniform(rng, 1)[0])
        return float(len(batch.labels))

    return _rate(device, step, seconds)


def _scorer(setting: Setting, device: str) -> Scorer:
    images = _pictures(setting, device)
    config = ScoringConfig(images=setting.scored, batch_size=setting.scored_batch)
    return Scorer(build_supernet(TOPOLOGY, setting.skeleton, 0).to(device), config, images, images)


def _score_fast(setting: Setting, device: str, seconds: float) -> float:
    """Distinct live graphs a second, in stretches of neighbours as a run scores them, spread over the space."""
    scorer = _scorer(setting, device)
    length = 200 if device == "cuda" or setting.skeleton.cells == 1 else 10
    stretches = iter(_stretches(length))
    return _rate(device, lambda: float(len(scorer(next(stretches)).loss)), seconds)


def _stretches(length: int) -> Iterator[list[Arch]]:
    lives = sorted(
        {TOPOLOGY.from_index(int(index)) for index in np.unique(TOPOLOGY.canonical_indices)}, key=TOPOLOGY.to_rank
    )
    rng = np.random.default_rng(os.getpid())
    while True:
        start = int(rng.integers(len(lives) - length))
        yield lives[start : start + length]


def _score_plain(setting: Setting, device: str, seconds: float) -> float:
    """Architectures a second."""
    net, images = ReferenceSupernet(setting.skeleton).to(device), _pictures(setting, device)
    batches = []
    for step in range(setting.scored // setting.scored_batch):
        batch = training_batch(images, step, setting.scored_batch, Augmentation(), 0)
        batches.append(replace(batch, images=batch.images.contiguous()))
    rng = np.random.default_rng(0)
    return _rate(device, lambda: float(len(scores(net, batches, TOPOLOGY.sample_uniform(rng, 1)))), seconds)


def _scoring_memory(setting: Setting, device: str, archs: int = 40) -> float:
    """Peak of the process (of the device on a GPU) in GB."""
    scorer = _scorer(setting, device)
    scorer(next(_stretches(archs)))
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


# ----------------------------------------------------------------------------------------------------------- the floors


def path_cost(setting: Setting, archs: Sequence[Arch]) -> tuple[float, float]:
    """Floating-point operations and bytes moved in one picture's forward pass, means over `archs`, in float32."""
    supernet = build_supernet(TOPOLOGY, setting.skeleton, 0)
    images = torch.zeros(16, 3, setting.side, setting.side).contiguous(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter, _Traffic() as traffic, torch.no_grad():
        for arch in archs:
            supernet(images, arch)
    n = len(images) * len(archs)
    return counter.get_total_flops() / n, traffic.bytes / n


class _Traffic(TorchDispatchMode):
    """Adds up the bytes of all tensors that operations read and write; views are free."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            results = found if isinstance(found, tuple | list) else (found,)
            tensors = [value for value in (*args, *results) if isinstance(value, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return found


def _peak(device: str, seconds: float) -> float:
    """Floating-point operations a second of a large matrix product, in the precision that training uses."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    n = 8192 if device == "cuda" else 1024
    a, b = (torch.ones(n, n, dtype=dtype, device=device) for _ in range(2))

    def product() -> float:
        torch.mm(a, b)
        return 2.0 * n**3

    return _rate(device, product, seconds)


def _bandwidth(device: str, seconds: float) -> float:
    """Bytes a second, read and written, of copying what no cache holds."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)

    def copy() -> float:
        target.copy_(source)
        return 2.0 * source.numel() * source.element_size()

    return _rate(device, copy, seconds)


# ------------------------------------------------------------------------------------------------------------- the rest


_TRIES = 5


def _seconds(function: Callable[[], object]) -> float:
    """The least of several times."""
    times = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def _bootstrap_row() -> Row:
    rng, few = np.random.default_rng(0), 20
    true = rng.normal(size=TOPOLOGY.n_arch).round(2)
    predicted = (true + rng.normal(size=TOPOLOGY.n_arch)).round(2)
    metrics = named(["kendall_tau_b"])
    fast = _seconds(lambda: bootstrap(predicted, true, metrics, rng=np.random.default_rng(0)))

    def one_by_one() -> None:
        for _ in range(few):
            picked = rng.integers(TOPOLOGY.n_arch, size=TOPOLOGY.n_arch)
            kendalltau(predicted[picked], true[picked])

    what = f"bootstrap of tau-b, 1,000 resamples of {TOPOLOGY.n_arch:,}"
    return Row(what, "s", fast, _seconds(one_by_one) * 1000 / few, more_is_better=False)


# ------------------------------------------------------------------------------------------------------------ the table


def table(rows: Iterable[Row], device: str) -> Iterator[str]:
    """Lines of Markdown, each as soon as it is known."""
    known = versions()
    yield f"{datetime.now(UTC):%Y-%m-%d}, {device_name(device)}; {core_count()} cores; PyTorch {known['torch']}"
    yield ""
    yield "| what | unit | here | plain way | gain | arithmetic alone | its share | traffic alone | its share |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        gain = "" if row.gain is None else f"{row.gain:.1f} x"
        cells = [row.what, row.unit, _number(row.fast), _number(row.plain), gain]
        for floor in (row.arithmetic, row.traffic):
            share = None if floor is None else (row.fast / floor if row.more_is_better else floor / row.fast)
            cells += [_number(floor), "" if share is None else f"{100 * share:.0f} %"]
        yield f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
