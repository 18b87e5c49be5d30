"""The program as a user runs it: one command from nothing to a report, killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.study.store import is_finished, load_runs
from tests.tiny import TINY

ROOT = Path(__file__).resolve().parent.parent
STRATEGIES = ("spos", "fairnas", "mngnas")


@pytest.fixture
def command(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY.replace("sample = 120", "sample = 60").replace("archs = 12", "archs = 4"))
    options = ["--benchmark", "digits201", "--preset", str(tmp_path / "tiny.toml"), "--seeds", "1", "--jobs", "2"]
    return [sys.executable, "run_bench.py", "run", "--strategy", ",".join(STRATEGIES), *options, "--out"]


def run(start, command, directory, tmp_path, seconds="0"):
    environment = os.environ | {"MNGNAS_BENCH_OFFLINE": "1", "MNGNAS_BENCH_CACHE": str(tmp_path / "cache")}
    environment |= {"MNGNAS_BENCH_CHECKPOINT_SECONDS": seconds}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return start([*command, str(directory)], cwd=ROOT, env=environment, **output)


def test_one_command_from_nothing_to_a_report_though_killed_on_the_way(command, tmp_path, start):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = run(start, command, whole, tmp_path)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err

    process = run(start, command, killed, tmp_path)
    while not list(killed.glob("*/checkpoint.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not all(is_finished(killed / f"{name}-seed{seed}") for name in STRATEGIES for seed in (0,))
    again = run(start, command, killed, tmp_path)  # at once: a worker of the killed one may still be at work
    _, err = again.communicate(timeout=240)
    assert again.returncode == 0, err

    digests = [{r.directory.name: r.record.scores_sha256 for r in load_runs(study)} for study in (whole, killed)]
    assert digests[0] == digests[1]
    assert set(digests[0]) == {f"{name}-seed{seed}" for name in STRATEGIES for seed in (0,)}

    lines = out.strip().splitlines()
    assert lines[-1] == f"report: {whole / 'report' / 'index.html'}"
    for name in STRATEGIES:
        assert any(name in line.lower() for line in lines)
    page = (whole / "report" / "index.html").read_text()
    for expected in ("digits201", "parameter count", "Kendall tau-b", "mngnas"):
        assert expected in page
    results = json.loads((whole / "report" / "results.json").read_text())
    assert len(results["rankings"]["rows"]) == 6  # inherited and retrained
    again = [*command[:3], "--like", str(whole), "--out"]  # what the report says
    process = run(start, again, tmp_path / "again", tmp_path, "20")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    replayed = {r.directory.name: r.record.scores_sha256 for r in load_runs(tmp_path / "again")}
    assert replayed == digests[0]
    assert (whole / "report" / "report.md").exists()
    assert list((whole / "report" / "figures").glob("*.svg"))
    assert list((whole / "report" / "figures").glob("*.csv"))
    record = json.loads((whole / "mngnas-seed0" / "record.json").read_text())
    assert len(record["diary"]["tables"][0]["rows"]) == 4
