"""The three functions that other programs call."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.stats.metrics import kendall_tau_b
from bench.truth import Measure
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY

ROOT = Path(__file__).resolve().parents[1]
TARGET = Measure("digits", "test", 8)


@pytest.fixture(scope="module")
def table():
    return bench.load_table("digits201")


def test_importing_it_imports_nothing_else():
    code = "import sys, bench; print([m for m in ('numpy', 'torch', 'bench.truth', 'bench.stats') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_there_is_listed_and_documented():
    assert set(bench.__all__) <= set(dir(bench))
    for name in bench.__all__:
        assert "raises" in getattr(bench, name).__doc__.lower()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = bench.nothing


@pytest.mark.parametrize("arch", [9930, np.int64(9930), "9930", (3, 3, 3, 1, 3, 3), [3, 3, 3, 1, 3, 3], "333133"])
def test_query_takes_architectures_as_they_are_at_hand(table, arch):
    found = bench.query(table, arch)
    assert found.index == 9930
    assert found.arch_str in str(found)
    (one,) = (one for one in found.measured if one.measure == TARGET)
    assert one.mean == table.mean(TARGET)[9930]
    assert list(one.seeds.values()) == pytest.approx(table.values(TARGET)[9930].tolist(), abs=1e-6)


@pytest.mark.parametrize("arch", [None, 1.5, (1, 2), "x", True])
def test_query_refuses_what_is_no_architecture(table, arch):
    with pytest.raises(UserError, match="is no architecture of"):
        bench.query(table, arch)


def test_evaluate_takes_arrays_mappings_and_files(table, tmp_path):
    truth = table.mean(TARGET)
    known = np.flatnonzero(np.isfinite(truth))[:500]
    noisy = truth + np.random.default_rng(0).normal(0, 0.02, len(truth))
    by_index = np.full(len(truth), np.nan)
    by_index[known] = noisy[known]
    by_name = {TOPOLOGY.to_str(TOPOLOGY.from_index(int(i))): float(noisy[i]) for i in known}
    path = tmp_path / "scores.csv"
    path.write_text("arch_index,score\n" + "\n".join(f"{i},{noisy[i]!r}" for i in known.tolist()))
    tau = kendall_tau_b(noisy[known], truth[known])
    for scores in (by_index, by_name, path, str(path)):
        found = bench.evaluate(scores, table, "digits", resamples=20)
        assert found.estimates["kendall_tau_b"].value == pytest.approx(tau)
        assert found.estimates["kendall_tau_b"].n == found.n_scored == 500
    assert bench.evaluate(by_index, table, "digits", resamples=20) == bench.evaluate(
        by_index, table, "digits", resamples=20
    )
    other = bench.evaluate(by_index, table, "digits", split="valid", epochs=3, resamples=20)
    expected = kendall_tau_b(noisy[known], table.mean(Measure("digits", "valid", 3))[known])
    assert other.estimates["kendall_tau_b"].value == pytest.approx(expected)


def test_evaluate_refuses_arrays_of_another_length(table):
    with pytest.raises(UserError, match=r"have the shape \[15625\], not \[3\]"):
        bench.evaluate([1, 2, 3], table, "digits")
