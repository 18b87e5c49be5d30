"""Studies: presets, a run from start to record, kills at any moment, and what may not be mixed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.study.preset import (
    Preset,
    curve_sample,
    final_archs,
    load_preset,
    parse_preset,
    preset_names,
    retrained_archs,
    search_config,
    with_changes,
)
from bench.study.records import is_finished, load_run, load_runs, scores_digest
from bench.study.run import execute
from bench.study.spec import Study, duration, load_study, open_study, run_directory, run_study
from mngnas.errors import UserError
from mngnas.spaces.topology import live_graph, to_index

ROOT = Path(__file__).resolve().parent.parent
TINY = """
sample = 120
[supernet]
channels = 4
cells = 1
residual_reduction = false
[training]
passes = 100
batch_size = 16
average = 0.4
[augmentation]
noise = 0.3
[scoring]
images = 40
batch_size = 20
noise = 0.3
[curve]
points = 3
archs = 20
[retraining]
archs = 12
steps = 3
"""


def tiny_study(**changes) -> Study:
    study = Study("made-up", "digits", "digits", parse_preset("tiny", TINY), "checksum", "cpu")
    return replace(study, **changes)


def quiet(*_said):
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study") / "study"
    open_study(directory, tiny_study())
    execute(directory, "fairnas", 1, quiet, 1e9)
    return directory


def test_a_run_leaves_its_record_and_scores(finished):
    run = load_run(run_directory(finished, "fairnas", 1))
    record, scores = run.record, run.scores
    assert (record.benchmark, record.dataset, record.images) == ("made-up", "digits", "digits")
    assert (record.strategy, record.seed, record.preset) == ("fairnas", 1, "tiny")
    assert (record.steps, record.passes, record.images_seen) == (20, 100, 1600)
    assert record.config["training"]["passes"] == 100
    assert record.device.endswith("1 thread")
    assert set(record.versions) >= {"python", "torch", "numpy"}
    inherited = scores.sets["inherited"]
    np.testing.assert_array_equal(inherited.arch_index, [to_index(arch) for arch in final_archs(tiny_study().preset)])
    assert ((inherited.accuracy >= 0) & (inherited.accuracy <= 1)).all()
    assert len(np.unique(inherited.loss)) > 50
    retrained = scores.sets["retrained"]
    np.testing.assert_array_equal(
        retrained.arch_index, [to_index(arch) for arch in retrained_archs(tiny_study().preset)]
    )
    assert retrained.loss.shape == (12,)
    assert record.retraining_passes == 36
    np.testing.assert_array_equal(scores.curve.passes, [0, 35, 70, 100])
    assert scores.curve.accuracy.shape == scores.curve.loss.shape == (4, 20)
    assert scores.curve.loss[-1].mean() < scores.curve.loss[0].mean()
    directory = run_directory(finished, "fairnas", 1)
    assert {f.name for f in directory.iterdir() if f.name[0] != "."} == {"record.json", "scores.npz", "supernet.pt"}


def test_equal_live_graphs_get_equal_scores(finished):
    inherited = load_run(run_directory(finished, "fairnas", 1)).scores.sets["inherited"]
    by_live = {}
    for arch, loss in zip(final_archs(tiny_study().preset), inherited.loss, strict=True):
        assert by_live.setdefault(live_graph(arch), loss) == loss


def test_a_finished_run_is_left_alone(finished):
    record = run_directory(finished, "fairnas", 1) / "record.json"
    before = record.stat().st_mtime_ns
    execute(finished, "fairnas", 1, quiet, 1e9)
    assert record.stat().st_mtime_ns == before


def test_killed_at_any_moment_it_ends_with_the_same_bits(finished, tmp_path):
    directory = tmp_path / "study"
    open_study(directory, tiny_study())
    environment = os.environ | {"MNGNAS_BENCH_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "bench.study.run", str(directory), "fairnas", "1"]
    draw, kills, seen = random.Random(0), 0, set()
    checkpoint = run_directory(directory, "fairnas", 1) / "checkpoint.pt"
    while not is_finished(run_directory(directory, "fairnas", 1)):
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        while process.poll() is None:
            now = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
            if now != before and kills < 4:  # it has gone on from where it was: let it do a little more, then kill it
                time.sleep(draw.uniform(0, 0.15))
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                seen.add(checkpoint.read_bytes() if checkpoint.exists() else b"")
            time.sleep(0.005)
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills >= 2
    assert len(seen) >= 2  # they were different moments
    whole = load_run(run_directory(finished, "fairnas", 1))
    killed = load_run(run_directory(directory, "fairnas", 1))
    assert killed.record.scores_sha256 == whole.record.scores_sha256
    assert set(killed.scores.sets) == {"inherited", "retrained"}
    for name, found in killed.scores.sets.items():
        np.testing.assert_array_equal(found.accuracy, whole.scores.sets[name].accuracy)
        np.testing.assert_array_equal(found.loss, whole.scores.sets[name].loss)
    np.testing.assert_array_equal(killed.scores.curve.loss, whole.scores.curve.loss)


def test_runs_side_by_side_equal_runs_alone(finished, tmp_path):
    directory, lines = tmp_path / "study", []
    open_study(directory, tiny_study())
    run_study(directory, [("fairnas", 1), ("spos", 0)], 2, lines.append)
    runs = {(run.record.strategy, run.record.seed): run for run in load_runs(directory)}
    assert set(runs) == {("fairnas", 1), ("spos", 0)}
    alone = load_run(run_directory(finished, "fairnas", 1))
    assert runs["fairnas", 1].record.scores_sha256 == alone.record.scores_sha256
    assert lines[0].startswith("0 of 2 runs done; fairnas-seed1 ")
    assert lines[-1].startswith("2 of 2 runs done; ")


def test_a_failing_run_is_told_with_its_reason(tmp_path):
    open_study(tmp_path / "study", tiny_study(images="other pictures"))
    with pytest.raises(UserError, match="run spos-seed0 failed: this study was made with other pictures, but digits"):
        run_study(tmp_path / "study", [("spos", 0)], 1, quiet)


def test_a_damaged_checkpoint_is_told(tmp_path):
    open_study(tmp_path, tiny_study())
    directory = run_directory(tmp_path, "spos", 0)
    directory.mkdir()
    (directory / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="is not a checkpoint of this run; delete it to start again"):
        execute(tmp_path, "spos", 0, quiet, 1e9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar10"}, r"another dataset \(digits, not cifar10\): choose another --out"),
        ({"table_checksum": "x"}, r"another table checksum \(checksum, not x\)"),
        (
            {"preset": parse_preset("tiny", TINY.replace("cells = 1", "cells = 2"))},
            r"preset \(they differ in supernet\)",
        ),
    ],
)
def test_two_studies_are_not_mixed(tmp_path, change, message):
    open_study(tmp_path, tiny_study())
    open_study(tmp_path, tiny_study(mirror="/elsewhere"))  # where the pictures come from may change
    with pytest.raises(UserError, match=message):
        open_study(tmp_path, tiny_study(**change))


def test_a_study_is_read_back_as_it_was(tmp_path):
    open_study(tmp_path, tiny_study())
    assert load_study(tmp_path) == tiny_study()


def test_directories_that_are_no_study(tmp_path):
    with pytest.raises(UserError, match=r"is not a study: it has no study\.json"):
        load_study(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is neither empty nor a study"):
        open_study(tmp_path, tiny_study())
    with pytest.raises(UserError, match="holds no finished run"):
        load_runs(tmp_path)


def test_changed_scores_and_records_are_refused(finished, tmp_path):
    source, target = run_directory(finished, "fairnas", 1), tmp_path / "run"
    target.mkdir()
    record = json.loads((source / "record.json").read_text())
    arrays = dict(np.load(source / "scores.npz"))
    arrays["inherited_accuracy"][3] += 0.1
    np.savez(target / "scores.npz", **arrays)
    (target / "record.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="is not the file that its record describes"):
        load_run(target)
    (target / "record.json").write_text(json.dumps(record | {"format": 99}))
    with pytest.raises(UserError, match="has format 99, not 1"):
        load_run(target)
    (target / "record.json").write_text("{")
    with pytest.raises(UserError, match="does not hold a readable run"):
        load_run(target)


def test_the_digest_sees_every_number_but_the_clock(finished):
    scores = load_run(run_directory(finished, "fairnas", 1)).scores
    later = replace(scores, curve=replace(scores.curve, seconds=scores.curve.seconds + 1))
    other = replace(scores, curve=replace(scores.curve, loss=scores.curve.loss + 1e-9))
    assert scores_digest(later) == scores_digest(scores) != scores_digest(other)


# ------------------------------------------------------------------------------------------------------------ presets


@pytest.mark.parametrize("name", preset_names())
def test_presets_that_come_with_the_package(name):
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description
    assert preset.supernet.channels * preset.supernet.cells > 0


def test_a_users_preset_is_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text(TINY)
    preset = load_preset(str(tmp_path / "mine.toml"))
    assert (preset.name, preset.training.passes, preset.training.momentum) == ("mine", 100, 0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[traning]\npasses = 3", "unknown entry 'traning'; did you mean 'training'?"),
        ("[training]\npases = 3", "training: unknown entry 'pases'; did you mean 'passes'?"),
        ("[training]\npasses = 'many'", "training.passes = 'many' must be a int, not negative"),
        ("[training]\npasses = true", "training.passes = True must be a int"),
        ("[images]\nshrink = -2", "images.shrink = -2 must be a int, not negative"),
        ("sample = 1.5", "sample = 1.5 must be a int"),
        ("training = 3", "training must be a section"),
        ("[training", "is not TOML"),
    ],
)
def test_mistakes_in_a_preset_are_named(text, message):
    with pytest.raises(UserError) as caught:
        parse_preset("mine", text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_presets(tmp_path):
    with pytest.raises(UserError, match="unknown preset 'gpus'; did you mean 'gpu'"):
        load_preset("gpus")
    with pytest.raises(UserError, match=r"there is no preset file .*none\.toml"):
        load_preset(str(tmp_path / "none.toml"))


def test_samples_are_the_same_in_every_run():
    preset = Preset("any", sample=50)
    assert final_archs(preset) == final_archs(preset)
    assert len(set(final_archs(preset))) == 50
    assert [to_index(arch) for arch in final_archs(Preset("all"))] == list(range(15_625))
    assert len(set(curve_sample(preset))) == preset.curve.archs
    assert set(curve_sample(preset)) != set(final_archs(replace(preset, sample=preset.curve.archs)))


@pytest.mark.parametrize(("asked", "images"), [(30, 40), (40, 40), (50, 60), (500, 100), (0, 20)])
def test_a_search_uses_whole_scoring_batches(asked, images):
    text = f"[scoring]\nimages = 100\nbatch_size = 20\n[search]\nimages = {asked}"
    assert search_config(parse_preset("mine", text)).images == images


def test_durations_for_people():
    assert [duration(s) for s in (0.4, 89, 100, 3600 * 2 + 300)] == ["0 s", "89 s", "2 min", "2 h 05 min"]


def test_changes_to_a_preset_are_told_in_its_name():
    preset = load_preset("digits")
    assert with_changes(preset, []) == preset
    changed = with_changes(preset, ["training.passes=100", "sample = 5", "mngnas.perturbation=off", "mngnas.cap=1"])
    assert changed.name == "digits training.passes=100 sample=5 mngnas.perturbation=off mngnas.cap=1"
    assert (changed.training.passes, changed.sample, changed.mngnas.perturbation) == (100, 5, "off")
    assert changed.training.learning_rate == preset.training.learning_rate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.pases=3", "unknown entry 'pases'; did you mean 'passes'"),
        ("trainin.passes=3", "unknown section 'trainin'; did you mean 'training'"),
        ("training.passes=many", "training.passes = 'many' must be a int"),
        ("training=3", "training must be a section"),
        ("nonsense", "unknown entry 'nonsense'"),
    ],
)
def test_a_wrong_change_is_told(change, message):
    with pytest.raises(UserError, match=message):
        with_changes(load_preset("digits"), [change])
