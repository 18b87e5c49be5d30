"""A run from start to record: what it leaves, that it goes on with the same bits, and what it refuses."""

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from bench.study import run as run_module
from bench.study.begin import begun as begun_of
from bench.study.begin import job_of
from bench.study.jobs import STATUS
from bench.study.preset import final_archs, parse_preset, ranking_archs
from bench.study.scores import scores_to_arrays
from bench.study.spec import PlannedRun, run_directory
from bench.study.store import is_finished, load_run
from bench.study.task import make_task
from bench.study.work import do
from bench.truth import load_table
from bench.truth.oracle import TableOracle
from mngnas.errors import UserError
from mngnas.spaces.topology import TOPOLOGY
from tests.tiny import FAIRNAS, SPOS, opened, tiny_study

ROOT = Path(__file__).resolve().parents[2]
FEW = "[scoring]\nimages = 40\nbatch_size = 20\n"


def made(directory, run):
    job = job_of(directory, run)
    job.save()
    do(job)
    return job.directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = opened(tmp_path_factory.mktemp("study") / "study", FAIRNAS)
    made(directory, FAIRNAS)
    return directory


def test_it_leaves_its_record_and_scores(finished):
    run = load_run(run_directory(finished, FAIRNAS))
    record, scores, preset = run.record, run.scores, tiny_study().preset
    assert (record.benchmark, record.dataset, record.images) == ("digits201", "digits", "digits")
    assert (record.method.variant, record.method.label, record.method.kind) == ("fairnas", "FairNAS", "supernet")
    assert (record.seed, record.preset, record.changes, record.space) == (1, "tiny", (), "nas-bench-201")
    assert (record.steps, record.cost.passes, record.cost.images, record.cost.queries) == (20, 100, 1600, 0)
    assert record.config["training"]["passes"] == 100
    assert record.config["retraining"]["momentum"] == 0.9
    assert record.config["fairnas"] == {}
    assert record.oracle is None
    assert record.proposal == ()
    assert record.device.endswith("1 thread")
    assert set(record.versions) >= {"python", "torch", "numpy"}
    inherited = scores.rankings["inherited"]
    index = [TOPOLOGY.to_index(arch) for arch in final_archs(TOPOLOGY, preset)]
    np.testing.assert_array_equal(inherited.arch_index, index)
    assert list(inherited.columns) == ["accuracy", "minus_loss"]
    assert ((inherited.score >= 0) & (inherited.score <= 1)).all()
    assert len(np.unique(inherited.columns["minus_loss"])) > 50
    retrained = scores.rankings["retrained"]
    np.testing.assert_array_equal(
        retrained.arch_index, [TOPOLOGY.to_index(arch) for arch in ranking_archs(TOPOLOGY, 12)]
    )
    assert record.ranking_costs["retrained"].passes == 36
    assert record.ranking_costs["inherited"].seconds > 0
    np.testing.assert_array_equal(scores.curve.passes, [0, 35, 70, 100])
    loss = -scores.curve.columns["minus_loss"]
    assert loss.shape == (4, 20)
    assert loss[-1].mean() < loss[0].mean()


def test_only_what_is_needed_later_is_left(finished):
    names = {f.name for f in run_directory(finished, FAIRNAS).iterdir() if f.name[0] != "."}
    assert names == {"job.json", "record.json", "scores.npz", "method.pt", "events.jsonl"}


def test_equal_canonical_architectures_get_equal_scores(finished):
    inherited = load_run(run_directory(finished, FAIRNAS)).scores.rankings["inherited"]
    by_live = {}
    for index, loss in zip(inherited.arch_index.tolist(), inherited.columns["minus_loss"].tolist(), strict=True):
        assert by_live.setdefault(int(TOPOLOGY.canonical_indices[index]), loss) == loss


def test_what_depends_on_the_compared_architectures_is_completed_once_all_are_scored(tmp_path):
    """For all of the study's, of which some share a live graph; what needs no training has no curve."""
    run = PlannedRun("az-nas", {"batch_size": 2}, 0)
    directory = opened(tmp_path / "study", run)
    scores = load_run(made(directory, run)).scores
    found = scores.rankings["score"]
    assert scores.curve is None
    assert len(found.score) == 120
    assert list(found.columns) == ["score", "expressivity", "progressivity", "trainability", "complexity"]
    expected = sum(np.log(rankdata(values) / 120) for values in list(found.columns.values())[1:])
    np.testing.assert_allclose(found.score, expected, rtol=1e-6)


def test_a_finished_run_is_left_alone(finished):
    record = run_directory(finished, FAIRNAS) / "record.json"
    before = record.stat().st_mtime_ns
    do(job_of(finished, FAIRNAS))
    assert record.stat().st_mtime_ns == before


def arrays(directory):
    found = scores_to_arrays(load_run(directory).scores, TOPOLOGY, 40)
    return {name: values for name, values in found.items() if name != "curve/seconds"}


@pytest.mark.parametrize("run", [FAIRNAS, PlannedRun("mngnas", {"warmup": 0.1}, 2)], ids=lambda run: run.name)
def test_killed_at_any_moment_it_ends_with_the_same_bits(tmp_path, run, start):
    whole, killed = (opened(tmp_path / name, run) for name in ("whole", "killed"))
    made(whole, run)
    job = job_of(killed, run)
    job.save()
    environment = os.environ | {"MNGNAS_BENCH_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.study.work", str(job.directory)]
    draw, kills, seen = random.Random(0), 0, set()
    checkpoint = job.directory / "checkpoint.pt"

    def written():
        try:
            return checkpoint.stat().st_mtime_ns
        except FileNotFoundError:  # the run has just ended, or not begun
            return 0

    while not is_finished(job.directory):
        process = start(command, cwd=ROOT, env=environment)
        before = written()
        while process.poll() is None:
            if written() != before and kills < 3:  # it has gone on from where it was: let it do a little more
                time.sleep(draw.uniform(0, 0.15))
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                seen.add(checkpoint.read_bytes() if checkpoint.exists() else b"")
            time.sleep(0.005)
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills >= 2
    assert len(seen) >= 2  # they were different moments
    one, other = arrays(job.directory), arrays(run_directory(whole, run))
    assert set(one) == set(other)
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    assert not checkpoint.exists()
    assert not (job.directory / STATUS).exists()


def test_the_commit_is_that_of_the_start(tmp_path, monkeypatch):
    """A run that goes on with other sources is of no single commit: its record says dirty."""
    directory, said = opened(tmp_path / "study", SPOS), iter([("first", False), ("second", False)])
    monkeypatch.setattr(run_module, "commit", lambda: next(said))
    job = job_of(directory, SPOS)
    job.save()
    study = tiny_study(SPOS)
    begun = run_module._Run(begun_of(study, job.directory, SPOS), lambda _status: None)
    begun.method.advance()
    begun._save()
    do(job)
    record = load_run(job.directory).record
    assert (record.commit, record.dirty) == ("first", True)


def test_a_checkpoint_of_another_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MNGNAS_BENCH_CHECKPOINT_SECONDS", "0")
    directory = opened(tmp_path / "study", SPOS, FAIRNAS)
    begun = run_module._Run(begun_of(tiny_study(), directory / "other", SPOS), lambda _status: None)
    job = job_of(directory, FAIRNAS)
    job.save()
    begun.directory = job.directory
    begun._save()
    with pytest.raises(UserError, match=r"is a checkpoint of another run; delete it"):
        do(job)


def test_what_a_supervised_run_read_is_in_its_record(tmp_path):
    run = PlannedRun("landmark", {"landmarks": 7}, 0)
    record = load_run(made(opened(tmp_path / "study", run), run)).record
    table = load_table("digits201")
    assert (record.method.kind, record.cost.queries) == ("supervised", 7)
    assert record.oracle == TableOracle(table, "digits").about()
    (told,) = record.diary.tables
    accuracy = table.mean(table.shortest("digits", "valid"))
    assert [row[1] for row in told.rows] == [accuracy[row[0]] for row in told.rows]
    assert len({row[0] for row in told.rows}) == 7


def test_a_supervised_run_without_its_table_is_an_error(tmp_path, monkeypatch):
    run = PlannedRun("landmark", {}, 0)
    directory = opened(tmp_path / "study", run, FAIRNAS)

    def unreachable(*_, **__):
        raise UserError("the table cannot be reached")

    monkeypatch.setattr("bench.study.begin._table", unreachable)
    with pytest.raises(UserError, match=r"^the table cannot be reached$"):
        made(directory, run)
    assert not is_finished(run_directory(directory, run))
    assert is_finished(made(directory, FAIRNAS))


def test_weights_that_diverge_stop_the_run(tmp_path):
    preset = tiny_study().preset
    preset = replace(preset, training=replace(preset.training, learning_rate=1e6, clip=0.0))
    directory = opened(tmp_path / "study", SPOS, preset=preset)
    with pytest.raises(UserError, match=r"spos-seed0 diverged: its weights are not finite after \d+ % of the budget"):
        made(directory, SPOS)
    assert not is_finished(run_directory(directory, SPOS))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "other pictures"}, "this study was made with other pictures, but digits is what was found"),
        ({"preset": parse_preset("p", "[supernet]\nstages = 5")}, "stages = 5 is too many for pictures of 8x8"),
        ({"preset": parse_preset("p", "[images]\nshrink = 3")}, "shrink = 3 does not divide the side of 8 pixels"),
        ({"preset": parse_preset("p", "[scoring]\nimages = 500")}, "images = 500 is more than the 300 validation"),
        ({"preset": parse_preset("p", "[training]\nbatch_size = 601\n" + FEW)}, "601 is more than the 600 training"),
        ({"preset": parse_preset("p", "[augmentation]\ncrop = 9\n" + FEW)}, "crop = 9 is more than the side of 8"),
        ({"preset": parse_preset("p", "[supernet]\nchannels = 4096\ncells = 100\n" + FEW)}, "need at least .* GB of"),
    ],
)
def test_what_a_task_cannot_be_made_of(changes, message):
    with pytest.raises(UserError, match=message):
        run_module._Run(begun_of(tiny_study(**changes), Path("nowhere"), SPOS), lambda _status: None)


def test_every_run_gets_the_same_task():
    one, other = (make_task(tiny_study(), seed) for seed in (0, 1))
    assert (one.skeleton, one.training, one.scoring) == (other.skeleton, other.training, other.scoring)
    assert (one.search.images, one.scoring.images) == (20, 40)


def test_job_json_says_what_is_done(tmp_path):
    job = job_of(tmp_path, PlannedRun("mngnas", {"cap": 1.0}, 3))
    job.save()
    content = json.loads((job.directory / "job.json").read_text())
    assert content["arguments"] == {"method": "mngnas", "changes": {"cap": 1.0}, "seed": 3}
    assert job.name == "mngnas_cap=1.0-seed3"
