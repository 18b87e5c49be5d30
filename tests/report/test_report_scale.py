"""Studies of hundreds of runs: what a report computes grows as the runs do; pictures do not depend on it."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.report.runs import read_runs
from bench.report.sections import SECTIONS
from bench.study.records import MethodRef, Run
from bench.study.scores import RunScores
from bench.study.store import load_run
from tests.report.made_up import N_ARCH, TARGET, scores, write_run

SOME = np.sort(np.random.default_rng(4).choice(N_ARCH, 2000, replace=False))


@pytest.fixture(scope="module")
def runs(table, tmp_path_factory):
    """Four methods of fifty seeds, 2,000 architectures each, two columns and a curve."""
    one = load_run(write_run(tmp_path_factory.mktemp("one"), table, index=SOME))
    return [made(one, table, method, seed) for seed in range(50) for method in range(4)]


def made(one, table, method, seed):
    record = replace(one.record, method=MethodRef(f"method-{method}"), seed=seed)
    rankings = {"inherited": scores(table, 100 * method + seed, SOME, 0.04 + 0.02 * method)}
    return Run(Path(f"method-{method}-seed{seed}"), record, RunScores(rankings, one.scores.curve))


def seconds(table, some):
    """Processor seconds of all numbers of a report."""
    began = time.process_time()
    study = read_runs(Path("none"), table, TARGET, 1000, some)
    found = {section.name: study.once(section.numbers) for section in SECTIONS}
    assert len(found["rankings"].rows) == 4
    return time.process_time() - began


def test_two_hundred_runs_take_seconds_and_no_more_each_than_fifty(table, runs):
    few, many = seconds(table, runs[:100]), seconds(table, runs)
    assert many < 15  # about 3 on a machine of 2026 that does nothing else
    assert many < 3 * few  # 2 is linear, 4 is quadratic
