"""Made-up studies on the three official data sets, so that they stand beside published figures."""

import numpy as np

from bench.study.scores import Scores
from bench.truth import Measure, Table
from mngnas.methods.info import Cost, Trace
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import write_run

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
SAMPLE = np.random.default_rng(8).choice(TOPOLOGY.n_arch, 200, replace=False)


def official_table() -> Table:
    """Short and long training, validation and test of every data set."""
    rng = np.random.default_rng(3)
    good, measures = rng.uniform(size=TOPOLOGY.n_arch), {}
    for dataset in DATASETS:
        for split in ("valid", "test"):
            for epochs in (3, 9):
                noise = 0.1 * rng.normal(size=(TOPOLOGY.n_arch, 2))
                measures[Measure(dataset, split, epochs)] = np.clip(0.3 + 0.5 * good[:, None] + noise, 0, 1).astype(
                    np.float32
                )
    parameters = np.round(1e4 * (1 + good + rng.uniform(size=TOPOLOGY.n_arch))).astype(np.int64)
    costs = dict.fromkeys(DATASETS, parameters)
    return Table("made-up", TOPOLOGY.name, measures, parameters=costs, flops=costs)


def write_ranker(study, table, name="plain", seed=0, dataset="cifar10", noise=0.1, **fields):
    """A method that ranks a sample."""
    rng = np.random.default_rng(100 + seed)
    true = table.mean(table.longest(dataset, "test"))[SAMPLE]
    found = np.clip(true + noise * rng.normal(size=len(SAMPLE)), 0, 1)
    rankings = {"inherited": Scores(SAMPLE, {"accuracy": found, "minus_loss": found**2})}
    return write_run(study, table, name, seed, rankings=rankings, curve={}, dataset=dataset, **fields)


def write_finder(study, table, seed, found, dataset="cifar10", seconds=12_000.0, name="rea", **fields):
    """A searcher that ended with the architecture `found`."""
    trace = Trace([found, found], [0.5, 0.5], [seconds / 2, seconds / 2])
    own = {"proposal": (found,), "oracle": {"clock": "made up"}, "cost": Cost(queries=2), "kind": "searcher"}
    return write_run(study, table, name, seed, rankings={}, trace=trace, dataset=dataset, **own, **fields)
