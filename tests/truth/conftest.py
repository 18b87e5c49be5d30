"""Tables and archives that the tests of `bench.truth` share."""

from pathlib import Path

import numpy as np
import pytest

from bench.truth import Measure, Table
from bench.truth.sources import nb201 as source


@pytest.fixture(autouse=True)
def own_cache(empty_cache) -> Path:
    """For every test here."""
    return empty_cache


@pytest.fixture(scope="session")
def nb201(shared) -> Table:
    """The real table."""
    return source.build({file.name: shared / "nb201" / file.name for file in source.FILES})


@pytest.fixture
def small_table() -> Table:
    """A made-up table with missing seeds and architectures."""
    rng = np.random.default_rng(0)
    accuracy = rng.random((15_625, 3), dtype=np.float32)
    accuracy[::2, 2] = np.nan
    accuracy[5] = np.nan
    loss = rng.random((15_625, 1), dtype=np.float32)
    test = Measure("digits", "test", 5)
    return Table(
        name="made-up",
        search_space="nas-bench-201",
        measures={
            test: accuracy,
            Measure("digits", "test", 5, "loss"): loss,
            Measure("digits", "valid", 9): loss.copy(),
        },
        train_seconds={"digits": rng.random((15_625, 3), dtype=np.float32)},
        parameters={"digits": rng.integers(1, 100, 15_625)},
        seeds={test: (1, 2, 5)},
    )
