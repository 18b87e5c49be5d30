"""A cache with a made-up table, and scores of some of its architectures: for tests of the commands."""

import json

import numpy as np
import pytest

from bench.truth import Measure, Table
from mngnas.spaces.topology import TOPOLOGY


def made_up_table() -> Table:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 0.9, (15_625, 1)) + rng.normal(0, 0.01, (15_625, 3))
    parameters = rng.integers(1, 1000, 15_625)
    return Table(
        name="nats",
        search_space="nas-bench-201",
        measures={
            Measure("cifar10", "test", 200): truth.astype(np.float32),
            Measure("cifar10", "test", 12): truth[:, :1].astype(np.float32),
            Measure("cifar10", "train", 200): (1 - truth[:, :2] / 9).astype(np.float32),
        },
        parameters={"cifar10": parameters},
        flops={"cifar10": 2 * parameters},
        seeds={Measure("cifar10", "test", 200): (777, 888, 999)},
    )


@pytest.fixture
def own_cache(empty_cache):
    """A cache of this test's own that holds a made-up table under the name of a converted archive; no network."""
    table = made_up_table()
    table.save(empty_cache / "tables" / "nats-0123456789ab.npz")
    return table


@pytest.fixture
def scores(own_cache, tmp_path):
    """Noisy scores of 500 architectures, and the truth that they are to be compared with."""
    truth = own_cache.mean(Measure("cifar10", "test", 200))
    index = np.random.default_rng(1).choice(15_625, 500, replace=False)
    score = truth[index] + np.random.default_rng(2).normal(0, 0.1, 500)
    path = tmp_path / "scores.json"
    path.write_text(
        json.dumps({TOPOLOGY.to_str(TOPOLOGY.from_index(int(i))): float(s) for i, s in zip(index, score, strict=True)})
    )
    return path, score, truth[index]
