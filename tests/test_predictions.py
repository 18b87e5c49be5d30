import csv
import json
from functools import partial

import numpy as np
import pytest

from bench import predictions
from bench.predictions import LeftOut, Predictions
from mngnas.errors import UserError
from mngnas.spaces import ArchitectureError, Space
from mngnas.spaces.topology import EDGES, OPERATIONS, TOPOLOGY

read_predictions = partial(predictions.read_predictions, space=TOPOLOGY)

INDICES = [6111, 0, 9930, 15624]
SCORES = [0.91, 0.5, -3.0, 1e-3]


def nested_tuples(index):
    names = [OPERATIONS[op] for op in TOPOLOGY.from_index(index)]
    pairs = [[(n, s) for n, (s, t) in zip(names, EDGES, strict=True) if t == target] for target in (1, 2, 3)]
    return str([tuple(node) for node in pairs])


FORMS = {
    "architecture string": lambda index: TOPOLOGY.to_str(TOPOLOGY.from_index(index)),
    "nested tuples": nested_tuples,
    "key": lambda index: TOPOLOGY.to_key(TOPOLOGY.from_index(index)),
    "index": str,
}


@pytest.fixture
def write(tmp_path):
    def _write(content, name="scores.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return _write


def assert_all_read(found):
    assert isinstance(found, Predictions)
    np.testing.assert_array_equal(found.arch_index, INDICES)
    np.testing.assert_array_equal(found.score, SCORES)
    assert (found.arch_index.dtype, found.score.dtype) == (np.int64, np.float64)
    assert found.report.extra == found.report.duplicate == found.report.unparsable == LeftOut()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_container(form, write):
    archs = [FORMS[form](index) for index in INDICES]
    rows = list(zip(archs, SCORES, strict=True))
    table = "arch,score\n" + "".join(f'"{arch}",{score}\n' for arch, score in rows)
    for path in (
        write(dict(rows), "object.json"),
        write([list(row) for row in rows], "pairs.json"),
        write([{"arch": arch, "score": score} for arch, score in rows], "objects.json"),
        write({arch: {"score": score, "name": "x"} for arch, score in rows}, "nested.json"),
        write(table, "commas.csv"),
        write(table.replace(",", ";") if form != "nested tuples" else table, "semicolons.csv"),
        write("\ufeff" + table.replace("\n", "\r\n"), "windows.csv"),
    ):
        found = read_predictions(path)
        assert_all_read(found)
        assert found.form == form


def test_json_numbers_are_indices(write):
    assert_all_read(read_predictions(write([list(pair) for pair in zip(INDICES, SCORES, strict=True)])))
    assert read_predictions(write([[12340, 0.5]])).arch_index.tolist() == [12340]


def test_six_digits_are_a_key_and_other_whole_numbers_an_index(write):
    assert read_predictions(write({"000001": 1})).form == "key"
    assert read_predictions(write({"1": 1})).arch_index.tolist() == [1]
    with pytest.raises(UserError, match=r"mixes architectures written as key \(entry 1: '012340'\) and index"):
        read_predictions(write({"012340": 1, "12341": 2}))


def test_a_tab_separated_file(write):
    assert read_predictions(write("arch_index\tloss\n3\t0.5\n", "scores.tsv")).score_column == "loss"


@pytest.mark.parametrize("name", ["arch_str", "net_str", "arch", "Architecture", "ArchitectureString", "arch string"])
def test_names_of_the_architecture_column(name, write):
    path = write(f"score,{name}\n0.5,{TOPOLOGY.to_str(TOPOLOGY.from_index(7))}\n", "a.csv")
    assert read_predictions(path).arch_index.tolist() == [7]


def test_the_preferred_architecture_column_and_a_score_column_among_several(write):
    path = write(f"index,arch_str,a,b\n1,{TOPOLOGY.to_str(TOPOLOGY.from_index(7))},2,3\n", "a.csv")
    assert read_predictions(path, "b").score.tolist() == [3]
    with pytest.raises(
        UserError, match=r"2 columns of numbers \(a, b\): name the score column; available: index, a, b"
    ):
        read_predictions(path)
    with pytest.raises(UserError, match="unknown score column 'bb'; did you mean 'b'"):
        read_predictions(path, "bb")


def test_an_object_of_objects_with_several_scores(write):
    path = write({"3": {"a": 1, "b": 2}, "4": {"a": 3, "b": 4}})
    assert read_predictions(path, "a").score.tolist() == [1, 3]
    with pytest.raises(UserError, match="2 columns of numbers"):
        read_predictions(path)


def test_rows_that_are_left_out_are_counted_with_examples(write):
    path = write(
        "arch,score\n3,0.5\n15625,0.1\n-1,0.2\n3,0.5\nfoo,0.3\n4,\n5,low\n\n6,0.6\n7\n",
        "a.csv",
    )
    found = read_predictions(path)
    assert found.arch_index.tolist() == [3, 6]
    report = found.report
    assert (report.extra.count, report.duplicate.count, report.unparsable.count) == (2, 1, 4)
    assert report.extra.examples[0] == "line 3: architecture index 15625 is outside 0..15624"
    assert report.duplicate.examples == ("line 5: '3', as at line 2",)
    assert report.unparsable.examples[:2] == ("line 6: 'foo' is no architecture", "line 7: '' is no score")


def test_examples_are_few_and_counts_are_not(write):
    found = read_predictions(write([[1, 0.5], *([f"x{i}", 1] for i in range(50))]))
    assert found.report.unparsable.count == 50
    assert len(found.report.unparsable.examples) == 5


def test_architectures_of_other_spaces_are_extra(write):
    good, other = (
        TOPOLOGY.to_str(TOPOLOGY.from_index(3)),
        TOPOLOGY.to_str(TOPOLOGY.from_index(4)).replace("nor_conv_1x1", "sep_conv_5x5"),
    )
    found = read_predictions(write({good: 1, other: 2, "|a~0|": 3}))
    assert (found.arch_index.tolist(), found.report.extra.count) == ([3], 2)
    pairs = "[(('none', 0),), (('none', 1), ('none', 0)), (('none', 0), ('none', 1), ('none', 2))]"
    found = read_predictions(
        write({nested_tuples(3): 1, nested_tuples(4).replace("skip_connect", "identity"): 1, pairs: 2})
    )
    assert (found.arch_index.tolist(), found.report.extra.count) == ([3], 2)
    assert any("not the 6 edges" in example for example in found.report.extra.examples)


def test_repeated_names_of_a_json_object_are_seen(write):
    assert read_predictions(write('{"3": 0.5, "3": 0.5}')).report.duplicate.count == 1
    with pytest.raises(UserError, match=r"architecture '3' has score 0.5 at entry 1 and 0.6 at entry 2"):
        read_predictions(write('{"3": 0.5, "3": 0.6}'))
    with pytest.raises(UserError, match="entry 1 names something twice: arch, s, s"):
        read_predictions(write('[{"arch": 3, "s": 0.5, "s": 0.6}]'))


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1" + "0" * 400])
def test_scores_that_are_not_finite(score, write):
    with pytest.raises(UserError, match=r"entry 2: score -?(nan|inf) of architecture '4' is not finite"):
        read_predictions(write(f'{{"3": 0.5, "4": {score}}}'))


def test_text_true_and_null_are_no_scores(write):
    found = read_predictions(write({"1": 0.5, "2": "0.5", "3": True, "4": None, "5": [1]}))
    assert found.report.unparsable.count == 4


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "a.json", "is empty"),
        (" \n", "a.csv", "is empty"),
        ("{", "a.json", "malformed JSON at line 1 column 2"),
        ('{"1": 0.5,}', "a.json", "malformed JSON at line 1"),
        ("[" * 200_000, "a.json", "malformed JSON"),
        ("[1" + "0" * 5000 + "]", "a.json", "malformed JSON"),
        ("{}", "a.json", "holds no scores"),
        ("[]", "a.json", "holds no scores"),
        ("3", "a.json", "holds 3, not an object or a list"),
        ("[0.5, 0.6]", "a.json", r"must hold \[architecture, score\] pairs or objects, not 0.5"),
        ('{"foo": 1}', "a.json", "none of its 1 rows is a score of a known architecture; entry 1: 'foo'"),
        ('[{"name": "x", "score": 1}]', "a.json", "no architecture column: name one of name, score"),
        ("arch,score\n", "a.csv", "a header and no scores"),
        ("x,score\n1,2\n", "a.csv", "no architecture column: name one of x, score"),
        ("arch,score\n1,high\n", "a.csv", "no column of numbers"),
        ("arch,a,a\n1,2,3\n", "a.csv", "column 'a' appears twice"),
        ('arch,score\n"1,2\n', "a.csv", "malformed CSV at line 2"),
        ("arch,score\n3,nan\n", "a.csv", "line 2: score nan of architecture '3' is not finite"),
        ("arch,score\n3,1\n3,2\n", "a.csv", "has score 1.0 at line 2 and 2.0 at line 3"),
        ("3,1", "a.txt", "is neither .json nor .csv nor .tsv"),
    ],
)
def test_errors_are_one_line_with_the_file(content, name, message, write):
    with pytest.raises(UserError, match=message) as caught:
        read_predictions(write(content, name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_predictions(tmp_path / "absent.json")
    (tmp_path / "a.csv").write_bytes(b"arch,score\n\xff,1\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_predictions(tmp_path / "a.csv")


def test_a_score_column_where_scores_have_no_names(write):
    with pytest.raises(UserError, match="its scores have no names"):
        read_predictions(write({"1": 2}), "a")


@pytest.mark.parametrize("name", ["one_shot", "few_shot"])
def test_few_shot_nas_files(name, shared):
    found = read_predictions(shared / "scores" / f"few_shot_nas_{name}_supernet.json")
    assert (found.form, sorted(found.arch_index)) == ("nested tuples", list(range(15625)))


def test_a_published_table_of_training_free_scores(shared):
    path = shared / "scores" / "nb201_zc_proxies.csv"
    found = read_predictions(path, "synflow")
    assert len(found.arch_index) == 9445
    with path.open() as lines:
        row = next(csv.DictReader(lines))
    assert TOPOLOGY.to_str(TOPOLOGY.from_index(found.arch_index[0])) == row["net_str"]
    assert found.score[0] == float(row["synflow"])
    with pytest.raises(UserError, match=r"13 columns of numbers .* available: net, epe_nas"):
        read_predictions(path)


class Widths(Space):
    """Five widths out of eight: keys are as long as indices."""

    name, label = "widths", "widths"
    positions = tuple("abcde")
    options = (tuple(str(8 * w) for w in range(1, 9)),) * 5

    def parse(self, arch_str):
        try:
            return tuple(self.options[0].index(width) for width in arch_str.strip().split(":"))
        except ValueError as error:
            raise ArchitectureError(f"{arch_str!r} has a width that is none") from error

    def to_str(self, arch):
        return ":".join(self.options[0][option] for option in arch)

    def parameters(self, archs, skeleton):
        raise NotImplementedError

    def flops(self, archs, skeleton, side):
        raise NotImplementedError

    def traits(self):
        raise NotImplementedError


def test_another_space(write):
    space = Widths()
    read = partial(predictions.read_predictions, space=space)
    found = read(write({"8:8:8:8:16": 1, "64:64:64:64:64": 2, "8:8:8:8:9": 3, "foo": 4}))
    assert (found.form, found.arch_index.tolist()) == ("architecture string", [1, 32767])
    assert (found.report.extra.count, found.report.unparsable.count) == (1, 1)
    assert read(write("arch,score\n12345,1\n7,2\n32768,3\n", "a.csv")).arch_index.tolist() == [12345, 7]
    with pytest.raises(UserError, match="'01234' may be a key or a padded index"):
        read(write("arch,score\n01234,1\n7,2\n", "a.csv"))
    with pytest.raises(UserError, match="none of its 1 rows is a score of a known architecture"):
        read(write({TOPOLOGY.to_str(TOPOLOGY.from_index(3)): 1}))
