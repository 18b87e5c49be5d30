"""Ranking, transfer and ablation tables against hand computation, and the pictures of differences."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from bench.board.entries import FILE, Entry
from bench.report.look import to_svg
from bench.stats.metrics import METRICS
from bench.study.scores import Scores
from bench.tables.ablations import ablation_table
from bench.tables.comparison import paired, pictures, ranks
from bench.tables.ranking import ranking_table
from bench.tables.studies import read_studies
from bench.tables.transfer import transfer_table
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import made_up_table, write_run
from tests.tables.made_up import SAMPLE, write_finder, write_ranker

SEEDS = range(5)
NAMES = ("plain", "fair", "guided", "fourth", "fifth")


@pytest.fixture(scope="module")
def folder(table, tmp_path_factory):
    """Five methods of five seeds, and two variants of one of them."""
    study = tmp_path_factory.mktemp("tables") / "study"
    for number, name in enumerate(NAMES):
        for seed in SEEDS:
            write_ranker(study, table, name, seed, noise=0.1 + 0.1 * number)
    for changes in ({"pool": 1}, {"pool": 2}):
        for seed in SEEDS:
            write_ranker(study, table, "guided", seed, noise=0.4 + 0.1 * changes["pool"], changes=changes)
    return study


@pytest.fixture(scope="module")
def studies(folder, table):
    return read_studies({folder: table}, 5)


def csv_of(found):
    return [dict(zip(found.csv.header, row, strict=True)) for row in found.csv.rows()]


def test_every_metric_with_both_intervals(studies, table):
    found = ranking_table(studies, (), 5)
    rows = csv_of(found)
    scored = {method.label: method for method in studies[0].runs.methods}["Plain"].seeds
    for name in ("kendall_tau_b", "kendall_tau_b_top_10_percent", "precision_at_top_5_percent", "regret"):
        by_hand = [METRICS[name].function(one.score, one.true) for one in scored]
        mine = [r for r in rows if (r["predictor"], r["metric"], r["architectures"]) == ("Plain", name, "all")]
        assert [row["over"] for row in mine] == ["seeds", "architectures"]
        assert [row["value"] for row in mine] == pytest.approx([np.mean(by_hand)] * 2)
        assert [row["n"] for row in mine] == [5, 200]
    cells = next(cells for cells in found.text.rows if cells[0] == "Plain\nstudy; inherited; 5 seeds")
    assert cells[2].split("\n")[1].startswith("seeds ")
    assert cells[2].split("\n")[2].startswith("archs ")
    assert cells[-1] == "200 passes\n15 s"
    labels = [cells[0].split("\n")[0] for cells in found.text.rows]
    assert {"parameter count = FLOPs", "ceiling: one seed against the others"} < set(labels)
    assert table.space.label in found.title


def test_each_ranking_of_a_method_is_a_row(table, tmp_path):
    for seed in SEEDS:
        accuracy = np.random.default_rng(seed).uniform(size=len(SAMPLE))
        rankings = {name: Scores(SAMPLE, {"accuracy": accuracy}) for name in ("inherited", "retrained")}
        write_run(tmp_path / "study", table, "guided", seed, rankings=rankings, curve={}, dataset="cifar10")
    found = ranking_table(read_studies({tmp_path / "study": table}, 5), (), 5)
    labels = {cells[0] for cells in found.text.rows}
    assert {"Guided\nstudy; inherited; 5 seeds", "Guided, retrained\nstudy; retrained; 5 seeds"} < labels


def test_other_entries_are_rows_like_any(studies, table):
    scores = table.mean(table.longest("cifar10", "test"))[None]
    other = Entry("x", "their scores", FILE, "x.json", "", "", {}, (), scores)
    found = ranking_table(studies, [other], 5)
    assert found.text.rows[0][:3] == ("their scores\nx.json", f"{TOPOLOGY.n_arch:,}", "1.000\narchs 1.000 to 1.000")
    assert "Rows of different n" in found.notes[0]


def test_transfer_is_the_same_scores_against_other_truths(studies, table):
    found = transfer_table(studies, 5)
    rows = csv_of(found)
    scored = {method.label: method for method in studies[0].runs.methods}["Plain"].seeds
    for dataset in ("cifar10", "cifar100", "imagenet16-120"):
        truth = table.mean(table.longest(dataset, "test"))
        by_hand = np.mean([kendalltau(one.score, truth[one.arch_index]).statistic for one in scored])
        mine = [
            row["value"]
            for row in rows
            if (row["predictor"], row["data set"], row["metric"]) == ("Plain", dataset, "kendall_tau_b")
        ]
        assert mine == pytest.approx([by_hand] * 2)
    own = next(cells for cells in found.text.rows if cells[0].endswith("itself"))
    assert own[2].startswith("1.000")
    assert (
        own[4].split("\n")[0]
        == f"{kendalltau(*(table.mean(table.longest(d, 'test')) for d in ('cifar10', 'cifar100'))).statistic:.3f}"
    )


def test_what_there_is_nothing_for_is_left_out(tmp_path, table):
    digits = made_up_table()
    write_run(tmp_path / "digits", digits, index=SAMPLE)
    write_finder(tmp_path / "searched", table, 0, 5)
    (one_data_set,), (no_ranking,) = (
        read_studies({tmp_path / name: of}, 5) for name, of in (("digits", digits), ("searched", table))
    )
    assert transfer_table([one_data_set], 5) is None
    assert ranking_table([no_ranking], (), 5) is None
    assert transfer_table([no_ranking], 5) is None
    assert ablation_table(one_data_set) is None
    assert list(pictures(no_ranking)) == []


def test_ablations_are_paired_differences(studies):
    found = ablation_table(studies[0])
    taus = {m.label: m.values(METRICS["kendall_tau_b"]) for m in studies[0].runs.methods}
    rows = {(row["method"], row["minus"], row["column"]): row for row in csv_of(found)}
    for label in ("Guided [pool=1]", "Guided [pool=2]", "Plain"):
        by_hand = np.mean(np.subtract(taus[label], taus["Guided"]))
        assert rows[label, "Guided", "accuracy"]["value"] == pytest.approx(by_hand)
        assert rows[label, "", "accuracy"]["value"] == pytest.approx(np.mean(taus[label]))
    assert found.text.rows[0][0] == "Guided"
    assert found.name == "ablations-study"


def test_pairs_always_and_ranks_where_there_is_enough(studies, folder, table, tmp_path):
    both = list(pictures(studies[0]))
    assert [picture.name for picture in both] == ["paired-study", "ranks-study"]
    for picture in both:
        assert to_svg(picture.draw) == to_svg(picture.draw)
    found = ranks(studies[0].runs)
    assert found.seeds == tuple(SEEDS)
    best_first = [label for _, label in sorted(zip(found.test.average_ranks, found.labels, strict=True))]
    assert best_first[0] == "Plain"
    assert paired(studies[0].runs).standard == "Guided"
    for name in NAMES[:4]:
        for seed in SEEDS:
            write_ranker(tmp_path / "few", table, name, seed)
    assert [one.name for one in pictures(read_studies({tmp_path / "few": table}, 5)[0])] == ["paired-few"]
    assert folder.is_dir()
