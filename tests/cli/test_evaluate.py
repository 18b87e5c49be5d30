"""The command `evaluate`: what it prints, what it says about the file, one line with exit status 2 for a mistake."""

import json

import numpy as np
import pytest

from bench.cli import main
from bench.stats.metrics import METRICS, kendall_tau_b, spearman_rho
from bench.truth import Measure
from mngnas.spaces.topology import TOPOLOGY

pytestmark = pytest.mark.usefixtures("own_cache")
ON_MADE_UP = ("--benchmark", "nats", "--dataset", "cifar10", "--resamples", "50")


def string(index):
    return TOPOLOGY.to_str(TOPOLOGY.from_index(index))


def as_json(capsys, path, *options, status=0):
    paths = map(str, path if isinstance(path, list) else [path])
    assert main(["evaluate", *paths, *ON_MADE_UP, "--json", *options]) == status
    return json.loads(capsys.readouterr().out)


def test_evaluate_prints_one_json_object(scores, capsys):
    path, score, truth = scores
    found = as_json(capsys, path)
    assert found["kendall_tau_b"]["value"] == pytest.approx(kendall_tau_b(score, truth))
    assert found["spearman_rho"]["value"] == pytest.approx(spearman_rho(score, truth))
    for name in (*METRICS, "kendall_tau_b_top_0.5_percent", "precision_at_top_0.2_percent"):
        assert set(found[name]) == {"value", "ci_low", "ci_high", "n"}
    tau = found["kendall_tau_b"]
    assert tau["ci_low"] < tau["value"] < tau["ci_high"]
    assert tau["n"] == found["n_scored"] == 500
    assert found["n_missing"] == 15_125
    assert found["target"] == "cifar10 test accuracy after 200 epochs"
    assert set(found["references"]) == {"parameters", "flops", "ceiling"}
    assert {row["kendall_tau_b"]["n"] for row in found["references"].values()} == {500}
    assert found["references"]["ceiling"]["kendall_tau_b"]["value"] > 0.8
    assert found["rows_left_out"] == {"extra": 0, "duplicate": 0, "unparsable": 0, "without_score": 0}
    assert found["read"] == {
        "architectures": "the keys",
        "form": "architecture string",
        "digits_order": None,
        "score_column": None,
        "other_columns": [],
        "lower_is_better": False,
        "rows": 500,
        "repeated": 0,
        "unknown": 0,
        "without_score": 0,
        "minus_infinity": 0,
        "plus_infinity": 0,
        "notes": [],
    }


def test_evaluate_prints_for_people(scores, capsys):
    path, *_ = scores
    assert main(["evaluate", str(path), *ON_MADE_UP, "--metrics", "kendall_tau_b,regret", "--epochs", "12"]) == 0
    text = capsys.readouterr().out
    assert "500 architectures against cifar10 test accuracy after 12 epochs (nats)" in text
    for expected in (
        *("Kendall tau-b", "regret", "parameter count", "one seed against the others", "not scored: 15,125"),
        *("read: the keys (architecture string); scores without a name", "rows read: 500", "without a score: 0"),
    ):
        assert expected in text
    assert "P@top" not in text


def test_evaluate_counts_the_rows_it_leaves_out(tmp_path, capsys):
    rows = ["arch,score,n\x1b[31m"] + [f"{string(i)},{i},{i * 7 % 20}" for i in range(20)]
    unknown = string(20).replace("~0|+", "~1|+", 1)
    rows += [rows[1], f"{unknown},3,0", f"{string(21)},high,0", f"{string(22)},nan,0", f"{string(23)},-inf,0"]
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    assert main(["evaluate", str(tmp_path / "scores.csv"), *ON_MADE_UP]) == 2
    assert "2 of its 25 rows are not a score of a known architecture" in capsys.readouterr().err
    found = as_json(capsys, tmp_path / "scores.csv", "--allow-unreadable")
    assert found["n_scored"] == 21
    assert found["rows_left_out"] == {"extra": 1, "duplicate": 1, "unparsable": 1, "without_score": 1}
    assert found["read"]["rows"] == 25
    assert found["read"]["unknown"] == 2
    assert found["read"]["minus_infinity"] == 1
    assert found["read"]["other_columns"] == ["n\\x1b[31m"]
    assert found["pearson_r"]["value"] is None
    assert main(["evaluate", str(tmp_path / "scores.csv"), *ON_MADE_UP, "--allow-unreadable"]) == 0
    text = capsys.readouterr().out
    assert "infinite scores: 1 rank last, 0 rank first" in text
    assert text.replace("\n", "").isprintable()


def test_several_score_columns_are_rows(tmp_path, own_cache, capsys):
    truth = own_cache.mean(Measure("cifar10", "test", 200))
    rows = [{"arch": string(i), "logs": {"good": truth[i], "bad": -truth[i]}} for i in range(40)]
    (tmp_path / "scores.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = as_json(capsys, tmp_path / "scores.jsonl")
    assert [one["read"]["score_column"] for one in found["columns"]] == ["logs.good", "logs.bad"]
    assert [one["kendall_tau_b"]["value"] for one in found["columns"]] == [1, -1]
    assert as_json(capsys, tmp_path / "scores.jsonl", "--column", "bad")["kendall_tau_b"]["value"] == -1
    assert as_json(capsys, tmp_path / "scores.jsonl", "--column", "bad", "--lower-is-better")["regret"]["value"] == 0
    assert main(["evaluate", str(tmp_path / "scores.jsonl"), *ON_MADE_UP]) == 0
    assert "scores: 'logs.good', 'logs.bad'" in capsys.readouterr().out


def test_several_files_and_parts_of_one_table(tmp_path, own_cache, capsys):
    truth = own_cache.mean(Measure("cifar10", "test", 200))
    for number, sign in ((0, 1), (1, 1), (2, -1)):
        rows = range(30 * number, 30 * number + 30)
        (tmp_path / f"log-64_{number}").write_text(json.dumps({string(i): sign * truth[i] for i in rows}))
    (tmp_path / "other.json").write_text(json.dumps({string(i): truth[i] for i in range(15)}))
    assert as_json(capsys, tmp_path / "log-64_0")["kendall_tau_b"] == {"value": 1, "ci_low": 1, "ci_high": 1, "n": 30}
    parts = [str(tmp_path / f"log-64_{number}") for number in (0, 1)]
    found = as_json(capsys, parts)
    assert (found["n_scored"], found["kendall_tau_b"]["value"]) == (60, 1)
    assert found["read"]["notes"][0] == "2 files are parts of one table: log-64_0, log-64_1"
    assert found["live_only"]["kendall_tau_b"]["n"] == found["n_live"] < 60
    found = as_json(capsys, tmp_path, "--metrics", "regret")
    assert [len(one["files"]) for one in found["tables"]] == [3, 1]
    assert [one["n_scored"] for one in found["tables"]] == [90, 15]
    assert main(["evaluate", str(tmp_path), *ON_MADE_UP]) == 0
    text = capsys.readouterr().out
    assert "log-64_0 and 2 more files: 90 architectures against" in text
    assert "live graphs alone" in text
    (tmp_path / "log-64_1").write_text(json.dumps({string(i): 5 * truth[i] for i in range(29, 60)}))
    assert main(["evaluate", *parts, *ON_MADE_UP]) == 2
    output = capsys.readouterr()
    assert "log-64_0 and log-64_1 are no parts of one table: architecture 29 has score" in output.err
    assert output.err.count("\n") == 1


def test_one_seed_training_accuracy_and_names_in_any_case(scores, own_cache, capsys):
    path, score, _ = scores
    seeds = own_cache.values(Measure("cifar10", "test", 200))
    index = np.random.default_rng(1).choice(15_625, 500, replace=False)
    found = as_json(capsys, path, "--target-seed", "888", "--dataset", "CIFAR-10")
    assert found["target"] == "cifar10 test accuracy after 200 epochs, seed 888"
    assert found["kendall_tau_b"]["value"] == pytest.approx(
        kendall_tau_b(score, np.round(seeds[index, 1], 6)), abs=1e-4
    )
    assert as_json(capsys, path, "--epochs", "12", "--target-seed", "0")["target"].endswith("12 epochs, seed 0")
    assert as_json(capsys, path, "--split", "train")["kendall_tau_b"]["value"] < 0


def test_latency_as_target_and_as_cost(scores, shared, capsys):
    path, *_ = scores
    mirror = ("--mirror", str(shared))
    found = as_json(capsys, shared / "latency" / "fpga.pt", *mirror, "--target", "latency:fpga")
    assert found["kendall_tau_b"]["value"] == 1
    assert "regret" not in found
    found = as_json(capsys, path, *mirror, "--cost", "latency:eyeriss", "--cost", "latency:pixel3")
    assert set(found["references"]) == {
        *("parameters", "flops", "ceiling"),
        *("latency of eyeriss", "latency of pixel3"),
    }


@pytest.mark.parametrize(
    ("stem", "tau", "rho"),
    [("few_shot_nas_one_shot_supernet", 0.485, 0.677), ("few_shot_nas_few_shot_supernet", 0.551, 0.741)],
)
def test_published_scores_against_the_real_table(shared, capsys, stem, tau, rho):
    path = shared / "scores" / f"{stem}.json"
    options = ["--benchmark", "nb201", "--dataset", "cifar10", "--mirror", str(shared), "--json"]
    assert main(["evaluate", str(path), *options, "--resamples", "20"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kendall_tau_b"]["value"] == pytest.approx(tau, abs=0.001)
    assert found["spearman_rho"]["value"] == pytest.approx(rho, abs=0.001)
    assert found["references"]["parameters"]["kendall_tau_b"]["value"] == pytest.approx(0.577, abs=0.001)


SHAPES = {  # file -> tau-b that must come out, or what the refusal says
    "01_row_number_column.csv": 1.0,
    "03_header_one_short.csv": 1.0,
    "04_other_column_scored.csv": 1.0,
    "06_most_rows_unreadable.csv": -0.895,
    "07_nan.json": 1.0,
    "07_minus_inf.json": 1.0,
    "07_null.json": 1.0,
    "09_naslib_tuples.json": "say --digits-order naslib or official",
    "09_naslib_tuples.json --digits-order naslib": 1.0,
    "09_naslib_digits.json": 0.338,
    "09_naslib_digits.json --digits-order naslib": 1.0,
    "10_by_data_set.json": "say --digits-order naslib or official",
    "10_by_data_set.json --digits-order naslib": 1.0,
    "11_six_numbers.json": 1.0,
    "11_nested_lists.json": 1.0,
    "11_edge_dict.json": 1.0,
    "12_all_in_index_order.json": 1.0,
    "12_all_in_index_order.npy": 1.0,
    "13_json_lines.jsonl --column logmeasures.synflow": 1.0,
    "14_no_header.csv": 1.0,
    "16_size_space.json": "is of NATS-Bench size, not of",
}


@pytest.mark.parametrize("call", SHAPES)
def test_shapes_of_score_files(call, shared, capsys):
    name, *options = call.split()
    command = ["evaluate", str(shared / "score_files" / name), "--mirror", str(shared), "--resamples", "5", "--json"]
    status = main([*command, "--metrics", "kendall_tau_b", *options])
    output = capsys.readouterr()
    if isinstance(SHAPES[call], str):
        assert status == 2
        assert SHAPES[call] in output.err
        assert output.err.count("\n") == 1
        assert len(output.err) <= 301
    else:
        assert status == 0
        assert json.loads(output.out)["kendall_tau_b"]["value"] == pytest.approx(SHAPES[call], abs=0.001)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("none.json", "cannot read predictions file 'none.json'"),
        ("SCORES --benchmark nb20", "unknown benchmark 'nb20'; did you mean 'nb201'? available: nb201, nats"),
        ("SCORES --dataset cifar", "unknown data set 'cifar'; did you mean 'cifar10'? available: cifar10, "),
        ("SCORES --metrics kendal", "unknown metric 'kendal'"),
        ("SCORES --metrics regret_top_5_percent", "unknown metric 'regret_top_5_percent'"),
        ("SCORES --metrics kendall_tau_b_top_0_percent", "unknown metric 'kendall_tau_b_top_0_percent'"),
        ("SCORES --benchmark nats --epochs 90", "unknown number of epochs '90'"),
        ("SCORES --benchmark nats --split tst", "unknown split 'tst'; did you mean 'test'?"),
        ("SCORES --benchmark nats --target-seed 3", "unknown seed '3'; available: 777, 888, 999"),
        ("SCORES --benchmark nats --target-seed x", "invalid int value: 'x'"),
        ("SCORES --benchmark nats --target loss", "'loss' is neither accuracy nor latency:DEVICE"),
        ("SCORES --benchmark nats --target latency:fpgb", "unknown device 'fpgb'; did you mean 'fpga'?"),
        ("SCORES --benchmark digits201 --cost latency:fpga", "latencies are known of NAS-Bench-201"),
        ("SCORES --benchmark nats --cost latency:fpga", "cannot get fpga.pt (it is not in the cache"),
        ("SCORES --benchmark nats --digits-order nni", "unknown order of digits 'nni'"),
        ("SCORES --benchmark nats --resamples 0", "'0' is not a positive whole number"),
        ("SCORES --benchmark nasbench201", "is made from an archive that you have: give it with --archive"),
        ("SCORES", "cannot get cifar10.pkl (it is not in the cache and MNGNAS_BENCH_OFFLINE is set)"),
        ("SCORES --mirror /nowhere", "mirror '/nowhere' is neither a folder nor an http(s) address"),
        ("", "the following arguments are required: SCORES"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(arguments, message, scores, capsys):
    assert main(["evaluate", *arguments.replace("SCORES", str(scores[0])).split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert len(output.err) <= 301
    assert output.out == ""
