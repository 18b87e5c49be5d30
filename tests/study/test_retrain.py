"""Retraining against its length: which runs, the same supernets again, every way and length, resumed after a kill."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.study.begin import begun, job_of
from bench.study.executor import Failure
from bench.study.retrain import (
    GUIDED,
    RETRAINED,
    SCRATCH,
    UNGUIDED,
    Line,
    load_retrained,
    retrain,
    retrained_archs,
    runs_to_retrain,
    save_retrained,
)
from bench.study.spec import PlannedRun, load_study
from bench.study.store import load_run, pack_runs
from bench.study.task import make_task
from bench.study.work import do
from mngnas.errors import UserError
from mngnas.methods.supernet_method import INHERITED, SupernetMethod
from mngnas.nets.build import build_supernet
from mngnas.seeds import BRIEF_TRAINING, stand_alone_weights
from mngnas.spaces.topology import TOPOLOGY
from tests.study.in_this_process import InThisProcess, quiet
from tests.tiny import FAIRNAS, SPOS, opened

MNGNAS, OTHER, LONELY = (PlannedRun("mngnas", changes, 0) for changes in ({}, {"pool": 1}, {"rounds": 0}))
EVERYWHERE = np.ones(TOPOLOGY.n_arch, bool)


def finished(directory, *runs):
    """A study whose runs say that they are done."""
    opened(directory, *runs)
    for run in runs:
        (directory / run.name).mkdir()
        (directory / run.name / "record.json").touch()
    return directory


def numbers(retrained):
    """Without seconds."""
    return {
        line: {passes: {i: one[:2] for i, one in of.items()} for passes, of in found.by_passes.items()}
        for line, found in retrained.items()
    }


def trained(directory, run):
    """A run's method at its end, by its own steps alone."""
    study = load_study(directory)
    about = begun(study, directory, run)
    method = about.entry.load()(about.config, make_task(study, run.seed))
    while not method.done:
        method.advance()
    return method


# ------------------------------------------------------------------------------------------------------ what is asked


def test_by_default_unchanged_methods_that_guide(tmp_path):
    names = [run.name for run in runs_to_retrain(finished(tmp_path / "all", SPOS, MNGNAS, OTHER))]
    assert names == ["mngnas-seed0"]
    changed = finished(tmp_path / "changed", OTHER, SPOS, LONELY)
    assert [run.changes for run in runs_to_retrain(changed)] == [{"pool": 1}, {"rounds": 0}]
    searcher, training_free = PlannedRun("rea", {}, 0), PlannedRun("synflow", {}, 0)
    plain = finished(tmp_path / "plain", searcher, FAIRNAS, training_free, SPOS)
    assert runs_to_retrain(plain) == [FAIRNAS, SPOS]


def test_runs_are_chosen_by_strategy_and_seed(tmp_path):
    study = finished(tmp_path / "study", SPOS, MNGNAS, OTHER, FAIRNAS)
    assert runs_to_retrain(study, "spos,mngnas[pool=1]") == [SPOS, OTHER]
    assert runs_to_retrain(study, "*", [1]) == [FAIRNAS]
    with pytest.raises(UserError, match=r"unknown strategy 'mngnas\[pool=2\]'; did you mean 'mngnas\[pool=1\]'"):
        runs_to_retrain(study, "mngnas[pool=2]")
    with pytest.raises(UserError, match=r"has none of these seeds, but 0$"):
        runs_to_retrain(study, "spos", range(3, 5))
    with pytest.raises(UserError, match=r"has no finished run of a supernet"):
        runs_to_retrain(opened(tmp_path / "open", SPOS))


def test_architectures_have_a_ground_truth_and_are_nested(tmp_path):
    study, known = opened(tmp_path / "study"), EVERYWHERE.copy()
    all_of_them = retrained_archs(study, 20, known)
    known[all_of_them[1]] = False
    assert retrained_archs(study, 10, known) == [all_of_them[0], *all_of_them[2:11]]
    with pytest.raises(UserError, match=r"fewer than two connected architectures that have a ground truth"):
        retrained_archs(study, 10, ~EVERYWHERE)


# ------------------------------------------------------------------------------------------------------ what is found


@pytest.fixture(scope="module")
def guided(tmp_path_factory):
    directory = finished(tmp_path_factory.mktemp("guided") / "study", MNGNAS)
    archs = retrained_archs(directory, 3, EVERYWHERE)
    return directory, archs, retrain(directory, [MNGNAS], archs, [0, 7], InThisProcess(), quiet)


def test_every_way_starts_where_it_says_and_takes_equal_passes(guided):
    directory, archs, found = guided
    guide, plain, scratch = (
        Line(way, run, 0) for way, run in ((GUIDED, MNGNAS.name), (UNGUIDED, MNGNAS.name), (SCRATCH, ""))
    )
    assert set(found) == {guide, plain, scratch}
    method = trained(directory, MNGNAS)
    price = 1 + len(method.pool) / 3
    assert len(method.pool) > 1
    assert [found[line].price for line in (guide, plain, scratch)] == [pytest.approx(price), 1, 1]
    assert [found[line].steps(7) for line in (guide, plain, scratch)] == [int(7 / price), 7, 7]
    for index in archs:
        arch = TOPOLOGY.from_index(index)
        inherited = method.scores(INHERITED, [arch])
        assert found[guide].by_passes[0][index][:2] == found[plain].by_passes[0][index][:2] == rounded(inherited)
        assert found[guide].by_passes[7][index][:2] == rounded(method.retrained(arch, int(7 / price)))
        assert found[plain].by_passes[7][index][:2] == rounded(method.retrained(arch, 7, guided=False))
        first = build_supernet(TOPOLOGY, method.task.skeleton, stand_alone_weights(BRIEF_TRAINING, index))
        untrained = method.scorer([arch], first)
        assert found[scratch].by_passes[0][index][:2] == pytest.approx((untrained.accuracy[0], untrained.loss[0]), 1e-5)
        assert found[scratch].by_passes[7][index][1] < untrained.loss[0]
    assert not list(directory.glob("retrain-*")) + list(directory.glob("supernet-*"))


def rounded(columns):
    return round(float(columns["accuracy"][0]), 6), float(f"{-columns['minus_loss'][0]:.6g}")


def test_only_what_is_missing_is_done(guided):
    directory, archs, found = guided
    idle = InThisProcess(at_most=0)
    assert retrain(directory, [MNGNAS], archs[:2], [7], idle, quiet) == found == load_retrained(directory)


def test_a_packed_run_has_the_accuracies_of_its_record(tmp_path):
    """The supernet is trained again: the same bits."""
    directory = opened(tmp_path / "study", SPOS)
    job = job_of(directory, SPOS)
    job.save()
    do(job)
    pack_runs(directory)
    assert not job.directory.exists()
    (run,) = runs_to_retrain(directory)
    archs = retrained_archs(directory, 5, EVERYWHERE)
    found = retrain(directory, [run], archs, [0], InThisProcess(), quiet)
    ranking = load_run(job.directory).scores.rankings["inherited"]
    accuracy = dict(zip(ranking.arch_index.tolist(), ranking.columns["accuracy"].tolist(), strict=True))
    again = found[Line(UNGUIDED, SPOS.name, 0)].by_passes[0]
    assert {index: one[0] for index, one in again.items()} == pytest.approx({i: accuracy[i] for i in archs})


def test_it_goes_on_after_a_kill_and_adds_what_is_missing(tmp_path, monkeypatch):
    whole, cut = (finished(tmp_path / name, SPOS) for name in ("whole", "cut"))
    archs = retrained_archs(whole, 4, EVERYWHERE)
    expected = numbers(retrain(whole, [SPOS], archs, [0, 2, 3], InThisProcess(), quiet))
    retrained, calls = SupernetMethod.retrained, []

    def killed(*arguments, **options):
        calls.append(arguments)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return retrained(*arguments, **options)

    monkeypatch.setattr(SupernetMethod, "retrained", killed)
    with pytest.raises(KeyboardInterrupt):
        retrain(cut, [SPOS], archs[:3], [0, 2], InThisProcess(), quiet)
    monkeypatch.undo()
    (line,) = load_retrained(cut)
    assert (line.way, set(load_retrained(cut)[line].by_passes[2])) == (UNGUIDED, {archs[0]})
    executor = InThisProcess()
    found = retrain(cut, [SPOS], archs, [0, 2, 3], executor, quiet)
    assert numbers(found) == numbers(load_retrained(cut)) == expected
    asked = [(job.arguments["way"], job.arguments["lengths"], job.arguments["archs"]) for job in executor.done[1:]]
    assert asked == [(UNGUIDED, [3], archs[:1]), (UNGUIDED, [0, 2, 3], archs[1:]), (SCRATCH, [0, 2, 3], archs)]


def test_another_supernet_is_not_mixed_with_the_first(guided, tmp_path):
    _, archs, found = guided
    directory = finished(tmp_path / "study", MNGNAS)
    save_retrained(directory, {line: replace(one, weights="other") if line.run else one for line, one in found.items()})
    with pytest.raises(UserError, match=r"retrain\.json is of another supernet of mngnas-seed0"):
        retrain(directory, [MNGNAS], archs, [0, 7, 9], InThisProcess(), quiet)


def test_a_failure_is_told(tmp_path):
    class Failing:
        def run(self, jobs, _on_progress):
            return [Failure(job, "no memory") for job in jobs]

    study = finished(tmp_path / "study", SPOS)
    with pytest.raises(UserError, match=r"retraining failed: no memory; the same command goes on"):
        retrain(study, [SPOS], retrained_archs(study, 2, EVERYWHERE), [2], Failing(), quiet)


def test_a_changed_file_is_refused(guided, tmp_path):
    save_retrained(tmp_path, guided[2])
    content = json.loads((tmp_path / RETRAINED).read_text())
    content["lines"][0]["passes"]["7"]["accuracy"][0] += 0.01
    (tmp_path / RETRAINED).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"retrain\.json is not readable .* was changed after it was written"):
        load_retrained(tmp_path)
    (tmp_path / f".{RETRAINED}.sha256").unlink()
    content["lines"][0]["price"] = 0
    (tmp_path / RETRAINED).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"at 0\.0 passes a step is none.*: delete it"):
        load_retrained(tmp_path)
