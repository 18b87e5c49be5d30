"""Studies that are given together."""

from dataclasses import replace

import pytest

from bench.tables.studies import by_truth, read_studies
from mngnas.errors import UserError
from tests.tables.made_up import write_ranker


def read(table, *directories):
    return read_studies(dict.fromkeys(directories, table), 5)


def test_equal_settings_are_joined_by_seed(tmp_path, table):
    one, other = tmp_path / "one", tmp_path / "other"
    for seed in (0, 1):
        write_ranker(one, table, seed=seed)
        write_ranker(other, table, seed=seed + 1)  # seed 1 stands in both, and is the same
    write_ranker(other, table, "fair")
    (study,) = read(table, one, other)
    assert study.names == ("one", "other")
    seeds = {method.label: method.seed_numbers for method in study.runs.methods}
    assert seeds == {"Plain": (0, 1, 2), "Fair": (0,)}


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": 0.3},  # the same seed gave other scores
        {"preset_changes": ("training.passes=9",)},
        {"protocol": 7},
        {"images": "others"},
        {"config": {"sample": 0, "training": {"passes": 300}}},
    ],
    ids=str,
)
def test_what_differs_stays_apart_and_says_its_study(tmp_path, table, changes):
    write_ranker(tmp_path / "one", table)
    write_ranker(tmp_path / "other", table, **changes)
    assert [study.name for study in read(table, tmp_path / "one", tmp_path / "other")] == ["one", "other"]


def test_settings_of_a_method_count_too(tmp_path, table):
    for name, width in (("one", 1), ("other", 2)):
        write_ranker(tmp_path / name, table, seed=width, config={"plain": {"width": width}})
    assert len(read(table, tmp_path / "one", tmp_path / "other")) == 2


def test_folders_of_the_same_name_are_told_apart(tmp_path, table):
    folders = [tmp_path / "a" / "study", tmp_path / "b" / "study"]
    for protocol, folder in enumerate(folders, 1):
        write_ranker(folder, table, protocol=protocol)
    assert [study.name for study in read(table, *folders)] == list(map(str, folders))


def test_one_ground_truth_one_group(tmp_path, table):
    for name, more in (("a", {}), ("b", {"dataset": "cifar100"}), ("c", {"protocol": 9})):
        write_ranker(tmp_path / name, table, **more)
    groups = by_truth(read(table, tmp_path / "a", tmp_path / "b", tmp_path / "c"))
    assert [[one.name for one in group] for group in groups] == [["a", "c"], ["b"]]


def test_a_table_that_has_grown_joins_what_asked_neither(tmp_path, table):
    """Made before and after; but two states of the table are two ground truths."""
    for seed, name in enumerate(("before", "after")):
        write_ranker(tmp_path / name, table, seed=seed, table_checksum=name)
    (joined,) = read(table, tmp_path / "before", tmp_path / "after")
    assert joined.names == ("before", "after")
    assert joined.setting.endswith(", made with another state of the table, on which no score depends")
    write_ranker(tmp_path / "today", table)
    assert "state" not in read(table, tmp_path / "today")[0].setting
    other = replace(table, flops={name: 2 * values for name, values in table.flops.items()})
    studies = read_studies({tmp_path / "before": table, tmp_path / "after": other}, 5)
    assert [[one.name for one in group] for group in by_truth(studies)] == [["before"], ["after"]]


def test_no_study_is_a_mistake(tmp_path, table):
    with pytest.raises(UserError, match="there is no study directory"):
        read(table, tmp_path / "none")
