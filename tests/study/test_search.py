"""Runs of searchers: what they leave, that they go on with the same bits, and what they do without."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.cli import main
from bench.study import search
from bench.study.begin import job_of
from bench.study.scores import RunScores, scores_from_arrays, scores_to_arrays
from bench.study.spec import NO_IMAGES, PlannedRun, load_study, run_directory
from bench.study.store import PACKED, load_run, load_runs, pack_runs
from bench.study.work import do
from bench.truth import load_table
from bench.truth.oracle import TableOracle
from mngnas.errors import UserError
from mngnas.methods.base import SearchTask
from mngnas.methods.info import Trace
from mngnas.methods.searchers.rea import ReaConfig, RegularisedEvolution
from mngnas.spaces.topology import TOPOLOGY
from tests.methods.cases import run as to_the_end
from tests.tiny import opened

ROOT = Path(__file__).resolve().parents[2]
REA = PlannedRun("rea", {}, 3)


def made(directory, run):
    job = job_of(directory, run)
    job.save()
    do(job)
    return load_run(job.directory)


def searched():
    oracle = TableOracle(load_table("digits201"), "digits", seed=3)
    return to_the_end(RegularisedEvolution(ReaConfig(), SearchTask(TOPOLOGY, 3), oracle)), oracle


def test_it_leaves_what_the_search_found(tmp_path):
    run, (method, oracle) = made(opened(tmp_path / "study", REA), REA), searched()
    assert run.scores.rankings == {}
    assert run.scores.trace == method.outcome().trace
    assert run.record.cost.queries == len(run.scores.trace.value) > 100
    assert run.record.proposal == (TOPOLOGY.to_index(method.outcome().proposal[0]),)
    assert run.record.oracle == oracle.about()
    assert run.record.config["rea"] == {"seconds": 0.0, "within": False, "population": 10, "sample": 3}
    assert run.record.device.endswith("1 thread")
    names = {path.name for path in run.directory.iterdir()}
    assert names == {"job.json", "record.json", "scores.npz"}


def test_it_goes_on_from_a_checkpoint_with_the_same_bits(tmp_path, monkeypatch):
    whole = made(opened(tmp_path / "whole", REA), REA)
    directory = opened(tmp_path / "killed", REA)
    monkeypatch.setenv("MNGNAS_BENCH_CHECKPOINT_SECONDS", "0")
    saved, save = [], search.save_checkpoint

    def killed(*arguments):
        save(*arguments)
        saved.append(arguments)
        if len(saved) in (20, 50):
            raise KeyboardInterrupt

    monkeypatch.setattr(search, "save_checkpoint", killed)
    monkeypatch.setattr(search, "_commit", iter([("first", False), ("first", False), ("second", False)]).__next__)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            made(directory, REA)
    again = made(directory, REA)
    assert len(saved) == whole.record.steps  # nothing was asked twice
    assert again.scores.trace == whole.scores.trace
    assert again.record.proposal == whole.record.proposal
    assert (again.record.commit, again.record.dirty) == ("first", True)
    assert not list(again.directory.glob("checkpoint*"))


def test_another_table_is_refused(tmp_path):
    directory = opened(tmp_path / "study", REA, table_checksum="another")
    with pytest.raises(UserError, match="was made with another table 'digits201'"):
        made(directory, REA)


def test_a_search_needs_no_torch(tmp_path):
    directory = opened(tmp_path / "study", REA)
    job = job_of(directory, REA)
    job.save()
    code = (
        "import sys; from pathlib import Path; from bench.study.work import main;"
        f"print(main(Path({str(job.directory)!r})), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]


@pytest.mark.parametrize("name", ["random-search", "rea", "reinforce", "bohb", "local-search"])
def test_every_searcher_is_a_light_job(tmp_path, name):
    assert job_of(tmp_path, PlannedRun(name, {}, 0)).work == "search"
    assert job_of(tmp_path, PlannedRun("spos", {}, 0)).work == "run"


def test_searches_alone_need_no_pictures(tmp_path, monkeypatch, capsys):
    """From the command line to the report; cost and ends are in it."""

    def refuse(*_arguments):
        raise AssertionError("no pictures are needed")

    monkeypatch.setattr("mngnas.data.datasets.load_images", refuse)
    out = tmp_path / "study"
    arguments = [
        "run",
        "--benchmark",
        "digits201",
        "--strategy",
        "rea,random-search",
        "--seeds",
        "3",
        "--out",
        str(out),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "True accuracy of what each search has found" in said
    assert load_study(out).images == NO_IMAGES
    page = (out / "report" / "report.md").read_text()
    assert "No method of this study gives a ranking of architectures." in page


def test_a_packed_trace_is_small_and_the_same(tmp_path):
    runs = [PlannedRun("random-search", {}, seed) for seed in range(30)]
    directory = opened(tmp_path / "study", *runs)
    before = {run.name: made(directory, run).scores.trace for run in runs}
    assert pack_runs(directory) == 30
    after = {run.directory.name: run.scores.trace for run in load_runs(directory)}
    assert after == before
    queries = sum(len(trace.value) for trace in before.values())
    assert (directory / PACKED).stat().st_size < 10 * queries + 10_000
    assert not run_directory(directory, runs[0]).exists()


def test_a_trace_is_exact_whatever_an_oracle_told():
    """Whole parts are stored as such, other numbers as they are."""
    round_ = Trace([0, 7], [0.123456, 0.9], [12.3456, 100.0])
    odd = replace(round_, value=[1 / 3, 0.9], seconds=[1e-7, 2.0])
    for trace in (round_, odd):
        stored = scores_to_arrays(RunScores({}, None, trace), TOPOLOGY)
        assert scores_from_arrays(stored, TOPOLOGY).trace == trace
    older = {f"trace/{key}": np.asarray(getattr(odd, key)) for key in ("arch_index", "value", "seconds")}
    assert scores_from_arrays(older, TOPOLOGY).trace == odd
