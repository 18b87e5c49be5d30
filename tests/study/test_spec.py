"""What a study's file holds: enough to make all its runs again, and what may not be mixed."""

import json

import pytest

from bench.study.begin import begun
from bench.study.preset import load_preset, parse_preset, with_changes
from bench.study.spec import PlannedRun, load_study, open_study
from bench.study.store import load_runs
from mngnas.errors import UserError
from tests.tiny import FAIRNAS, SPOS, TINY, opened, tiny_study

REA = PlannedRun("rea", {}, 0)


def test_it_is_read_back_as_it_was(tmp_path):
    odd = PlannedRun("mngnas", {"coefficients": "uniform", "cap": 1.0, "per_stage": False}, 7)
    study = tiny_study(SPOS, FAIRNAS, odd, changes=("sample=5",), methods_from=("/nowhere",), mirror="m", archive="a")
    open_study(tmp_path, study)
    assert load_study(tmp_path) == study
    assert load_study(tmp_path / "study.json") == study


def test_whatever_its_preset_file_was_called(tmp_path):
    """Names and values with spaces, brackets and quotation marks are fields, never text inside a name."""
    (tmp_path / "my preset [1] = 'x'.toml").write_text(TINY + 'description = ""'.replace("description", "#"))
    preset = load_preset(str(tmp_path / "my preset [1] = 'x'.toml"))
    study = tiny_study(SPOS, preset=with_changes(preset, ["training.passes = 90"]), changes=("training.passes = 90",))
    open_study(tmp_path / "study", study)
    again = load_study(tmp_path / "study")
    assert again == study
    assert (again.preset.training.passes, again.preset.name) == (90, "my preset [1] = 'x'")


def test_more_runs_may_be_asked_for(tmp_path):
    open_study(tmp_path, tiny_study(SPOS))
    assert open_study(tmp_path, tiny_study(FAIRNAS, SPOS)).runs == (SPOS, FAIRNAS)
    assert load_study(tmp_path).runs == (SPOS, FAIRNAS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar10"}, r"another dataset \(digits, not cifar10\): choose another --out"),
        ({"device": "cuda"}, r"another device \(cpu, not cuda\)"),
        (
            {"preset": parse_preset("tiny", TINY.replace("cells = 1", "cells = 2"))},
            r"settings \(they differ in supernet\)",
        ),
        ({"preset": parse_preset("tiny", TINY + "[mngnas]\npool = 2")}, r"settings \(they differ in mngnas\)"),
    ],
)
def test_two_studies_are_not_mixed(tmp_path, change, message):
    open_study(tmp_path, tiny_study())
    open_study(tmp_path, tiny_study(mirror="/elsewhere"))  # where things come from may change
    with pytest.raises(UserError, match=message):
        open_study(tmp_path, tiny_study(**change))


def test_a_study_goes_on_with_a_table_that_has_grown(tmp_path):
    """Unless one of its runs asks it, the first ones or those that are added."""
    for number, (first, more, allowed) in enumerate(((SPOS, FAIRNAS, True), (SPOS, REA, False), (REA, SPOS, False))):
        directory = opened(tmp_path / str(number), first)
        if allowed:
            open_study(directory, tiny_study(more, table_checksum="x"))
            assert (load_study(directory).table_checksum, load_study(directory).runs) == ("x", (first, more))
        else:
            with pytest.raises(UserError, match=r"another table checksum \(.*, not x\)"):
                open_study(directory, tiny_study(more, table_checksum="x"))


def test_a_checkpoint_outlives_the_table_it_did_not_ask(tmp_path):
    now, then = tiny_study(), tiny_study(table_checksum="x")
    same = [begun(now, tmp_path, run).identity == begun(then, tmp_path, run).identity for run in (SPOS, REA)]
    assert same == [True, False]


def test_a_description_is_no_part_of_a_study(tmp_path):
    open_study(tmp_path, tiny_study())
    open_study(tmp_path, tiny_study(preset=parse_preset("renamed", "description = 'better words'\n" + TINY)))


def test_directories_that_are_no_study(tmp_path):
    with pytest.raises(UserError, match=r"is not a study: it has no study\.json"):
        load_study(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is neither empty nor a study"):
        open_study(tmp_path, tiny_study())
    with pytest.raises(UserError, match="holds no finished run"):
        load_runs(tmp_path)
    with pytest.raises(UserError, match="cannot write"):
        open_study(tmp_path / "notes.txt" / "study", tiny_study())


@pytest.mark.parametrize(
    "content", ["{", "[]", "3", '{"format": 2}', '{"format": 1}', '{"format": 2, "preset": 3, "runs": []}', "\x00"]
)
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(UserError) as caught:
        load_study(tmp_path)
    assert "\n" not in str(caught.value)


def test_every_field_of_the_file_is_read(tmp_path):
    open_study(tmp_path, tiny_study(SPOS))
    content = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(content | {"surprise": 1}))
    with pytest.raises(UserError, match="is not readable"):
        load_study(tmp_path)


def test_directories_of_runs_differ_where_the_runs_do():
    runs = [
        PlannedRun("a", {}, 0),
        PlannedRun("a", {"x": 1}, 0),
        PlannedRun("a", {"x": 1.0}, 0),
        PlannedRun("a", {"x": "1 / 2"}, 0),
        PlannedRun("a", {"x": "y" * 300}, 0),
        PlannedRun("a", {"x": "y" * 301}, 0),
    ]
    names = [run.name for run in runs]
    assert len(set(names)) == len(names)
    assert all("/" not in name and len(name) < 120 for name in names)
    assert names[1] == "a_x=1-seed0"
