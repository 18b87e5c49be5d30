"""The command line: what it prints, what it writes, and one line with exit status 2 for every mistake."""

import json

import numpy as np
import pytest

from bench.cli import main
from bench.stats.metrics import METRICS, kendall_tau_b, spearman_rho
from bench.truth import Measure, Table
from mngnas.data import download
from mngnas.methods.registry import STRATEGIES, strategy_names
from mngnas.spaces.topology import from_index, to_str


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """A cache of this test's own that holds a made-up table under the name of a converted archive; no network."""
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv(download.OFFLINE_VARIABLE, "1")
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    made_up_table().save(tmp_path / "cache" / "tables" / "nats-made-up.npz")


def made_up_table() -> Table:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 0.9, (15_625, 1)) + rng.normal(0, 0.01, (15_625, 3))
    parameters = rng.integers(1, 1000, 15_625)
    return Table(
        name="nats",
        search_space="nas-bench-201",
        measures={
            Measure("cifar10", "test", 200): truth.astype(np.float32),
            Measure("cifar10", "test", 12): truth[:, :1].astype(np.float32),
        },
        parameters={"cifar10": parameters},
        flops={"cifar10": 2 * parameters},
    )


@pytest.fixture
def scores(tmp_path):
    """Noisy scores of 500 architectures, and the truth that they are to be compared with."""
    truth = made_up_table().mean(Measure("cifar10", "test", 200))
    index = np.random.default_rng(1).choice(15_625, 500, replace=False)
    score = truth[index] + np.random.default_rng(2).normal(0, 0.1, 500)
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({to_str(from_index(int(i))): float(s) for i, s in zip(index, score, strict=True)}))
    return path, score, truth[index]


ON_MADE_UP = ("--benchmark", "nats", "--dataset", "cifar10", "--resamples", "50")


def test_evaluate_prints_one_json_object(scores, capsys):
    path, score, truth = scores
    assert main(["evaluate", str(path), *ON_MADE_UP, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kendall_tau_b"]["value"] == pytest.approx(kendall_tau_b(score, truth))
    assert found["spearman_rho"]["value"] == pytest.approx(spearman_rho(score, truth))
    for name in METRICS:
        assert set(found[name]) == {"value", "ci_low", "ci_high", "n"}
    tau = found["kendall_tau_b"]
    assert tau["ci_low"] < tau["value"] < tau["ci_high"]
    assert tau["n"] == found["n_scored"] == 500
    assert found["n_missing"] == 15_125
    assert found["target"] == "cifar10 test accuracy after 200 epochs"
    assert set(found["references"]) == {"parameters", "flops", "ceiling"}
    assert found["references"]["ceiling"]["kendall_tau_b"]["value"] > 0.8
    assert found["rows_left_out"] == {"extra": 0, "duplicate": 0, "unparsable": 0}


def test_evaluate_prints_for_people(scores, capsys):
    path, *_ = scores
    assert main(["evaluate", str(path), *ON_MADE_UP, "--metrics", "kendall_tau_b,regret", "--epochs", "12"]) == 0
    text = capsys.readouterr().out
    assert "500 architectures against cifar10 test accuracy after 12 epochs (nats)" in text
    for expected in ("Kendall tau-b", "regret", "parameter count", "one seed against the others", "not scored: 15,125"):
        assert expected in text
    assert "P@top" not in text


def test_evaluate_counts_the_rows_it_leaves_out(tmp_path, capsys):
    rows = ["arch,score"] + [f"{to_str(from_index(i))},{i}" for i in range(20)]
    unknown = to_str(from_index(20)).replace("~0|+", "~1|+", 1)
    (tmp_path / "scores.csv").write_text("\n".join([*rows, rows[1], f"{unknown},3", f"{to_str(from_index(21))},high"]))
    assert main(["evaluate", str(tmp_path / "scores.csv"), *ON_MADE_UP, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n_scored"] == 20
    assert found["rows_left_out"] == {"extra": 1, "duplicate": 1, "unparsable": 1}


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


def test_list_names_everything(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for name in ("nb201", "nats", "nasbench201", "digits201", "cifar10", "cifar100", "imagenet16-120", "digits"):
        assert name in text
    for name in (
        "spos",
        "fairnas",
        "mngnas",
        "mngnas-uniform",
        "digits",
        "cpu",
        "gpu",
        "paper",
        "kendall_tau_b",
        "regret",
    ):
        assert f"  {name} " in text
    assert "nats         [cached]" in text
    assert "nb201        [not cached]" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evalute x.json", "unknown command 'evalute'; did you mean 'evaluate'? available: list, data, "),
        ("evaluate none.json", "cannot read predictions file 'none.json'"),
        ("evaluate SCORES --benchmark nb20", "unknown benchmark 'nb20'; did you mean 'nb201'? available: nb201, nats"),
        ("evaluate SCORES --dataset cifar", "unknown data set 'cifar'; did you mean 'cifar10'? available: cifar10, "),
        ("evaluate SCORES --metrics kendal", "unknown metric 'kendal'"),
        ("evaluate SCORES --benchmark nats --epochs 90", "unknown number of epochs '90'"),
        ("evaluate SCORES --benchmark nats --split tst", "unknown split 'tst'; did you mean 'test'?"),
        ("evaluate SCORES --benchmark nats --resamples 0", "'0' is not a positive whole number"),
        ("evaluate SCORES --benchmark nasbench201", "is made from an archive that you have: give it with --archive"),
        ("evaluate SCORES", "cannot get cifar10.pkl (it is not in the cache and MNGNAS_BENCH_OFFLINE is set)"),
        ("evaluate SCORES --mirror /nowhere", "mirror '/nowhere' is neither a folder nor an http(s) address"),
        ("evaluate", "the following arguments are required: SCORES"),
        ("run --strategy spos,fairnass", "unknown strategy 'fairnass'; did you mean 'fairnas'?"),
        ("run --strategy spos,mgnas*", "unknown strategy 'mgnas*'; did you mean 'mngnas'?"),
        ("run --strategy spos,!sps", "unknown strategy 'sps'; did you mean 'spos'?"),
        ("run --strategy spos,!*", "strategy 'spos,!*' leaves none; available: spos, fairnas, mngnas, "),
        ("ablate --strategy mngnas-none", "unknown strategy 'mngnas-none'"),
        ("run --preset cpus", "unknown preset 'cpus'; did you mean 'cpu'?"),
        ("run --seeds many", "'many' is not a positive whole number"),
        ("run --seeds 5-", "'5-' is neither a number of seeds nor a range such as 5-14"),
        ("run --seeds 7-5", "'7-5' is neither a number of seeds nor a range such as 5-14"),
        ("run --set training.pass=3", "unknown entry 'pass'"),
        ("run --device tpu", "unknown device 'tpu'"),
        ("run --benchmark nats --out OUT", "cannot get cifar-10-python.tar.gz"),
        ("report NOWHERE", "is not a study: it has no study.json"),
        ("data fetch cifar11", "unknown table or data set 'cifar11'; did you mean 'cifar10'?"),
        ("data build digits20", "unknown table 'digits20'; did you mean 'digits201'?"),
        ("data verify --archs 0", "'0' is not a positive whole number"),
        ("data fech", "unknown action 'fech'; did you mean 'fetch'?"),
        ("run --no-such-option", "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(arguments, message, scores, tmp_path, capsys):
    named = {"SCORES": str(scores[0]), "OUT": str(tmp_path / "out"), "NOWHERE": str(tmp_path / "nowhere")}
    assert main([named.get(word, word) for word in arguments.split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("fairnas,spos", ["fairnas", "spos"]),
        ("*as,spos,fairnas", ["fairnas", "mngnas", "spos"]),
        ("mngnas-k?", ["mngnas-k1", "mngnas-k2", "mngnas-k8"]),
        ("mngnas*", [name for name in STRATEGIES if name.startswith("mngnas")]),
        ("*,!mngnas-*", ["spos", "fairnas", "mngnas"]),
        ("!spos,s*", ["spos"]),
    ],
)
def test_patterns_stand_for_strategies(patterns, names):
    assert strategy_names(patterns) == names


@pytest.fixture
def asked(monkeypatch):
    """What would be run, without running it."""
    calls = []
    monkeypatch.setattr("bench.study.spec.open_study", lambda out, study: calls.append((str(out), study.preset.name)))
    monkeypatch.setattr("bench.study.spec.run_study", lambda _out, jobs, *_: calls.append(jobs))
    monkeypatch.setattr("bench.cli._write_report", lambda *_: None)
    return calls


def test_ablate_is_run_with_other_defaults(asked):
    assert main(["ablate", "--benchmark", "digits201"]) == 0
    where, jobs = asked
    assert where == ("runs/digits201-digits-digits-ablations", "digits")
    every = [name for name in STRATEGIES if name != "mngnas-plain"]
    assert jobs == [(name, seed) for seed in range(5) for name in every]


def test_what_ablate_is_told_it_does(asked):
    chosen = ["--strategy", "mngnas-pl*,spos", "--seeds", "2", "--out", "elsewhere"]
    assert main(["ablate", "--benchmark", "digits201", *chosen]) == 0
    assert main(["run", "--benchmark", "digits201", *chosen]) == 0
    assert asked[:2] == asked[2:]
    assert asked[:2] == [("elsewhere", "digits"), [(n, s) for s in (0, 1) for n in ("mngnas-plain", "spos")]]


def test_run_keeps_its_defaults(asked):
    assert main(["run", "--benchmark", "digits201"]) == 0
    assert asked[0] == ("runs/digits201-digits-digits", "digits")
    assert asked[1] == [(name, seed) for seed in range(3) for name in ("spos", "fairnas", "mngnas")]


def test_help_says_what_ablate_leaves_out(capsys):
    with pytest.raises(SystemExit):
        main(["ablate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "mngnas-plain, which is bit for bit FairNAS" in text
    assert "spos,fairnas,mngnas*,!mngnas-plain" in text
