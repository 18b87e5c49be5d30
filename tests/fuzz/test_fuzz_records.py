"""Records, packed runs, studies, jobs and checkpoints that were damaged: refused in one line, or the same numbers."""

import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.cli.terminal import line
from bench.study.brief import BriefTraining, load_brief, save_brief
from bench.study.checkpoint import CHECKPOINT, PREVIOUS, load_checkpoint, save_checkpoint
from bench.study.jobs import LEASE, STATUS, Job, Lease, Status, load_job, load_status, save_status
from bench.study.parts import Part, read_part, write_part
from bench.study.records import MethodRef, RunRecord
from bench.study.retrain import Found, Line, load_retrained, save_retrained
from bench.study.scores import Curve, RunScores, Scores, scores_digest, scores_to_arrays
from bench.study.spec import PlannedRun, load_study, open_study
from bench.study.store import load_runs, pack_runs, save_run
from mngnas.errors import UserError
from mngnas.methods.info import Cost, Diary
from mngnas.spaces.topology import TOPOLOGY
from tests.fuzz.damage import ROUNDS, assert_one_line, damaged
from tests.tiny import FAIRNAS, SPOS, tiny_study


def record(seed: int) -> RunRecord:
    method = MethodRef("spos", {}, "SPOS", "supernet", "Guo et al., 2020")
    return RunRecord(
        *(method, seed, "digits201", "nas-bench-201", "digits", "digits", "tiny", ()),
        *({"scoring": {"images": 40}, "training": {"passes": 100}}, 2, "checksum", 100, Cost(100, 1600, 2.5)),
        *({"inherited": Cost(0, 0, 1.5)}, (), None, Diary(), "cpu", {"torch": "2"}, "abc", False, "2026-01-01", ""),
    )


def scores(seed: int) -> RunScores:
    draw = np.random.default_rng(seed)
    index = np.sort(draw.choice(15_625, 50, replace=False))
    columns = {"accuracy": draw.integers(0, 41, 50) / 40, "minus_loss": -draw.uniform(0, 3, 50)}
    few, moments = index[:10], np.arange(3)
    curve = Curve(
        few, moments * 50.0, moments * 800, moments * 1.25, moments * 0, {"minus_loss": -draw.random((3, 10))}
    )
    return RunScores({"inherited": Scores(index, columns)}, curve)


def facts(runs) -> list:
    """All that a report could show of runs."""
    return [
        (
            run.record.to_json(),
            scores_digest(scores_to_arrays(run.scores, TOPOLOGY, 40)),
            run.scores.curve.seconds.tolist(),
        )
        for run in runs
    ]


@pytest.fixture(scope="module", params=["single", "packed"])
def study(request, tmp_path_factory):
    """A study with two made-up runs, as directories or packed."""
    directory = tmp_path_factory.mktemp(request.param) / "study"
    for seed in (0, 1):
        folder = directory / f"spos-seed{seed}"
        folder.mkdir(parents=True)
        save_run(folder, record(seed), scores(seed), 40)
    if request.param == "packed":
        pack_runs(directory)
    return directory


def test_damaged_records(study, tmp_path):
    draw, expected, refused = random.Random(5), facts(load_runs(study)), 0
    files = sorted(path.relative_to(study) for path in study.rglob("*") if path.is_file())
    copy = tmp_path / "study"
    shutil.copytree(study, copy)
    for _ in range(150 * ROUNDS):
        name = draw.choice(files)
        (copy / name).write_bytes(damaged((study / name).read_bytes(), draw))
        try:
            assert facts(load_runs(copy)) == expected
        except UserError as error:
            assert_one_line(line(error))
            refused += 1
        (copy / name).write_bytes((study / name).read_bytes())
    assert refused > 100 * ROUNDS


def test_damaged_checkpoints(tmp_path):
    draw = random.Random(6)
    for number in range(2):
        save_checkpoint(tmp_path, {"number": number, "weights": torch.arange(50) + number}, "me")
    whole = {name: (tmp_path / name).read_bytes() for name in (CHECKPOINT, PREVIOUS)}
    seen = set()
    for _ in range(200 * ROUNDS):
        for name in whole:  # one of the two, or both
            (tmp_path / name).write_bytes(damaged(whole[name], draw) if draw.random() < 0.6 else whole[name])
        try:
            found = load_checkpoint(tmp_path, "me", torch.device("cpu"))
        except UserError as error:
            assert_one_line(line(error))
            seen.add(None)
        else:
            assert found["number"] in (0, 1)
            assert torch.equal(found["weights"], torch.arange(50) + found["number"])
            seen.add(found["number"])
    assert seen == {None, 0, 1}


def test_the_whole_one_stays_when_the_newest_was_damaged(tmp_path, capsys):
    for number in range(2):
        save_checkpoint(tmp_path, {"number": number}, "me")
    (tmp_path / CHECKPOINT).write_bytes(b"damaged")
    assert load_checkpoint(tmp_path, "me", torch.device("cpu"))["number"] == 0
    assert not (tmp_path / CHECKPOINT).exists()  # or the next would keep it as the one before
    assert "is damaged" in capsys.readouterr().err


def test_damaged_studies(tmp_path):
    draw = random.Random(7)
    run = PlannedRun("mngnas", {"pool": 2, "cap": 0.5}, 7)
    known = open_study(tmp_path, tiny_study(SPOS, FAIRNAS, run, mirror="/mirror"))
    whole, refused = (tmp_path / "study.json").read_bytes(), 0
    for _ in range(300 * ROUNDS):
        (tmp_path / "study.json").write_bytes(damaged(whole, draw))
        try:
            found = load_study(tmp_path)
        except UserError as error:
            assert_one_line(line(error))
            refused += 1
        else:  # where things come from and what they are called may differ
            assert (found.identity, found.runs, found.changes) == (known.identity, known.runs, known.changes)
    assert refused > 200 * ROUNDS


def test_a_study_without_a_seal_is_read_and_never_a_traceback(tmp_path):
    """As older versions left them; what is damaged there may go unnoticed, but not loudly."""
    draw = random.Random(8)
    open_study(tmp_path / "made", tiny_study(SPOS, FAIRNAS))
    whole = (tmp_path / "made" / "study.json").read_bytes()
    (tmp_path / "study.json").write_bytes(whole)
    assert load_study(tmp_path) == load_study(tmp_path / "made")
    for _ in range(300 * ROUNDS):
        (tmp_path / "study.json").write_bytes(damaged(whole, draw))
        try:
            load_study(tmp_path)
        except UserError as error:
            assert_one_line(line(error))


def test_what_may_be_changed_by_hand(tmp_path):
    open_study(tmp_path, tiny_study(SPOS))
    content = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(content | {"mirror": "/elsewhere"}))
    assert load_study(tmp_path).mirror == "/elsewhere"
    content["preset"]["settings"]["training"]["passes"] = 101
    (tmp_path / "study.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"was changed after it was written.*delete \.study\.json\.sha256 beside it"):
        load_study(tmp_path)
    (tmp_path / ".study.json.sha256").unlink()
    assert load_study(tmp_path).preset.training.passes == 101


def test_a_study_of_an_older_version_gets_its_seal_with_the_next_command(tmp_path):
    open_study(tmp_path, tiny_study(SPOS))
    (tmp_path / ".study.json.sha256").unlink()
    open_study(tmp_path, tiny_study(FAIRNAS))
    assert len((tmp_path / ".study.json.sha256").read_text().split()) == 2  # killed now, both contents are right
    assert load_study(tmp_path).runs == (SPOS, FAIRNAS)


def test_damaged_jobs(tmp_path):
    draw, job = random.Random(9), Job(tmp_path / "spos-seed0", "run", "record.json", {"method": "spos", "seed": 0})
    job.save()
    whole = (job.directory / "job.json").read_bytes()
    for _ in range(300 * ROUNDS):
        (job.directory / "job.json").write_bytes(damaged(whole, draw))
        try:
            assert load_job(job.directory) == job
        except UserError as error:
            assert_one_line(line(error))


def test_damaged_leases_and_heartbeats(tmp_path):
    """They hold no numbers: whatever is in them, nobody fails and nobody waits for ever."""
    draw = random.Random(10)
    assert Lease(tmp_path).acquire()
    save_status(tmp_path, Status("training", 0.5, 10.0))
    whole = {name: (tmp_path / name).read_bytes() for name in (LEASE, STATUS)}
    for _ in range(200 * ROUNDS):
        for name, content in whole.items():
            (tmp_path / name).write_bytes(damaged(content, draw))
        status = load_status(tmp_path)
        assert isinstance(status.phase, str)
        assert isinstance(status.share, float)
        lease = Lease(tmp_path)
        assert lease.acquire() in (True, False)
        lease.release()


def test_damaged_trainings_of_single_architectures(tmp_path):
    draw = random.Random(11)
    brief = BriefTraining(500, 0.2, {i * 7: (i / 50, 2.5 - i / 50) for i in range(20)})
    save_brief(tmp_path, brief)
    retrained = {Line("scratch", "", 3): Found(1.0, "", {5: {3: (0.25, 1.5, 0.1), 7: (0.5, 1.25, 0.2)}})}
    save_retrained(tmp_path, retrained)
    part = Part({"steps": 500}, {3: [0.25, 1.5], 4: [0.5, 1.25]})
    write_part(tmp_path / "part.json", part)
    files = {name: (tmp_path / name).read_bytes() for name in ("brief.json", "retrain.json", "part.json")}
    for _ in range(200 * ROUNDS):
        for name, content in files.items():
            (tmp_path / name).write_bytes(damaged(content, draw))
        assert read_part(tmp_path / "part.json") in (None, part)
        for load, whole in ((load_brief, brief), (load_retrained, retrained)):
            try:
                assert load(tmp_path) == whole
            except UserError as error:
                assert_one_line(line(error))


def test_a_record_with_another_seed_is_refused(tmp_path):
    folder = tmp_path / "spos-seed0"
    folder.mkdir()
    save_run(folder, record(0), scores(0), 40)
    content = record(0).to_json() | {"seed": 1}
    (folder / "record.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"was changed after it was written"):
        load_runs(tmp_path)
    assert replace(record(0), seed=1) != record(0)
