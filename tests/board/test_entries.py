"""Entries from studies, files and the table; the parts of a table put together."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.board.entries import (
    CEILING,
    CLOSED_FORM,
    prediction_entry,
    reference_entries,
    study_entries,
    told_apart,
)
from bench.board.parts import score_tables
from bench.scores.read import read_score_columns
from bench.stats.evaluation import reference_rows
from bench.stats.metrics import kendall_tau_b
from bench.truth.target import Target
from mngnas.errors import UserError
from mngnas.methods.info import Cost
from mngnas.spaces.topology import TOPOLOGY
from tests.board.made import N_ARCH, entry_of
from tests.report.made_up import SAMPLE, TARGET, made_up_table, scores, small_study, with_loss, write_run


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def target_of(table):
    return Target(str(TARGET), table.mean(TARGET), table.values(TARGET), True)


def test_a_study_gives_an_entry_for_each_variant_and_ranking(table, tmp_path):
    small_study(tmp_path, table, ("plain",), (0, 1), ({"pool": 2},))
    retrained = scores(table, 5, SAMPLE[:30])
    rankings = {"inherited": scores(table, 4, SAMPLE), "retrained": retrained}
    costs = {"inherited": Cost(0.0, 0, 3.0), "retrained": Cost(60.0, 0, 5.0)}
    write_run(tmp_path, table, "fair", 7, rankings=rankings, ranking_costs=costs, oracle={"measure": "some"})
    found = {entry.label: entry for entry in study_entries(tmp_path, table, TARGET)}
    assert set(found) == {"Plain", "Guided [pool=2]", "Fair", "Fair, retrained"}
    plain, fair, last = found["Plain"], found["Fair"], found["Fair, retrained"]
    assert plain.seeds == (0, 1)
    assert plain.scores.shape == (2, N_ARCH)
    assert (plain.name, plain.kind, plain.ranking, plain.column) == ("plain", "supernet", "inherited", "accuracy")
    assert np.array_equal(np.flatnonzero(plain.scored), np.sort(SAMPLE))
    assert np.array_equal(fair.scores[0, SAMPLE], rankings["inherited"].score.astype(np.float32))
    assert (plain.passes, plain.seconds, plain.asked) == (200.0, 13.5, False)
    assert (last.passes, last.seconds, last.asked) == (260.0, 22.0, True)
    assert plain.protocol["images"] == "digits (8x8)"
    by_loss = {entry.label: entry for entry in study_entries(tmp_path, table, TARGET, "minus_loss")}["Fair"]
    assert np.array_equal(by_loss.scores[0, SAMPLE], rankings["inherited"].columns["minus_loss"].astype(np.float32))
    assert study_entries(tmp_path, table, TARGET, "other") == []


def test_an_entry_says_that_the_table_was_another_one_then(table, tmp_path):
    today = made_up_table(SAMPLE)
    small_study(tmp_path, table, ("plain",), (0,), ())
    (now,), (then,) = (study_entries(tmp_path, one, TARGET) for one in (table, today))
    assert then.protocol == now.protocol | {"made with the table's state": table.checksum[:12]}


def test_what_a_run_could_not_score_ranks_last(table, tmp_path):
    accuracy = np.array([0.5, np.nan, 0.75])
    write_run(tmp_path, table, rankings={"inherited": with_loss([3, 4, 5], accuracy, accuracy)})
    (entry,) = study_entries(tmp_path, table, TARGET)
    assert entry.scores[0, [3, 4, 5]].tolist() == [0.5, -np.inf, 0.75]
    assert entry.scored.sum() == 3


def test_reference_entries(table):
    parameters, flops, ceiling = reference_entries(table, "digits", target_of(table))
    assert (parameters.kind, flops.kind, ceiling.kind) == (CLOSED_FORM, CLOSED_FORM, CEILING)
    assert parameters.is_reference
    assert np.array_equal(parameters.scores[0], table.parameters["digits"])
    closed = table.parameters["digits"], table.flops["digits"]
    wanted = reference_rows(
        table.mean(TARGET), *closed, table.values(TARGET), resamples=2, rng=np.random.default_rng(0)
    )
    taus = [kendall_tau_b(x, y) for x, y in zip(ceiling.scores, ceiling.against, strict=True)]
    assert np.mean(taus) == pytest.approx(wanted[-1].estimates["kendall_tau_b"].value)
    same = replace(table, flops={"digits": 2 * table.parameters["digits"]})
    parameters, ceiling = reference_entries(same, "digits", target_of(table))
    assert "FLOPs" in parameters.label
    alone = replace(target_of(table), of_seeds=table.values(TARGET)[:, :1])
    assert [one.name for one in reference_entries(table, "digits", alone)] == ["parameters", "flops"]


def test_equal_labels_are_told_apart_by_their_source():
    found = told_apart([entry_of([1], source="a"), entry_of([1], source="b"), entry_of([1], label="y")])
    assert [one.label for one in found] == ["x (a)", "x (b)", "y"]


# ------------------------------------------------------------------------------------------------------ several files


def write(folder, name, index, values):
    folder.mkdir(exist_ok=True)
    rows = {TOPOLOGY.to_str(TOPOLOGY.from_index(int(i))): float(v) for i, v in zip(index, values, strict=True)}
    (folder / name).write_text(json.dumps(rows))
    return folder / name


def read(path):
    return read_score_columns(path, space=TOPOLOGY)


def test_parts_of_a_table_are_put_together(tmp_path):
    for number in range(3):
        write(tmp_path / "logs", f"w-16-250_{number}", range(10 * number, 10 * number + 10), range(10))
        write(tmp_path / "logs", f"w-16-1000_{number}", range(10 * number, 10 * number + 11), [*range(10), 0])
    write(tmp_path / "logs", ".hidden", [1], [1])
    second, first = score_tables([tmp_path / "logs"], read)
    assert (first.name, second.name) == ("w-16-250", "w-16-1000")
    (column,) = first.columns
    assert column.arch_index.tolist() == list(range(30))
    assert column.score.tolist() == [*range(10)] * 3
    assert column.report.n_rows == 30
    assert column.notes[0].startswith("3 files are parts of one table: w-16-250_0, w-16-250_1")
    (column,) = second.columns
    assert len(column.arch_index) == 31
    assert column.report.duplicate.count == 2
    entry = prediction_entry(column, TOPOLOGY, name="w", label="w", source="logs")
    assert entry.scored.sum() == 31


def test_files_with_the_same_architectures_are_tables_of_their_own(tmp_path):
    paths = [write(tmp_path, f"m_{number}.json", range(9), np.arange(9) * number) for number in (1, 2)]
    paths += [write(tmp_path, "other.json", range(20, 25), range(5)), paths[0]]
    assert [(table.name, len(table.paths)) for table in score_tables(paths, read)] == [
        *(("m_1.json", 1), ("m_2.json", 1), ("other.json", 1))
    ]


def test_parts_that_disagree_and_empty_folders_are_refused(tmp_path):
    paths = [write(tmp_path, f"m-part{number}.json", range(number, number + 9), range(9)) for number in (1, 2)]
    with pytest.raises(UserError, match=r"m-part1.json and m-part2.json are no parts of one table: architecture 2 has"):
        score_tables(paths, read)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no score file"):
        score_tables([tmp_path / "empty"], read)
