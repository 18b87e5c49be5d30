"""Methods found by their files, variants and patterns, and what is said about mistakes in them."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import mngnas
from mngnas.errors import UserError
from mngnas.methods.info import KINDS, MethodInfo
from mngnas.methods.registry import (
    method_entry,
    method_of_record,
    methods,
    parse_variant,
    select,
    split_outside_brackets,
    toml_value,
)
from tests.methods.cases import CASES, ROWS, rows

ROOT = Path(mngnas.__file__).resolve().parents[1]

METHOD = """
from mngnas.methods.info import MethodInfo
from mngnas.methods.supernet_method import SupernetMethod

class Mine(SupernetMethod):
    info = MethodInfo("mine", "Mine", "nobody", "a user's own", "supernet")
"""


def folder_of(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    return (tmp_path,)


def message(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return text


# ----------------------------------------------------------------------------------------------------------- listing


def test_the_projects_methods_by_kind_and_label():
    found = methods()
    kinds = [entry.info.kind for entry in found.values()]
    assert kinds == sorted(kinds, key=KINDS.index)
    labels = [entry.info.label.lower() for entry in found.values() if entry.info.kind == "supernet"]
    assert labels == sorted(labels)
    assert {"fairnas", "mngnas", "spos"} <= {*found}
    assert all(entry.info.name == name for name, entry in found.items())
    for entry in found.values():
        assert entry.load().info == entry.info
        assert entry.load() is entry.load()


def test_listing_imports_neither_torch_nor_a_method(tmp_path):
    """Nor does a user's file run, which would write a file; loading one of them runs it."""
    folder_of(tmp_path, mine=METHOD + f"\n\nopen({str(tmp_path / 'ran')!r}, 'w').close()\n")
    code = f"""
        import sys
        from pathlib import Path
        from mngnas.methods.registry import methods, method_entry, method_of_record, select
        folders = (Path({str(tmp_path)!r}),)
        names = list(methods(folders))
        select("*,!spos,mngnas[pool=2]", folders)
        method_of_record("mngnas-k1")
        print("mine" in names, [name for name in sys.modules if name == "torch" or name.startswith("mngnas.methods.")])
        print((folders[0] / "ran").exists())
        method_entry("mine", folders).load()
        print((folders[0] / "ran").exists(), "torch" in sys.modules)
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "True ['mngnas.methods.info', 'mngnas.methods.registry']",
        "False",
        "True True",
    ]


def test_a_users_method_is_one_like_the_others(tmp_path):
    folders = folder_of(tmp_path, mine=METHOD)
    assert "mine" not in methods()
    assert {*methods(folders)} == {*methods(), "mine"}
    entry = method_entry("mine", folders)
    assert entry.info == MethodInfo("mine", "Mine", "nobody", "a user's own", "supernet")
    assert entry.load().info == entry.info
    assert entry.load() is entry.load()
    assert select("mine,spos", folders) == [("mine", {}), ("spos", {})]


def test_several_methods_in_a_file_and_helpers_without_any(tmp_path):
    second = METHOD[METHOD.index("class Mine") :].replace("Mine", "Other").replace('"mine"', '"other"')
    folders = folder_of(tmp_path, both=METHOD + second, helper="info = 3\n\n\nclass Plain:\n    info = 5\n", empty="")
    assert {*methods(folders)} == {*methods(), "mine", "other"}
    assert method_entry("other", folders).load().__name__ == "Other"


def test_info_may_be_annotated_and_named_by_keyword(tmp_path):
    annotated = METHOD.replace("info = ", "info: ClassVar[MethodInfo] = ").replace(
        '"mine", "Mine"', 'label="Mine", name="mine"'
    )
    annotated = annotated.replace('"nobody", "a user\'s own", "supernet"', 'paper="", description="", kind="searcher"')
    assert method_entry("mine", folder_of(tmp_path, mine="from typing import ClassVar\n" + annotated)).info.paper == ""


# ---------------------------------------------------------------------------------------------- mistakes in files


def test_a_folder_that_is_none(tmp_path):
    assert message(methods, (tmp_path / "gone",)) == f"there is no folder of methods {tmp_path / 'gone'}"


def test_a_name_that_is_taken(tmp_path):
    text = message(methods, folder_of(tmp_path, mine=METHOD.replace('"mine"', '"spos"')))
    assert text.endswith("mine.py: there is a method 'spos' already, in spos.py")
    (tmp_path / "mine.py").write_text(METHOD)
    text = message(methods, folder_of(tmp_path, again=METHOD))
    assert "there is a method 'mine' already, in again.py" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MethodInfo(\nclass", "cannot be read as a method (SyntaxError"),
        ("MethodInfo(\0)", "cannot be read as a method"),
        (METHOD.replace('"Mine"', "NAME"), "MethodInfo takes literals for name, label, paper, description, kind"),
        (METHOD.replace('"Mine"', "*NAMES"), "MethodInfo takes literals"),
        (METHOD.replace('"supernet")', "**KIND)"), "MethodInfo takes literals"),
        (METHOD.replace(', "supernet")', ")"), "MethodInfo takes literals"),
        (METHOD.replace('"supernet")', '"supernet", year=1)'), "unexpected keyword argument 'year'"),
        (METHOD.replace('"supernet")', '"super-net")'), "unknown kind 'super-net'; did you mean 'supernet'?"),
    ],
)
def test_a_file_that_is_no_method(tmp_path, text, expected):
    found = message(methods, folder_of(tmp_path, mine=text))
    assert found.startswith(str(tmp_path / "mine.py"))
    assert expected in found


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.py").write_bytes(b"MethodInfo(\xff\xfe")
    assert "cannot be read as a method (UnicodeDecodeError" in message(methods, (tmp_path,))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_cannot_be_imported_is_listed_all_the_same(tmp_path, line, expected):
    entry = method_entry("mine", folder_of(tmp_path, mine=f"{METHOD}\n\n{line}\n"))
    for _ in range(2):  # a failed import leaves nothing behind
        assert message(entry.load) == f"{tmp_path / 'mine.py'} cannot be imported ({expected})"


# ----------------------------------------------------------------------------------------------------------- variants


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("mngnas", {}),
        ("  mngnas  ", {}),
        ("mngnas[pool=2]", {"pool": 2}),
        (" mngnas [ pool = 2 , cap=1.0 ] ", {"pool": 2, "cap": 1.0}),
        ("mngnas[coefficients=single,perturbation=off]", {"coefficients": "single", "perturbation": "off"}),
        ("mngnas[coefficients='single']", {"coefficients": "single"}),
        ('mngnas[coefficients="a,b]=[c",pool=3]', {"coefficients": "a,b]=[c", "pool": 3}),
        ("mngnas[per_stage=false]", {"per_stage": False}),
        ("mngnas[list=[1,[2,3],'x,y'],pool=1]", {"list": [1, [2, 3], "x,y"], "pool": 1}),
        ("mngnas[weight=1e-3,rounds=+4]", {"weight": 1e-3, "rounds": 4}),
        ("mngnas[name=a=b]", {"name": "a=b"}),
        ("mngnas[name=]", {"name": ""}),
        ("mngnas[False=false]", {"False": False}),
    ],
)
def test_variants(text, changes):
    name, found = parse_variant(text)
    assert name == "mngnas"
    assert found == changes
    assert [type(value) for value in found.values()] == [type(value) for value in changes.values()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mngnas[pool=2", "'mngnas[pool=2' has a bracket that does not close: name[field=value,...]"),
        ("mngnas[", "has a bracket that does not close"),
        ("mngnas[pool=2]x", "has a bracket that does not close"),
        ("mngnas[]", "'' is not field=value"),
        ("mngnas[pool]", "'pool' is not field=value"),
        ("mngnas[=2]", "'=2' is not field=value"),
        ("mngnas[pool=2,]", "'' is not field=value"),
        ("mngnas[pool=2,cap=1.0,pool=2]", "sets 'pool' twice"),
        ("mngnas[pool=2, pool =3]", "sets 'pool' twice"),
    ],
)
def test_wrong_variants(text, expected):
    found = message(parse_variant, text)
    assert found.startswith("strategy ")
    assert expected in found
    assert message(select, text) == found


WORDS = ["9" * 5000, "[" * 5000, "1\n2", "{", "'", "nan.", "2024-13-45", "\\", "\0", "0x", "="]


@pytest.mark.parametrize("text", WORDS, ids=range(len(WORDS)))
def test_what_is_no_toml_value_is_a_word(text):
    """Nothing that a user can write is an error of ours."""
    assert toml_value(text) in (text, 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("a,b", ["a", "b"]),
        ("a[b,c],d", ["a[b,c]", "d"]),
        ("a[b=[c,d],e],f", ["a[b=[c,d],e]", "f"]),
        ("a[b='],'],c", ["a[b='],']", "c"]),
        ('a[b="it\'s, so"],c', ['a[b="it\'s, so"]', "c"]),
        (",", ["", ""]),
    ],
)
def test_parts_outside_of_brackets(text, parts):
    assert split_outside_brackets(text) == parts


def test_the_rows_of_the_ablations_are_variants():
    """As `ablate` reads them: what stands after # is for people."""
    found = rows()
    assert len(found) == len(set(found)) > 10
    assert set(found) <= set(CASES)
    assert sum("#" in line for line in ROWS.read_text().splitlines()) > len(found) - 5
    for one in found:
        config = one.entry.load().Config
        config(**dict(one.changes))


# ----------------------------------------------------------------------------------------------------------- patterns


def names(patterns):
    return [name if not changes else (name, changes) for name, changes in select(patterns)]


def test_patterns_are_taken_in_their_order_each_method_once():
    every = [*methods()]
    assert names("spos,fairnas") == ["spos", "fairnas"]
    assert names("*") == every
    assert names("spos,*") == ["spos", *[name for name in every if name != "spos"]]
    assert names("spos,spos, spos ,s?os,sp*s") == ["spos"]
    assert names("*nas") == [name for name in every if name.endswith("nas")]
    assert names("mngnas[pool=2],mngnas[ pool=2 ]") == [("mngnas", {"pool": 2})]
    assert names("mngnas[pool=2,cap=1.0],mngnas[cap=1.0,pool=2]") == [("mngnas", {"pool": 2, "cap": 1.0})]


def test_an_exclamation_mark_leaves_out():
    every = [*methods()]
    assert names("*,!spos") == [name for name in every if name != "spos"]
    assert names("*, ! spos") == names("*,!spos")
    assert names("*,!*nas,fairnas") == [*[name for name in every if not name.endswith("nas")], "fairnas"]
    assert names("mngnas,mngnas[pool=2],!mngnas") == [("mngnas", {"pool": 2})]
    assert names("mngnas,mngnas[pool=2],!mngnas[pool=2]") == ["mngnas"]
    assert names("spos,!fairnas") == ["spos"]
    assert message(select, "spos,!spos") == "strategy 'spos,!spos' leaves none"


@pytest.mark.parametrize("text", ["spso", "spso[pool=2]", "spos,spso", "!spso", "*,!spso"])
def test_unknown_names(text):
    expected = f"unknown strategy 'spso'; did you mean 'spos'? available: {', '.join(list(methods())[:30])}, "
    expected += f"... ({len(methods())} in all)"
    assert message(select, text) == expected


@pytest.mark.parametrize("text", ["", ",", "spos,", "x*", "!", "[pool=2]", "spos]", "mngnas],spos", "SPOS"])
def test_patterns_that_match_nothing(text):
    assert message(select, text).startswith("unknown strategy ")


def test_one_by_name():
    assert method_entry("spos").class_name == "Spos"
    assert message(method_entry, "spo").startswith("unknown strategy 'spo'; did you mean 'spos'?")


# ------------------------------------------------------------------------------------------------------ older records


def test_names_in_older_records():
    assert method_of_record("spos") == (methods()["spos"].info, {})
    mngnas = methods()["mngnas"].info
    assert method_of_record("mngnas-plain") == (mngnas, {"rounds": 0})
    assert method_of_record("mngnas-k8") == (mngnas, {"pool": 8, "rounds": 8})
    assert method_of_record("mngnas-network") == (mngnas, {"per_stage": False})
    assert method_of_record("mngnas-uniform") == (mngnas, {"coefficients": "uniform", "perturbation": "off"})
    for entry in methods().values():
        for former in entry.info.former:
            info, changes = method_of_record(former)
            assert info == entry.info
            assert changes
    info, changes = method_of_record("somebody's")
    assert (info.name, info.label, changes) == ("somebody's", "somebody's", {})


def test_a_line_break_begins_no_other_entry():
    assert toml_value("3\nother = 4") == "3\nother = 4"
    assert toml_value("[1,\n 2]") == [1, 2]
