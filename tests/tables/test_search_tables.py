"""Search tables against hand computation, and which cells leave the published spread."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.stats.intervals import OverSeeds
from bench.tables.check import SLACK, Compared, check_lines, compared
from bench.tables.published import Figure, papers
from bench.tables.search import csv_rows, paper_table, search_table
from bench.tables.studies import read_studies
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import made_up_table, write_run
from tests.tables.made_up import DATASETS, SAMPLE, write_finder, write_ranker

NB201, NATS = papers()


def studies(table, *directories):
    return read_studies(dict.fromkeys(directories, table), 5)


def ours(found, label):
    return [row for pair in found.pairs for row in pair.ours if row.label == label]


def truth(table, dataset, split):
    return table.mean(table.longest(dataset, split))


def test_a_cell_found_on_one_data_set_is_looked_up_on_all(tmp_path, table):
    found_in = (700, 801, 4000)
    for seed, index in enumerate(found_in):
        write_finder(tmp_path / "a", table, seed, index)
    write_finder(tmp_path / "b", table, 0, 5, dataset="cifar100")
    found = search_table(NB201, studies(table, tmp_path / "a", tmp_path / "b"))
    (row,) = ours(found, "rea")
    for dataset in DATASETS:
        for split in ("valid", "test"):
            by_hand = truth(table, dataset, split)[list(found_in)]
            spread = row.cells[dataset, split].spread
            assert (spread.mean, spread.sd) == pytest.approx((by_hand.mean(), by_hand.std(ddof=1)))
    (pair,) = (pair for pair in found.pairs if row in pair.ours)
    assert pair.published.label == "REA"
    assert (row.taken_by, row.runs, str(row.budgets["cifar10"])) == ("proposal", "3", "12,000 simulated s")


def test_where_each_is_searched_a_study_fills_its_own_columns(tmp_path, table):
    for number, dataset in enumerate(DATASETS[:2]):
        write_finder(tmp_path / dataset, table, 0, 700 + number, dataset=dataset, seconds=NATS.seconds[dataset])
    found = search_table(NATS, studies(table, *(tmp_path / name for name in DATASETS[:2])))
    (row,) = ours(found, "rea")
    assert set(row.cells) == {place for place in NATS.places if place[0] != "imagenet16-120"}
    assert row.cells["cifar100", "test"].values == (truth(table, "cifar100", "test")[701],)
    assert row.studies == DATASETS[:2]
    text = next(cells for cells in paper_table(found).text.rows if cells[0].startswith("rea"))
    assert text[3] == "20,000 simulated s\n40,000 simulated s"
    assert text[-1] == ""


def test_a_search_with_another_budget_is_a_row_of_its_own(tmp_path, table):
    write_finder(tmp_path / "short", table, 0, 5, seconds=12_000.0)
    for dataset in DATASETS[:2]:
        write_finder(tmp_path / dataset, table, 0, 7, dataset=dataset, seconds=NATS.seconds[dataset], protocol=2)
    found = search_table(NATS, studies(table, *(tmp_path / name for name in ("short", *DATASETS[:2]))))
    assert [row.studies for row in ours(found, "rea")] == [("short",), DATASETS[:2]]


def test_without_a_proposal_the_highest_score_counts(tmp_path, table):
    write_ranker(tmp_path / "a", table)
    study = studies(table, tmp_path / "a")
    scored = study[0].runs.runs[0].scores.rankings["inherited"]
    best = scored.arch_index[np.argmax(scored.score)]
    (row,) = ours(search_table(NB201, study), "Plain")
    assert row.taken_by == "highest score"
    assert row.cells["cifar10", "test"].values == (truth(table, "cifar10", "test")[best],)
    assert math.isnan(row.budgets["cifar10"].simulated)


def test_variants_of_a_supernet_are_left_out_and_budgets_of_a_searcher_are_not(tmp_path, table):
    write_ranker(tmp_path / "a", table)
    write_ranker(tmp_path / "a", table, changes={"pool": 2})
    write_ranker(tmp_path / "a", table, "fair", changes={"pool": 2})  # the only one of its method
    write_finder(tmp_path / "a", table, 0, 5, changes={"seconds": 12_000.0})
    found = search_table(NB201, studies(table, tmp_path / "a"))
    labels = {row.label for pair in found.pairs for row in pair.ours} - {"ResNet cell", "Best of each column"}
    assert labels == {"Plain", "Fair [pool=2]", "rea [seconds=12000.0]"}
    assert {row.label for row in (row for pair in found.pairs for row in pair.ours) if not row.is_compared} == {
        "Fair [pool=2]"
    }


def test_reference_rows_are_of_the_table_today(tmp_path, table):
    write_ranker(tmp_path / "a", table)
    found = search_table(NB201, studies(table, tmp_path / "a"))
    *_, resnet, best = found.pairs  # what is no method comes last
    index = TOPOLOGY.to_index(TOPOLOGY.parse(resnet.published.arch_str))
    assert index == 11_472
    for place in NB201.places:
        assert resnet.ours[0].cells[place].values == (truth(table, *place)[index],)
        assert best.ours[0].cells[place].values == (truth(table, *place).max(),)


def test_a_study_of_other_data_fits_no_table(tmp_path):
    table = made_up_table()
    write_run(tmp_path / "a", table)
    for paper in papers():
        found = search_table(paper, studies(table, tmp_path / "a"))
        assert not found.settings
        assert not any(pair.ours for pair in found.pairs)
        assert len(paper_table(found).text.rows) == len(paper.rows)


def test_published_cells_are_marked_and_csv_has_every_cell(tmp_path, table):
    write_finder(tmp_path / "a", table, 0, 5)
    found = search_table(NB201, studies(table, tmp_path / "a"))
    rows = {cells[:2]: cells for cells in paper_table(found).text.rows}
    assert rows["Random search", "published"][4:8] == (
        "90.93 ± 0.36§",
        "93.70 ± 0.36†",
        "70.93 ± 1.09§",
        "71.04 ± 1.07§",
    )
    assert rows["rea\na", "ours: proposal"][4] == f"{100 * truth(table, 'cifar10', 'valid')[5]:.2f}"
    cells = list(csv_rows(found))
    n_published = sum(len(row.figures) for row in NB201.rows)
    assert [row[1] for row in cells].count("published") == n_published
    assert [row[1] for row in cells].count("ours") == 3 * len(NB201.places)
    assert len(SAMPLE) == 200


# --------------------------------------------------------------------------------------------------------------- check


def cell(ours, published, sd=math.nan):
    return Compared(NB201, "x", ("cifar10", "test"), OverSeeds.of(ours), Figure(published, sd, "quoted", "x"), "")


@pytest.mark.parametrize(
    ("ours", "published", "sd", "leaves"),
    [
        ([0.9385], 0.9400, math.nan, False),  # nothing is known of a spread: .15 point
        ([0.9384], 0.9400, math.nan, True),
        ([0.93], 0.94, 0.005, False),  # twice the published one
        ([0.9299], 0.94, 0.005, True),
        ([0.90, 0.94], 0.97, 0.005, False),  # twice ours, .0283
        ([0.90, 0.94], 0.98, 0.005, True),
        ([0.9385], 0.94, 0.0, False),  # never less than .15 point
    ],
)
def test_what_leaves_the_published_spread(ours, published, sd, leaves):
    assert cell(ours, published, sd).leaves is leaves
    assert ("LEAVES" in str(cell(ours, published, sd))) is leaves
    assert cell(ours, published, sd).allowed >= SLACK


def test_another_budget_is_not_compared(tmp_path, table):
    write_finder(tmp_path / "a", table, 0, 5, seconds=20_000.0)
    found = search_table(NB201, studies(table, tmp_path / "a"))
    of_searcher = [one for one in compared(found) if one.label == "rea"]
    assert len(of_searcher) == 6
    assert not any(one.leaves for one in of_searcher)
    *lines, summary = check_lines([found])
    assert sum("not compared: 20,000 simulated s, published 12,000 s" in line for line in lines) == 6
    assert "6 have another budget" in summary
    nats = search_table(NATS, studies(table, tmp_path / "a"))
    assert [one.other_budget for one in compared(nats) if one.label == "rea"] == ["", ""]
    assert replace(of_searcher[0], other_budget="").leaves  # made-up accuracies are far from any published one
