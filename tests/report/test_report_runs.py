"""Which runs stand in one table, and how they are sorted into methods."""

from dataclasses import replace

import numpy as np
import pytest

from bench.report.runs import read_runs
from bench.report.scores import ranked
from bench.report.sections.opening import opening
from bench.report.sections.settings import about
from bench.study.scores import Scores
from bench.study.store import load_run
from bench.truth import Measure
from mngnas.errors import UserError
from tests.report.made_up import (
    EVERYTHING,
    SAMPLE,
    TARGET,
    made_up_table,
    read,
    scores,
    with_loss,
    write_run,
    write_searcher,
)


def test_rankings_are_kept_apart_and_the_best_comes_first(full):
    assert [(m.label, m.scores, m.is_main, m.place) for m in full.methods] == [
        ("Guided", "inherited", True, 0),
        ("Plain", "inherited", True, 1),
        ("Guided, retrained", "retrained", False, 2),
    ]
    assert [(group.label, group.seeds, group.place) for group in full.groups] == [
        ("Guided", (0, 1), 0),
        ("Plain", (0, 1), 1),
    ]
    assert full.common.all()


def test_variants_presets_and_their_changes_are_methods_of_their_own(table, tmp_path):
    write_run(tmp_path, table, "guided", index=SAMPLE)
    write_run(tmp_path, table, "guided", index=SAMPLE, changes={"pool": 2})
    write_run(tmp_path, table, "guided", index=SAMPLE, preset="large")
    write_run(tmp_path, table, "guided", index=SAMPLE, preset_changes=("sample=300",))
    study = read(tmp_path, table)
    assert {(m.label, m.strategy, m.preset) for m in study.methods} == {
        ("Guided (tiny)", "guided", "tiny"),
        ("Guided [pool=2] (tiny)", "guided[pool=2]", "tiny"),
        ("Guided (large)", "guided", "large"),
        ("Guided (tiny sample=300)", "guided", "tiny sample=300"),
    }
    assert {m.strategy: m.is_changed for m in study.methods} == {"guided": False, "guided[pool=2]": True}


def test_a_searcher_ranks_nothing_and_is_a_group(table, tmp_path):
    write_searcher(tmp_path, table=table)
    alone = read(tmp_path, table)
    assert (alone.methods, [group.label for group in alone.groups]) == ((), ["Finder"])
    write_run(tmp_path, table, index=SAMPLE)
    study = read(tmp_path, table)
    assert [(group.label, group.asked, group.place) for group in study.groups] == [
        ("Plain", False, 0),
        ("Finder", True, 1),
    ]


def test_scores_that_are_not_finite_stand_last(table, tmp_path):
    assert ranked(np.array([1.0, np.nan, 3.0, -np.inf, np.inf])).tolist() == [1, 0, 3, 0, 6]
    assert np.isnan(ranked(np.array([np.nan, -np.inf]))).all()
    values = np.arange(300.0)
    values[:7] = -np.inf
    write_run(tmp_path, table, "counter", rankings={"score": Scores(SAMPLE, {"score": values})})
    (method,) = read(tmp_path, table).methods
    assert (method.seeds[0].n_not_finite, method.seeds[0].usable) == (7, True)
    assert (method.seeds[0].score[:7] < method.seeds[0].score[7:].min()).all()


def test_a_number_of_the_study_is_computed_once(full):
    calls = []
    assert [full.once(calls.append) for _ in range(3)] == [None] * 3
    assert calls == [full]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": "other"}, "mixes runs of 2 benchmark values"),
        ({"dataset": "cifar10"}, r"mixes runs of 2 dataset values \(cifar10, digits\)"),
        ({"images": "other pixels"}, "mixes runs of 2 images values"),
        ({"protocol": 2}, r"mixes runs of 2 protocol values \(1, 2\)"),
        ({"config": {"sample": 0, "training": {"passes": 9}}}, "seeds 0 and 1 of 'plain' differ in 'training.passes'"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(changes, message, table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, table, seed=1, index=SAMPLE, **changes)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, table)
    assert "\n" not in str(error.value)


def test_settings_that_only_one_run_knows_and_descriptions_may_differ(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE, config={"description": "old", "guided": {"rounds": 3}})
    new = {"description": "new", "guided": {"rounds": 3, "size": 0.5}, "curve": {"points": 3}}
    write_run(tmp_path, table, seed=1, index=SAMPLE, config=new)
    assert len(read(tmp_path, table).runs) == 2


def test_same_seed_twice_is_refused(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE).rename(tmp_path / "copy")
    write_run(tmp_path, table, index=SAMPLE)
    with pytest.raises(UserError, match="holds seed 0 of 'plain' twice"):
        read(tmp_path, table)


def test_scores_that_ask_no_table_hold_for_the_one_of_today(table, tmp_path):
    """The table has grown since, even between two runs: the report is that of today's, and says so."""
    today = made_up_table(SAMPLE)
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, today, seed=1, index=SAMPLE)
    study = read(tmp_path, today)
    np.testing.assert_array_equal(study.truth, today.mean(TARGET))
    (warning,) = [text for text in opening(study).warnings if "state of the table" in text]
    assert f"(checksum {table.checksum[:12]}) are evaluated with this one ({today.checksum[:12]})" in warning
    assert about(study).table_checksum == today.checksum
    write_run(tmp_path / "same", today, index=SAMPLE)
    assert not any("state of the table" in text for text in opening(read(tmp_path / "same", today)).warnings)
    write_searcher(tmp_path, table=today)
    assert len(read(tmp_path, today).runs) == 3  # it asked the table of today
    write_searcher(tmp_path, seed=1, table=table)
    with pytest.raises(UserError, match=f"checksum {table.checksum[:12]}, and this table 'made-up' has") as error:
        read(tmp_path, today)
    assert "\n" not in str(error.value)


def test_another_benchmark_or_a_target_that_does_not_fit_is_refused(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    with pytest.raises(UserError, match=r"were made with a table 'made-up' of checksum .*, and this table 'other' has"):
        read(tmp_path, replace(table, name="other"))
    with pytest.raises(UserError, match="'digits test loss after 5 epochs' is not an accuracy"):
        read_runs(tmp_path, table, Measure("digits", "test", 5, "loss"))
    with pytest.raises(UserError, match="is not an accuracy on digits"):
        read_runs(tmp_path, table, Measure("cifar10", "test", 200))
    with pytest.raises(UserError, match="unknown split 'valid'"):
        read_runs(tmp_path, table, Measure("digits", "valid", 5))


def test_study_without_any_ground_truth_is_refused(tmp_path):
    table = made_up_table(SAMPLE)
    write_run(tmp_path, table, index=np.setdiff1d(EVERYTHING, SAMPLE)[:50])
    with pytest.raises(UserError, match="no architecture scored"):
        read(tmp_path, table)
    with pytest.raises(UserError, match="there is no study directory"):
        read_runs(tmp_path / "nowhere", table, TARGET)


def test_scores_are_those_of_the_run(table, tmp_path):
    folder = write_run(tmp_path, table, rankings={"inherited": scores(table, 3, SAMPLE), "b": with_loss([1], [0], [0])})
    study = read(tmp_path, table)
    kept = load_run(folder).scores.rankings["inherited"]
    assert study.methods[0].columns == ("accuracy", "minus_loss")
    assert (study.methods[0].seeds[0].score == kept.columns["accuracy"]).all()
    assert (study.methods[0].seeds[0].true == table.mean(TARGET)[kept.arch_index]).all()
    assert study.methods[1].scores == "b"
