"""How good the benchmark "digits201" is: known cells, reliability over seeds, and retraining of a sample."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from bench.digits201.build import SEEDS, Chunk, Trainer, assemble, representatives, together
from bench.stats.metrics import kendall_tau_b
from bench.truth.sources.digits201 import DATASET, PATH, PROTOCOL, SPLITS, Protocol, load
from bench.truth.table import Measure, Table
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

TARGET = Measure(DATASET, "test", PROTOCOL.epochs[-1])  # what rankings are measured against


def finalise(directory: Path, path: Path = PATH, protocol: Protocol = PROTOCOL, seeds: Sequence[int] = SEEDS) -> Table:
    """Assemble the table, check its known good and bad cells if it is complete, and write it.

    Raises `UserError`, also if the table at `path` has trainings that this one has not.
    """
    table = assemble(directory, protocol, seeds)
    if path.exists() and (lost := int((_n_seed(table) < _n_seed(load(path))).sum())):
        raise UserError(
            f"{path} would lose trainings of {lost:,} architectures, which have more than {len(seeds)} seeds or not "
            "all of them yet: ask for other --seeds, or train the rest"
        )
    if _n_seed(table).all():
        check_known_cells(table)
    table.save(path)
    return table


def _n_seed(table: Table) -> np.ndarray:
    """How many trainings it has of each architecture."""
    return np.asarray(np.isfinite(table.train_seconds[DATASET]).sum(axis=1))


def check_known_cells(table: Table, measure: Measure = TARGET) -> None:
    """Raise `UserError` unless all 3x3 is in the top quarter, all skip in the bottom one, no path at chance."""
    means = table.mean(measure)
    low, high = np.nanquantile(means, [0.25, 0.75])
    for key, what, bottom, top in (
        ("333333", "all 3x3 convolutions", high, 1.0),
        ("111111", "all skip connections", 0.12, low),
        ("000000", "no path from input to output", 0.05, 0.15),
    ):
        found = means[TOPOLOGY.to_index(TOPOLOGY.from_key(key))]
        if not bottom <= found <= top:
            raise UserError(f"{what}: {measure} is {found:.3f}, not in {bottom:.3f}..{top:.3f}")


@dataclass(frozen=True)
class Reliability:
    """How reproducibly a measure ranks the distinct live graphs that every seed has."""

    measure: Measure
    n_arch: int
    n_seed: int
    single: float  # tau-b between two seeds, mean over all pairs
    halves: float  # tau-b between the means of two disjoint halves of the seeds, mean over all ways to halve them
    parameters: float  # tau-b of the parameter count with the mean over all seeds, signed so that more is better
    sd_arch: float  # standard deviation, over architectures, of the mean over seeds
    sd_seed: float  # standard deviation over seeds, root mean square over architectures
    low: float  # 5 % quantile of the mean over seeds
    high: float  # 95 %


def reliability(table: Table, measure: Measure = TARGET) -> Reliability:
    """Reliability of a measure; needs two seeds of two architectures, otherwise raises `UserError`.

    An odd seed out goes to the second half.
    """
    values = table.values(measure)
    live = np.unique(TOPOLOGY.canonical_indices)
    live = live[np.isfinite(values[live]).all(axis=1)]
    n_seed = values.shape[1]
    if len(live) < 2 or n_seed < 2:
        raise UserError(f"{measure}: {n_seed} seeds of {len(live)} architectures, but reliability needs two of two")
    x = values[live].astype(np.float64)

    def mean(seeds: Sequence[int]) -> np.ndarray:
        return np.asarray(np.round(x[:, list(seeds)].mean(axis=1), 6))  # as in `Table.mean`: equal sums are ties

    everyone = range(n_seed)
    splits = [(half, [s for s in everyone if s not in half]) for half in combinations(everyone, n_seed // 2)]
    low, high = np.quantile(mean(everyone), [0.05, 0.95])
    return Reliability(
        measure,
        len(live),
        n_seed,
        single=float(np.mean([kendall_tau_b(x[:, i], x[:, j]) for i, j in combinations(everyone, 2)])),
        halves=float(np.mean([kendall_tau_b(mean(a), mean(b)) for a, b in splits])),
        parameters=kendall_tau_b(table.parameters[DATASET][live], mean(everyone))
        * (1 if measure.kind == "accuracy" else -1),
        sd_arch=float(mean(everyone).std()),
        sd_seed=float(np.sqrt(x.var(axis=1, ddof=1).mean())),
        low=float(low),
        high=float(high),
    )


def summary(table: Table) -> str:
    """The reliability of every measure as a Markdown table."""
    lines = [
        "| measure | graphs | seeds | tau, one seed and another | tau, halves of the seeds | tau of parameters"
        " | sd over graphs | sd over seeds | 5 % to 95 % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for r in (reliability(table, measure) for measure in sorted(table.measures)):
        m = r.measure
        lines.append(
            f"| {m.split} {m.kind}, {m.epochs} epochs | {r.n_arch:,} | {r.n_seed} | {r.single:.3f} | {r.halves:.3f}"
            f" | {r.parameters:.3f} | {r.sd_arch:.4f} | {r.sd_seed:.4f} | {r.low:.3f} to {r.high:.3f} |"
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Verification:
    """Sampled architectures trained again with the table's seeds, against the table.

    Another machine rounds otherwise, and training multiplies that: a repetition may differ from the table as much as
    another seed does, not more.
    """

    archs: tuple[int, ...]  # official indices
    n_training: int  # architectures times seeds
    difference: float  # again minus table, root mean square over trainings
    bias: float  # again minus table, mean over trainings
    sd_seed: float  # spread of the table's seeds, root mean square over the same architectures

    @property
    def reproduces(self) -> bool:
        """Whether two draws of that spread explain the difference: its size within a half, its mean within 4 sd."""
        two = self.sd_seed * math.sqrt(2)
        return self.difference <= 1.5 * two and abs(self.bias) <= 4 * two / math.sqrt(self.n_training)


def verify(
    n: int = 20,
    *,
    table: Table | None = None,
    sample_seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    protocol: Protocol = PROTOCOL,
) -> Verification:
    """Train `n` random architectures again, all seeds of the table, and compare the final test accuracies.

    `table`: the one that comes with the repository, unless another is given. Raises `UserError` if it has fewer than
    `n` trained classes of two or more seeds.
    """
    from tqdm import tqdm

    table = table or load()
    measure = Measure(DATASET, "test", protocol.epochs[-1])
    values, seeds = table.values(measure), table.seeds[measure]
    trained = representatives()[np.isfinite(values[representatives()]).all(axis=1)]
    if not 0 < n <= len(trained) or len(seeds) < 2:
        raise UserError(f"cannot verify {n} architectures: the table has {len(trained):,} of {len(seeds)} seeds")
    archs = np.random.default_rng(sample_seed).permutation(trained)[:n]
    trainer, found = Trainer(protocol, device), np.empty((n, len(seeds)))
    for group in tqdm(together([Chunk(seed, 0, archs) for seed in seeds]), "verifying", disable=not progress):
        trained = trainer.train(archs, group[0].company)
        for task in group:
            found[:, seeds.index(task.seed)] = trained[task.seed]["accuracy"][-1, SPLITS.index("test")]
    expected = values[archs].astype(np.float64)
    difference = found - expected
    return Verification(
        tuple(archs.tolist()),
        difference.size,
        difference=float(np.sqrt((difference**2).mean())),
        bias=float(difference.mean()),
        sd_seed=float(np.sqrt(expected.var(axis=1, ddof=1).mean())),
    )
