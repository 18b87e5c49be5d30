"""A study through a real SLURM of one node: killed, requeued, begun again, and the same bits as without it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.study.store import load_runs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "scontrol")
PRESET = """
sample = 30
[supernet]
channels = 4
cells = 1
residual_reduction = false
[training]
passes = 1500
batch_size = 16
[scoring]
images = 40
batch_size = 20
[search]
images = 20
[curve]
points = 2
archs = 5
"""
RUN = ["run", "--benchmark", "digits201", "--strategy", "spos", "--seeds", "3"]


def lacking():
    """What is missing for a SLURM of our own, or nothing."""
    pytest.importorskip("submitit", reason="needs submitit, of the extra [slurm]")
    missing = [name for name in NEEDED if not (shutil.which(name) or Path("/usr/sbin", name).exists())]
    if missing:
        return f"needs SLURM (Debian's slurm-wlm and munge): there is no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "needs root to start SLURM's daemons"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The environment in which commands find it."""
    if why := lacking():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("slurm")
    ports = {"SLURMCTLD_PORT": free_port(), "SLURMD_PORT": free_port()}
    started = subprocess.run(
        ["sh", HERE / "start.sh", folder], env=os.environ | ports, capture_output=True, text=True, timeout=60
    )
    try:
        if started.returncode:
            pytest.skip(f"SLURM does not start here: {started.stderr[-300:]}")
        yield os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "MNGNAS_BENCH_CHECKPOINT_SECONDS": "0.5",
            "MNGNAS_BENCH_OFFLINE": "1",
        }
    finally:
        subprocess.run(["sh", HERE / "stop.sh", folder], check=False)


def command(environment, *arguments, **options):
    line = [sys.executable, str(ROOT / "run_bench.py"), *map(str, arguments)]
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=600, **options)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.2)


def events(run, kind):
    lines = (run / "events.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["event"] == kind]


@pytest.mark.slow
def test_killed_and_requeued_runs_go_on_and_end_with_the_same_bits(cluster, tmp_path):
    (tmp_path / "small.toml").write_text(PRESET)
    asked = [*RUN, "--preset", tmp_path / "small.toml"]
    study, slurm = tmp_path / "study", ["--executor", "slurm", "--memory-gb", "1", "--minutes", "10"]
    submitted = command(cluster, *asked, *slurm, "--detach", "--out", study)
    assert submitted.returncode == 0, submitted.stderr
    assert "run_bench.py status" in submitted.stdout
    queue = json.loads((study / "slurm" / "queue.json").read_text())
    assert len(queue) == len(set(queue.values())) == 3
    killed, requeued = list(queue)[:2]
    until(lambda: all(list((study / name).glob("checkpoint*")) for name in (killed, requeued)))
    until(lambda: f"{killed}  working  training" in command(cluster, "status", study).stdout)
    assert "RUNNING" in command(cluster, "status", study).stdout
    subprocess.run(["scancel", "--signal=KILL", queue[killed]], env=cluster, check=True)
    subprocess.run(["scontrol", "requeue", queue[requeued]], env=cluster, check=True)
    until(lambda: queue[killed] not in _in_queue(cluster))

    again = command(cluster, *asked, *slurm, "--out", study)  # reattaches, and submits what is gone
    assert again.returncode == 0, again.stderr
    now = json.loads((study / "slurm" / "queue.json").read_text())
    assert {name for name in queue if now[name] != queue[name]} == {killed}
    for name in (killed, requeued):
        first, *others = events(study / name, "began")
        assert first["steps"] == 0
        assert others, f"{name} was not begun again"
        assert all(one["steps"] > 0 for one in others)
    for name in queue:
        assert len(events(study / name, "done")) == 1
    assert command(cluster, "status", study).stdout.endswith("3 runs: 3 done\n")
    assert (study / "report" / "report.md").exists()

    local = tmp_path / "local"
    assert command(cluster, *asked, "--out", local).returncode == 0
    hashes = [{run.directory.name: run.record.scores_sha256 for run in load_runs(one)} for one in (study, local)]
    assert hashes[0] == hashes[1]


def _in_queue(environment):
    done = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%i"], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_what_slurm_does_not_take_is_one_line(cluster, tmp_path):
    (tmp_path / "small.toml").write_text(PRESET)
    asked = [*RUN, "--preset", tmp_path / "small.toml", "--out", tmp_path / "study", "--executor", "slurm"]
    found = command(cluster, *asked, "--partition", "nowhere")
    assert found.returncode == 2
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("run_bench.py: SLURM did not take the jobs")
    assert "nowhere" in last or "partition" in last.lower()
