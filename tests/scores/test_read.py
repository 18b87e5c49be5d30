"""Forms of architectures, layouts and kinds of files: every one of them is read right."""

import gzip
import io
import json
import pickle
import zipfile
from functools import partial

import numpy as np
import pytest
from writing import TEXTS, VALUES, csv, names, naslib_digits, nested, string, truth

from bench.scores import read
from bench.scores.read import LeftOut, Predictions
from mngnas.errors import UserError
from mngnas.spaces.size import SIZE
from mngnas.spaces.topology import EDGES, TOPOLOGY

read_predictions = partial(read.read_predictions, space=TOPOLOGY)
read_columns = partial(read.read_score_columns, space=TOPOLOGY)

INDICES = [6111, 0, 9930, 15624]
SCORES = [0.91, 0.5, -3.0, 1e-3]


@pytest.fixture
def write(tmp_path):
    def _write(content, name="scores.json"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return _write


def assert_all_read(found, scores=SCORES):
    assert isinstance(found, Predictions)
    np.testing.assert_array_equal(found.arch_index, INDICES)
    np.testing.assert_array_equal(found.score, scores)
    assert (found.arch_index.dtype, found.score.dtype) == (np.int64, np.float64)
    report = found.report
    assert report.extra == report.duplicate == report.unparsable == report.without_score == LeftOut()
    assert report.n_rows == len(INDICES)


# ------------------------------------------------------------------------------------------------ forms and containers


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_as_text(form, write):
    archs = [TEXTS[form](index) for index in INDICES]
    rows = list(zip(archs, SCORES, strict=True))
    table = csv([("arch", "score"), *rows])
    for path in (
        write(dict(rows), "object.json"),
        write([list(row) for row in rows], "pairs.json"),
        write([{"arch": arch, "score": score} for arch, score in rows], "objects.json"),
        write({arch: {"score": score, "name": "x"} for arch, score in rows}, "nested.json"),
        write({"a": {"deeper": dict(rows)}}, "labels.json"),
        write(table, "commas.csv"),
        write(csv([("arch", "score"), *rows], ";"), "semicolons.csv"),
        write(csv([("arch", "score"), *rows], "\t"), "tabs"),
        write("\ufeff" + table.replace("\n", "\r\n"), "windows.csv"),
        write(table.encode("utf-16"), "utf16.txt"),
        write(gzip.compress(table.encode(), mtime=0), "compressed.csv.gz"),
        write(csv(rows), "no_header.csv"),
        write(csv([("other", "score", "x"), *((arch, score, "y") for arch, score in rows)]), "another_name.csv")
        if form != "index"
        else write(table, "same.csv"),
    ):
        assert_all_read(read_predictions(path))


@pytest.mark.parametrize("form", VALUES)
def test_every_form_as_json(form, write):
    archs = [VALUES[form](index) for index in INDICES]
    pairs = [list(pair) for pair in zip(archs, SCORES, strict=True)]
    records = [{"arch": arch, "score": score} for arch, score in pairs]
    for path in (
        write(pairs, "pairs.json"),
        write(records, "objects.json"),
        write("\n".join(map(json.dumps, records)), "lines.jsonl"),
        write("\n".join(map(json.dumps, records)) + "\n", "lines"),
        write({f"net{i}": record for i, record in enumerate(records)}, "named.json"),
        *([] if form == "index" else [write({str(i): r for i, r in enumerate(records)}, "row_numbers.json")]),
        write({"arch": archs, "score": SCORES}, "columns.json"),
        write({"columns": ["score", "arch"], "index": [0, 1, 2, 3], "data": [p[::-1] for p in pairs]}, "split.json"),
        write({"data": records, "made": "today"}, "label.json"),
        write(pickle.dumps(records), "records.pkl"),
    ):
        assert_all_read(read_predictions(path))


def test_tuples_in_pickles_and_six_columns(write):
    rows = list(zip(INDICES, SCORES, strict=True))
    assert_all_read(read_predictions(write(pickle.dumps({tuple(names(i)): s for i, s in rows}), "a.p")))
    header = [*(f"{a}->{b}" for a, b in sorted(EDGES)), "score"]
    at = [EDGES.index(edge) for edge in sorted(EDGES)]
    for cells in (names, TOPOLOGY.from_index):
        mixed = [[*(cells(i)[place] for place in at), s] for i, s in rows]
        assert_all_read(read_predictions(write(csv([header, *mixed]), "a.csv")))
    in_order = [[*(f"op_{k}" for k in range(len(EDGES))), "score"], *([*names(i), s] for i, s in rows)]
    assert_all_read(read_predictions(write(csv(in_order), "b.csv")))
    assert_all_read(read_predictions(write(csv(in_order[1:]), "c.csv")))


def test_columns_as_pandas_writes_them(write):
    rows = {str(row): string(index) for row, index in enumerate(INDICES)}
    scores = {str(row): score for row, score in enumerate(SCORES)}
    assert_all_read(read_predictions(write({"arch": rows, "score": scores})))
    assert_all_read(read_predictions(write({"score": scores, "cell": rows})))


def as_npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_a_bare_list_in_official_order(write):
    values = truth()
    archive, saved = io.BytesIO(), io.BytesIO()
    np.savez(archive, scores=values)
    with zipfile.ZipFile(saved, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(values.tolist(), protocol=2))
    paths = [
        write(values.tolist(), "a.json"),
        write({"synflow": values.tolist()}, "b.json"),
        write("\n".join(map(str, values)), "c.txt"),
        write(as_npy(values), "d.npy"),
        write(gzip.compress(as_npy(values), mtime=0), "d.npy.gz"),
        write(archive.getvalue(), "e.npz"),
        write(saved.getvalue(), "f.pt"),
        write(pickle.dumps(values), "g.pkl"),
        write(as_npy({string(i): float(v) for i, v in enumerate(values)}, allow_pickle=True), "h.npy"),
    ]
    for path in paths:
        found = read_predictions(path)
        np.testing.assert_array_equal(found.arch_index, np.arange(15_625))
        np.testing.assert_array_equal(found.score, values)
    assert "official order" in read_predictions(paths[0]).architectures
    with pytest.raises(UserError, match="a list of 15,624 numbers without architectures; in official order it has 15"):
        read_predictions(write(values[1:].tolist()))


def test_arrays_beside_each_other(write):
    buffer = io.BytesIO()
    np.savez(buffer, arch=np.array([string(i) for i in INDICES]), score=np.array(SCORES))
    assert_all_read(read_predictions(write(buffer.getvalue(), "a.npz")))


# ------------------------------------------------------------------------------------------------------ content decides


@pytest.mark.parametrize("name", ["index", "", "id", "rank", "Unnamed: 0"])
def test_row_numbers_are_no_indices_beside_architectures(name, write):
    rows = [(row, string(index), score) for row, (index, score) in enumerate(zip(INDICES, SCORES, strict=True))]
    assert_all_read(read_predictions(write(csv([(name, "cellstr", "score"), *rows]), "a.csv")))
    assert_all_read(read_predictions(write(csv([("cellstr", "score"), *rows]), "one_short.csv")))
    assert_all_read(read_predictions(write([dict(zip((name, "x", "y"), row, strict=True)) for row in rows])))


def test_row_numbers_are_no_indices_beside_what_cannot_be_read(write):
    rows = [(row, string(index).replace("~", "#").replace("|", "/"), row / 7) for row, index in enumerate(INDICES)]
    with pytest.raises(UserError, match="'cellstr' may hold architectures in a form that is not known"):
        read_predictions(write(csv([("index", "cellstr", "score"), *rows]), "a.csv"))
    rows = [(row, f"c0ffee{index}", row / 7) for row, index in enumerate(INDICES)]
    with pytest.raises(UserError, match="column 'index' counts the rows, and column 'hash' tells them apart"):
        read_predictions(write(csv([("index", "hash", "score"), *rows]), "a.csv"))
    for name in ("rank", "", "epoch", "params"):
        with pytest.raises(UserError, match="no architecture column among"):
            read_predictions(write(csv([(name, "score"), *((row, row / 7) for row in range(9))]), "a.csv"))


def test_candidates_that_disagree_are_refused(write):
    rows = [(string(i), string(i + 1), 1.5 * i) for i in range(9)]
    with pytest.raises(UserError, match=r"column 'a' and column 'b' hold different architectures, first at line 2"):
        read_predictions(write(csv([("a", "b", "score"), *rows]), "a.csv"))
    rows = [(string(i), str(list(TOPOLOGY.from_index(i + 1))), 1.5 * i) for i in range(9)]
    with pytest.raises(UserError, match="hold different architectures"):
        read_predictions(write(csv([("a", "b", "score"), *rows]), "a.csv"))
    rows = [(string(i), str(tuple(naslib_digits(i))), 1.5 * i) for i in range(9)]
    found = read_predictions(write(csv([("a", "b", "score"), *rows]), "a.csv"))
    assert (found.architectures, found.digits, found.arch_index.tolist()) == ("column 'a'", None, list(range(9)))
    rows = [(string(i), i + 1, 1.5 * i) for i in range(9)]
    with pytest.raises(UserError, match="hold different architectures"):
        read_predictions(write(csv([("a", "arch_index", "score"), *rows]), "a.csv"))
    with pytest.raises(UserError, match="hold different architectures"):
        read_predictions(write("arch_index,net_index,score\n1,2,0.5\n3,4,0.6\n", "a.csv"))


def test_numbers_of_operations(write):
    rows = {"".join(map(str, naslib_digits(i))): float(i) for i in INDICES}
    found = read_predictions(write(rows), digits_order="naslib")
    assert (found.arch_index.tolist(), found.digits) == (INDICES, "naslib")
    assert any("NASLib" in note for note in found.notes)
    found = read_predictions(write(rows))
    assert (found.digits, found.arch_index.tolist() != INDICES) == ("official", True)
    tuples = write({str(tuple(naslib_digits(i))): float(i) for i in INDICES})
    assert read_predictions(tuples, digits_order="naslib").arch_index.tolist() == INDICES
    with pytest.raises(UserError, match="say --digits-order naslib or official"):
        read_predictions(tuples)
    with pytest.raises(UserError, match="unknown order of digits 'nalib'; did you mean 'naslib'"):
        read_predictions(tuples, digits_order="nalib")
    with pytest.raises(UserError, match="are not written as numbers"):
        read_predictions(write({string(1): 2.0}), digits_order="naslib")


def test_json_numbers_are_indices_and_six_digits_a_key(write):
    assert_all_read(read_predictions(write([list(pair) for pair in zip(INDICES, SCORES, strict=True)])))
    assert read_predictions(write([[12340, 0.5]])).arch_index.tolist() == [12340]
    assert read_predictions(write({"000001": 1})).form == "key"
    assert read_predictions(write({"1": 1})).arch_index.tolist() == [1]
    with pytest.raises(UserError, match=r"mixes architectures written as key \(entry 1: '012340'\) and index"):
        read_predictions(write({"012340": 1, "12341": 2}))


def test_keys_without_their_zeros_and_indices_from_one(write):
    keys = [int("0" + "".join(map(str, naslib_digits(i)[1:]))) for i in range(0, 15_000, 200)]
    with pytest.raises(UserError, match=r"may hold keys that lost their leading zeros"):
        read_predictions(write(csv([("arch", "score"), *((k, 0.5) for k in dict.fromkeys(keys))]), "a.csv"))
    with pytest.raises(UserError, match="counts from 1 to 15625; official indices count from 0"):
        read_predictions(write([[i + 1, i / 7] for i in range(15_625)]))


def test_the_size_space_is_told_apart(write):
    with pytest.raises(UserError, match="'8:8:8:8:8' is of NATS-Bench size, not of"):
        read_predictions(write({"8:8:8:8:8": 0.5, "8:8:8:8:16": 0.6}))


# -------------------------------------------------------------------------------------------------------- score columns


def test_a_score_column_among_several(write):
    path = write(f"index,arch_str,a,b\n1,{string(7)},2,3\n", "a.csv")
    assert read_predictions(path, "b").score.tolist() == [3]
    assert read_predictions(path, "b").others == ("index", "a")
    assert [found.score_column for found in read_columns(path)] == ["a", "b"]
    assert [found.score_column for found in read_columns(path, "all")] == ["index", "a", "b"]
    with pytest.raises(UserError, match=r"2 columns of numbers \(a, b\): name the score column"):
        read_predictions(path)
    with pytest.raises(UserError, match="unknown score column 'bb'; did you mean 'b'"):
        read_predictions(path, "bb")
    with pytest.raises(UserError, match="its scores have no names"):
        read_predictions(write({"1": 2}), "a")


@pytest.mark.parametrize("mark", ["{}%", "{} ± 0.3", "tensor({})", "tensor({}, device='cuda:0')", "{} pts", "<{}>"])
def test_a_decorated_score_is_read_or_refused_but_not_replaced(mark, write):
    rows = [(string(i), i * 7 % 5, mark.format(s)) for i, s in zip(INDICES, SCORES, strict=True)]
    for name in ("score", "synflow"):
        path = write(csv([("arch", "params", name), *rows]), "a.csv")
        message = ""
        try:
            found = [one for one in read_columns(path) if one.score_column == name]
        except UserError as error:
            message = str(error)
        if message:
            assert f"column {name!r} may be the score and cannot be read" in message
        else:
            assert_all_read(found[0])
            assert found[0].notes


def test_nested_scores(write):
    rows = {
        string(i): {"synflow": {"score": s, "time": 1.5}, "snip": {"score": -s, "time": 2.5}}
        for i, s in zip(INDICES, SCORES, strict=True)
    }
    path = write({"CIFAR-10": rows, "cifar100": {arch: {"synflow": {"score": 7, "time": 1}} for arch in rows}})
    options = {"dataset": "cifar10", "datasets": ("cifar10", "cifar100", "imagenet16-120")}
    found = read_columns(path, **options)
    assert [one.score_column for one in found] == ["CIFAR-10.synflow.score", "CIFAR-10.snip.score"]
    assert_all_read(found[0])
    for column in ("CIFAR-10.synflow", "CIFAR-10.synflow.score"):
        assert_all_read(read_predictions(path, column, **options))
    with pytest.raises(UserError, match=r"'synflow' may be CIFAR-10.synflow.score, cifar100.synflow.score"):
        read_predictions(path, "synflow", **options)
    with pytest.raises(UserError, match="holds scores for cifar10, cifar100, not for imagenet16-120"):
        read_columns(path, **{**options, "dataset": "imagenet16-120"})


def test_whole_numbers_at_two_levels_are_a_riddle(write):
    for content in ({"3": {"0": 1.5}, "4": {"0": 2.5}}, {"777": {"3": 1.5, "4": 2.5}, "888": {"3": 1, "4": 2}}):
        with pytest.raises(UserError, match="names at two levels may be architectures"):
            read_predictions(write(content))
    assert read_predictions(write({"000003": {"777": 1, "888": 2}})).score.tolist() == [1.5]


def test_proxies_at_the_top_are_joined_by_architecture(write):
    archs = [string(i) for i in range(5)]
    found = read_columns(
        write({"a": {arch: 1.5 * i for i, arch in enumerate(archs)}, "b": dict.fromkeys(archs[::-2], 1.0)})
    )
    assert [one.score_column for one in found] == ["a", "b"]
    assert (found[0].arch_index.tolist(), found[1].arch_index.tolist()) == ([0, 1, 2, 3, 4], [0, 2, 4])
    assert found[1].report.without_score.count == 2


def test_seeds_are_averaged(write):
    a, b = string(3), string(4)
    for content in (
        {a: [1, 2, 3], b: [5, None, 6]},
        {a: {"777": 1, "888": 2, "999": 3}, b: {"777": 5, "999": 6}},
        {"777": {a: 1, b: 5}, "888": {a: 2}, "999": {a: 3, b: 6}},
        {"acc_seed0": {a: 1, b: 5}, "acc_seed1": {a: 2}, "acc_seed2": {a: 3, b: 6}},
        [{"net": a, "seed": s, "acc": s} for s in (1, 2, 3)] + [{"net": b, "seed": s, "acc": s} for s in (5, 6)],
    ):
        found = read_predictions(write(content))
        assert (found.arch_index.tolist(), found.score.tolist()) == ([3, 4], [2, 5.5])
        assert any("seed" in note for note in found.notes), content
    assert read_predictions(write({a: {"777": 1, "888": 2}}), "888").score.tolist() == [2]


# ------------------------------------------------------------------------------------------- what is not a prediction


def test_rows_that_are_left_out_are_counted_with_examples(write):
    path = write("arch,score\n3,0.5\n15625,0.1\n-1,0.2\n3,0.5\nfoo,0.3\n4,\n5,low\n\n6,0.6\n7\n", "a.csv")
    with pytest.raises(UserError, match="line 11 has 1 cells, not 2"):
        read_predictions(path)
    found = read_predictions(path, allow_unreadable=True)
    assert found.arch_index.tolist() == [3, 6]
    report = found.report
    assert (report.extra.count, report.duplicate.count, report.unparsable.count) == (2, 1, 3)
    assert (report.without_score.count, report.n_rows) == (1, 9)
    assert report.extra.examples[0] == "line 3: architecture index 15625 is outside 0..15624"
    assert report.duplicate.examples == ("line 5: '3', as at line 2",)
    assert report.unparsable.examples[1:] == ("line 6: 'foo' is no architecture", "line 8: 'low' is no score")
    assert report.without_score.examples == ("line 7: '4'",)


def test_more_than_one_percent_unreadable_is_refused(write):
    good = {string(i): float(i) for i in range(200)}
    bad = {f"x{i}": 1.0 for i in range(3)}
    assert read_predictions(write({**good, "x0": 1.0})).report.unparsable.count == 1
    with pytest.raises(
        UserError, match=r"3 of its 203 rows are not .*--allow-unreadable\): entry 201: 'x0' is no arch"
    ):
        read_predictions(write({**good, **bad}))
    found = read_predictions(write({**good, **{f"x{i}": 1.0 for i in range(50)}}), allow_unreadable=True)
    assert found.report.unparsable.count == 50
    assert len(found.report.unparsable.examples) == 5
    strange = {string(i).replace("nor_conv_1x1", "sep_conv_5x5"): 1.0 for i in range(90)}
    with pytest.raises(
        UserError, match=r"likely another code base's operation names .*unknown operation 'sep_conv_5x5'"
    ):
        read_predictions(write(strange))


def test_repeated_names_of_a_json_object_are_seen(write):
    assert read_predictions(write('{"3": 0.5, "3": 0.5}')).report.duplicate.count == 1
    with pytest.raises(UserError, match=r"architecture '3' has score 0.5 at entry 1 and 0.6 at entry 2"):
        read_predictions(write('{"3": 0.5, "3": 0.6}'))
    with pytest.raises(UserError, match="entry 1 names something twice: arch, s, s"):
        read_predictions(write('[{"arch": 3, "s": 0.5, "s": 0.6}]'))


@pytest.mark.parametrize("missing", ["null", "NaN", '""', '"nan"', '"NA"'])
def test_missing_scores_are_left_out_and_counted(missing, write):
    found = read_predictions(write(f'{{"3": 0.5, "4": {missing}, "5": 0.7}}'))
    assert (found.arch_index.tolist(), found.report.without_score.count) == ([3, 5], 1)
    found = read_predictions(write(f"arch,score\n3,0.5\n4,{missing.strip(chr(34))}\n5,0.7\n", "a.csv"))
    assert (found.arch_index.tolist(), found.report.without_score.count) == ([3, 5], 1)


def test_infinities_and_the_direction(write):
    path = write('{"3": 0.5, "4": -Infinity, "5": Infinity, "6": 1' + "0" * 400 + "}")
    found = read_predictions(path)
    assert found.score.tolist() == [0.5, -np.inf, np.inf, np.inf]
    assert (found.report.minus_infinity, found.report.plus_infinity) == (1, 2)
    assert read_predictions(path, lower_is_better=True).score.tolist() == [-0.5, np.inf, -np.inf, -np.inf]


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
        ("[0.5, 0.6]", "a.json", "a list of 2 numbers without architectures"),
        ('{"foo": 1}', "a.json", "holds no architectures in a known form: its names are foo"),
        ('[{"name": "x", "score": 1}]', "a.json", "no architecture column among 'name', 'score'"),
        ("arch,score\n", "a.csv", "a header and no scores"),
        ("x,score\n1,2\n", "a.csv", "no architecture column among 'x', 'score'"),
        ("arch,score\n1,high\n", "a.csv", "may be the score and cannot be read as numbers, such as 'high'"),
        ("arch,a,a\n1,2,3\n", "a.csv", "column 'a' appears twice"),
        ('arch,score\n"1,2\n', "a.csv", "malformed CSV: line 2"),
        ("arch,score\n3,1\n3,2\n", "a.csv", "has score 1.0 at line 2 and 2.0 at line 3"),
        ("arch,score\n3,85,1\n4,86,2\n", "a.csv", "hold different architectures"),
        (
            f"arch,score\n{string(3)},85,1\n",
            "a.csv",
            "one cell more than its header has names",
        ),
        ("arch,score\n3,85.1\n4,86.2,1\n5,87.1\n6,3\n", "a.csv", "line 3 has 3 cells, not 2"),
        (b"arch,score\n\xff,1\n", "a.csv", r"is not UTF-8 text \(byte 11\)"),
        (b"BZh9", "a.csv", "is a bzip2 file: unpack it first"),
        (gzip.compress(b"arch,score\n3,1\n" * 99, mtime=0)[:-9], "a.gz", "is a damaged gzip file"),
        (pickle.dumps({"3": np.float64}), "a.pkl", "asks to load numpy.float64"),
        (b"\x80\x04junk", "a.pkl", "is not a readable pickle"),
        (b"PK\x03\x04junk", "a.npz", "is a damaged .npz or .pt file"),
        (b"\x93NUMPY\x01\x00junk", "a.npy", "is a damaged .npy file"),
        ("a\x1b[31m,score\n1,2\n", "a.csv", r"\\x1b"),
        ("arch,score\n3,\n4,nan\n", "a.csv", "no column of numbers that is a score"),
    ],
)
def test_errors_are_one_line_with_the_file(content, name, message, write):
    with pytest.raises(UserError, match=message) as caught:
        read_predictions(write(content, name))
    assert name in str(caught.value)
    assert len(str(caught.value)) <= 280
    assert str(caught.value).isprintable()


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UserError, match="cannot read predictions file"):
            read_predictions(path)


# ------------------------------------------------------------------------------------------------------ another space


def test_another_space(write):
    read_all = partial(read.read_predictions, space=SIZE, allow_unreadable=True)
    found = read_all(write({"8:8:8:8:16": 1, "64:64:64:64:64": 2, "8:8:8:8:9": 3, "foo": 4}))
    assert (found.form, found.arch_index.tolist()) == ("architecture string", [1, 32767])
    assert (found.report.extra.count, found.report.unparsable.count) == (1, 1)
    assert read_all(write("arch,score\n12345,1\n7,2\n0,3\n", "a.csv")).arch_index.tolist() == [12345, 7, 0]
    with pytest.raises(UserError, match="'01234' may be a key or a padded index"):
        read_all(write("arch,score\n01234,1\n7,2\n", "a.csv"))
    with pytest.raises(UserError, match="is of NAS-Bench-201 = NATS-Bench topology, not of"):
        read_all(write({string(3): 1}))
    assert nested(3)


def test_the_size_space_has_its_own_files(write):
    """Strings of widths, their digits, indices; and a file of the topology space is told apart."""
    rows = {SIZE.to_str(SIZE.from_index(index)): index / 10 for index in (0, 9, 32_767)}
    for content in (rows, [[index, index / 10] for index in (0, 9, 32_767)]):
        found = read_predictions(write(content, "scores.json"), space=SIZE)
        assert found.arch_index.tolist() == [0, 9, 32_767]
        assert found.score.tolist() == [0.0, 0.9, 3276.7]
    with pytest.raises(UserError, match="is of NAS-Bench-201 = NATS-Bench topology, not of NATS-Bench size"):
        read_predictions(write({string(0): 1.0}, "scores.json"), space=SIZE)
