import base64
import csv
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from test_figures import (
    N_ARCH,
    SAMPLE,
    TARGET,
    made_up_diagnostics,
    made_up_table,
    scores,
    small_study,
    write_run,
)

from bench.report import report
from bench.report.about import describe
from bench.report.pictures import PICTURES
from bench.report.results import GENERATOR_SEED, evaluate_study
from bench.report.runs import read_runs
from bench.stats.evaluation import reference_rows
from bench.stats.metrics import kendall_tau_b, regret
from bench.study.records import Curve
from mngnas.errors import UserError
from mngnas.spaces.topology import from_index, to_str

MADE = [picture for picture in PICTURES if picture.name != "ablations"]  # of a study without ablations
VOID = {"meta", "img", "br", "wbr"}


class Page(HTMLParser):
    """Collects what a page refers to, its cells, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.tags, self.cells = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")
        if tag == "wbr":  # a place where a word may be broken is no break
            self.cells[-1] = self.cells[-1].removesuffix("\n")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data + "\n"


@pytest.fixture(scope="session")
def table():
    return made_up_table()


@pytest.fixture(scope="session")
def study(table, tmp_path_factory):
    """Two methods of three seeds on a sample, one with retrained candidates."""
    folder = tmp_path_factory.mktemp("reports") / "study"
    small_study(folder, table, ("spos",))
    for seed in (0, 1, 2):
        sets = {"inherited": scores(table, seed, SAMPLE, 0.03), "retrained": scores(table, seed + 9, SAMPLE[:30])}
        write_run(folder, table, "mngnas", seed, sets=sets, dirty=seed == 1, diagnostics=made_up_diagnostics())
    return folder


@pytest.fixture(scope="session")
def paths(study, table):
    return report(study, table, target=TARGET, resamples=20)


@pytest.fixture(scope="session")
def page(paths):
    return Page(paths.html.read_text())


@pytest.fixture
def one_picture(monkeypatch):
    """For what concerns the text alone."""
    monkeypatch.setattr("bench.report.PICTURES", PICTURES[:1])


def small_report(folder, table, **options):
    return report(folder, table, target=TARGET, resamples=5, **options)


# -------------------------------------------------------------------------------------------------------------- files


def test_everything_is_below_the_study(paths, study):
    assert paths.html == study / "report" / "index.html"
    assert paths.markdown == study / "report" / "report.md"
    names = {path.name for path in paths.figures}
    assert names == {*(f"{p.name}.svg" for p in MADE), *(f"{p.data}.csv" for p in MADE)}
    assert {path.name for path in (study / "report" / "figures").iterdir()} == names
    assert {path.name for path in (study / "report").iterdir()} == {
        "index.html",
        "report.md",
        "results.json",
        "figures",
    }


def test_page_is_well_formed_and_needs_no_other_file(page, paths):
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    images = [reference for reference in page.references if reference.startswith("data:image/svg+xml;base64,")]
    assert len(images) == len(MADE)
    links = set(page.references) - set(images)
    assert links == {f"figures/{picture.data}.csv" for picture in MADE}  # only the numbers, beside the page
    assert "@import" not in paths.html.read_text()
    for picture, image in zip(MADE, images, strict=True):
        svg = base64.b64decode(image.partition(",")[2])
        assert svg == (paths.html.parent / "figures" / f"{picture.name}.svg").read_bytes()


def test_page_names_every_method_and_what_was_measured(page, paths):
    text = paths.html.read_text()
    for name in ("MNGNAS", "SPOS", "MNGNAS, retrained"):
        assert page.cells.count(f"{name}\n") >= 3
    for fact in ("digits (8x8)", "mean digits test accuracy after 5 epochs", "300 of 15,625", "0123abc", "torch 2.0"):
        assert fact in text
    assert "the commit does not say all: mngnas seed 1." in text
    assert "--benchmark made-up --dataset digits --strategy mngnas,spos --seeds 3 --preset tiny --out study" in text
    assert "a sample, n = 30" in text


def test_markdown_has_the_same_tables_and_links_that_exist(page, paths):
    text = paths.markdown.read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.sub(r"\\(.)", r"\1", cell) for line in lines for cell in line.strip("| ").split(" | ")]
    heads = page.tags.count("th")
    assert len(cells) == len(page.cells) + 2 * heads
    for cell in page.cells:
        assert cell.strip().replace("\n", "<br>") in cells
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 2 * len(MADE)
    assert all((paths.markdown.parent / link).is_file() for link in links)


def test_csv_holds_the_numbers_of_the_figures(study, table, paths):
    runs = read_runs(study, table, TARGET)
    results = evaluate_study(runs, resamples=20)
    for picture in MADE:
        numbers = picture.numbers(runs, results)
        with (paths.html.parent / "figures" / f"{picture.data}.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        expected = list(numbers.rows())
        assert tuple(head) == numbers.header
        assert len(rows) == len(expected)
        for row, wanted in zip(rows, expected, strict=True):
            read = [float(cell) if isinstance(value, float) else cell for cell, value in zip(row, wanted, strict=True)]
            assert read == [value if isinstance(value, float) else str(value) for value in wanted]


def test_results_hold_what_the_metrics_give(study, table, paths):
    results = json.loads(paths.results.read_text())
    truth = table.mean(TARGET)
    assert [row["label"] for row in results["rows"]] == ["MNGNAS", "SPOS", "MNGNAS, retrained"]
    assert [row["strategy"] for row in results["rows"]] == ["mngnas", "spos", "mngnas"]
    runs = read_runs(study, table, TARGET)
    for row, method in zip(results["rows"], runs.methods, strict=True):
        direct = [run.run.scores.sets[row["score_set"]] for run in method.seeds]
        for name, function in (("kendall_tau_b", kendall_tau_b), ("regret", regret)):
            values = [function(one.accuracy, truth[one.arch_index]) for one in direct]
            assert row["metrics"][name]["values"] == values
            assert row["metrics"][name]["spread"]["mean"] == pytest.approx(np.mean(values))
    assert results["rows"][2]["metrics"]["best_rank_at_10"]["n"] == [30, 30, 30]
    sample = np.full(N_ARCH, np.nan)
    sample[SAMPLE] = truth[SAMPLE]
    of_seeds = np.where(np.isfinite(sample)[:, None], table.values(TARGET), np.nan)
    costs = table.parameters["digits"], table.flops["digits"]
    rng = np.random.default_rng(GENERATOR_SEED)
    for found, row in zip(
        results["references"], reference_rows(sample, *costs, of_seeds, resamples=20, rng=rng), strict=True
    ):
        assert found["estimates"]["kendall_tau_b"]["value"] == row.estimates["kendall_tau_b"].value
        assert found["estimates"]["spearman_rho"]["ci_low"] == row.estimates["spearman_rho"].ci_low
    (difference,) = results["differences"]
    a, b = (np.array(row["metrics"]["kendall_tau_b"]["values"]) for row in results["rows"][:2])
    assert difference["difference"]["value"] == pytest.approx((a - b).mean())


def test_teachers_are_shown_with_what_the_search_did_not_see(page, paths, table):
    assert "true accuracy, % (not seen by the search)" in paths.html.read_text()
    teachers = json.loads(paths.results.read_text())["teachers"]
    assert [one["arch_index"] for one in teachers] == [7, 1007, 2007, 3007]
    at = page.cells.index(f"{to_str(from_index(1007))}\n")
    accuracy = f"{100 * table.mean(TARGET)[1007]:.2f}\n"
    assert page.cells[at - 3 : at + 4] == [
        *("MNGNAS\nseed 0\n", "1\n", "47.5\n", f"{to_str(from_index(1007))}\n", "1.400\n", accuracy, "47.1\n"),
    ]


def test_picks_are_shown_with_their_truth(page, paths, table):
    text, truth = paths.html.read_text(), table.mean(TARGET)
    assert "the pick never saw the table" in text
    assert f"the best of the whole table (digits {100 * truth.max():.2f} %)" in text
    assert "among the architectures that have a ground truth" not in text  # all have one
    row = json.loads(paths.results.read_text())["picks"][0]
    assert (row["label"], row["score_set"], row["n_better"]) == ("MNGNAS", "inherited", 0)
    assert row["truth"]["digits"]["accuracy"]["values"] == [truth[index] for index in row["arch_index"]]
    accuracy, regret = (row["truth"]["digits"][name]["spread"] for name in ("accuracy", "regret"))
    at = page.cells.index(f"{row['arch_str'][0]}\n")
    low, mean, high = (f"{100 * regret[name]:.2f}".replace("-", "−") for name in ("ci_low", "mean", "ci_high"))
    assert page.cells[at - 2 : at] == ["MNGNAS\n", "inherited\n"]
    assert page.cells[at + 1].splitlines() == [
        f"{100 * accuracy['mean']:.2f}",
        f"seeds {100 * accuracy['ci_low']:.2f} to {100 * accuracy['ci_high']:.2f}",
        f"regret {mean}, {low} to {high}",
    ]


def test_agreement_of_seeds_is_shown(page, paths):
    assert "It needs no ground truth, so it may be used to choose hyper-parameters" in paths.html.read_text()
    found = json.loads(paths.results.read_text())["agreements"]
    assert [row["label"] for row in found] == ["MNGNAS", "SPOS", "MNGNAS, retrained"]
    for row in found:
        means = [f"{np.mean(row[name]):.3f}\n".replace("-", "−") for name in ("by_accuracy", "by_loss")]
        n = row["n"][0]
        expected = [f"{row['label']}\n", f"{row['score_set']}\n", "3\n", f"{n}\n", *means]
        assert expected in [page.cells[at : at + 6] for at in range(len(page.cells))]


@pytest.mark.usefixtures("one_picture")
def test_no_teachers_no_table(table, tmp_path):
    small_study(tmp_path, table, ("spos",), seeds=(0,))
    assert "Teachers" not in small_report(tmp_path, table).html.read_text()


def test_printed_numbers_are_those_of_the_results(page, paths):
    row = json.loads(paths.results.read_text())["rows"][0]
    tau, rank = row["metrics"]["kendall_tau_b"], row["metrics"]["regret"]
    spread, archs = tau["spread"], tau["architectures"]
    lines = (
        f"{spread['mean']:.3f}",
        f"seeds {spread['ci_low']:.3f} to {spread['ci_high']:.3f}",
        f"archs {archs['ci_low']:.3f} to {archs['ci_high']:.3f}",
    )
    assert "\n".join(lines) + "\n" in page.cells
    assert any(cell.startswith(f"{100 * rank['spread']['mean']:.2f}\n") for cell in page.cells)


def test_same_runs_give_the_same_bytes(study, table, paths, tmp_path):
    again = report(study, table, target=TARGET, resamples=20, out=tmp_path / "again")
    first = sorted(path for path in paths.html.parent.rglob("*") if path.is_file())
    second = sorted(path for path in again.html.parent.rglob("*") if path.is_file())
    assert [path.name for path in first] == [path.name for path in second]
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    assert again.summary == paths.summary


def test_summary_has_a_line_for_every_row(paths):
    head, *lines = paths.summary.splitlines()
    assert "mean digits test accuracy after 5 epochs (digits (8x8))" in head
    assert [re.split(r"  +", line)[1] for line in lines] == [
        *("MNGNAS", "SPOS", "MNGNAS, retrained", "parameter count", "FLOPs", "one seed against the others"),
    ]
    assert all("archs" in line for line in lines)


# ------------------------------------------------------------------------------------------------------ other studies


@pytest.mark.usefixtures("one_picture")
def test_one_seed_invents_no_interval_over_seeds(table, tmp_path):
    small_study(tmp_path, table, seeds=(4,))
    paths = small_report(tmp_path, table)
    text = paths.html.read_text()
    assert "seeds n/a (1 seed)" in text
    assert not re.search(r"<small>seeds [−\d]", text.replace("seeds 4", ""))
    assert "1 common seed: two are needed" in text
    assert "Agreement of seeds" not in text
    assert "--seeds 4-4 " in text
    row = json.loads(paths.results.read_text())["rows"][0]
    assert row["metrics"]["kendall_tau_b"]["spread"]["ci_low"] is None


@pytest.mark.usefixtures("one_picture")
def test_partial_table_is_told(tmp_path):
    table = made_up_table(SAMPLE)
    write_run(tmp_path, table)
    text = small_report(tmp_path, table).html.read_text()
    assert "Only 300 of 15,625 architectures have a ground truth" in text
    assert "all, n = 300" in text
    assert "300 of 15,625, with inherited weights" in text
    assert "without that restriction 1 of 1 picks would be others" in text


@pytest.mark.usefixtures("one_picture")
def test_twelve_methods_and_runs_that_diverged(table, tmp_path):
    strategies = [f"method-{number}" for number in range(11)]
    small_study(tmp_path, table, strategies, seeds=(0,))
    dead = scores(table, 1, SAMPLE)
    dead.accuracy[:], dead.loss[:] = 0.1, np.nan
    write_run(tmp_path, table, "diverged", sets={"inherited": dead})
    paths = small_report(tmp_path, table)
    page = Page(paths.html.read_text())
    assert all(f"{name}\n" in page.cells for name in (*strategies, "diverged"))
    assert "n/a\ndefined for 0 of 1 seeds\n" in page.cells
    rows = json.loads(paths.results.read_text())["rows"]
    assert (rows[-1]["label"], rows[-1]["metrics"]["kendall_tau_b"]["spread"]["mean"]) == ("diverged", None)


def test_picture_of_an_earlier_report_does_not_stay(table, tmp_path):
    small_study(tmp_path, table, ("spos",), seeds=(0,))
    first = small_report(tmp_path, table, out=tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "curves.svg") in first.figures
    for file in (tmp_path / "spos-tiny-seed0").iterdir():
        file.unlink()
    (tmp_path / "spos-tiny-seed0").rmdir()
    nothing = Curve(SAMPLE, *np.empty((3, 0)), *np.empty((2, 0, len(SAMPLE))))
    write_run(tmp_path, table, index=SAMPLE, curve=nothing)
    second = small_report(tmp_path, table, out=tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {path.name for path in second.figures}
    assert "curves.svg" not in {path.name for path in second.figures}
    assert "during training" not in second.html.read_text()


MANY = ("fairnas", "mngnas", "mngnas-k1", "mngnas-k2", "mngnas-uniform", "spos")


def test_ablations_have_a_picture_and_fewer_differences_and_teachers(table, tmp_path):
    for name in MANY:
        guided = made_up_diagnostics() if name.startswith("mngnas") else {}
        for seed in (0, 1):
            write_run(tmp_path, table, name, seed, index=SAMPLE, diagnostics=guided)
    paths = small_report(tmp_path, table)
    assert {"ablations.svg", "ablations.csv"} <= {path.name for path in paths.figures}
    text = paths.markdown.read_text()
    assert "Every method against MNGNAS" in text
    assert "not all pairs are listed, but every method against MNGNAS and FairNAS." in text
    assert "Of 4 such methods only MNGNAS; results.json has all." in text
    teachers = text[text.index("## Teachers") : text.index("## Pictures")]
    assert re.findall(r"^\| (MNGNAS.*?)<br>seed 0 \|", teachers, re.MULTILINE) == ["MNGNAS"] * 4
    results = json.loads(paths.results.read_text())
    assert len(results["teachers"]) == 16
    assert len(results["differences"]) == 5 + 4


@pytest.mark.usefixtures("one_picture")
def test_of_many_teachers_without_mngnas_two_methods_are_shown(table, tmp_path):
    guided = MANY[2:5]
    small_study(tmp_path, table, guided, seeds=(0,), diagnostics=made_up_diagnostics())
    text = small_report(tmp_path, table).markdown.read_text()
    assert "Of 3 such methods only MNGNAS k1 and MNGNAS k2; results.json has all." in text
    assert "| MNGNAS uniform<br>seed 0" not in text


@pytest.mark.usefixtures("one_picture")
def test_several_presets_and_devices_are_told_apart(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, table, index=SAMPLE, preset="large", device="NVIDIA made-up", config={"sample": 300})
    about = describe(read_runs(tmp_path, table, TARGET))
    assert about.commands[0].endswith(f"--preset large --out {tmp_path.name} --device cuda")
    assert about.commands[1].endswith(f"--preset tiny --out {tmp_path.name}")
    assert any("2 devices" in warning for warning in about.warnings)
    page = Page(small_report(tmp_path, table).html.read_text())
    assert {"SPOS (large)\n", "SPOS (tiny)\n"} <= set(page.cells)


@pytest.mark.usefixtures("one_picture")
def test_text_of_records_is_escaped(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE, images="<b>8|8</b> & *more*", device='cpu <script>"x"</script> | 1')
    paths = small_report(tmp_path, table)
    page = Page(paths.html.read_text())
    assert page.open == []
    assert not {"b", "script"} & set(page.tags)
    assert r"\<b>8\|8\</b> & \*more\*" in paths.markdown.read_text()


def test_refusals_leave_nothing_behind(table, tmp_path):
    with pytest.raises(UserError, match="there is no study directory"):
        small_report(tmp_path / "nowhere", table)
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, table, seed=1, index=SAMPLE, protocol=2)
    with pytest.raises(UserError, match="mixes runs of 2 protocol values"):
        small_report(tmp_path, table)
    with pytest.raises(UserError, match="mixes"):
        small_report(tmp_path, made_up_table(SAMPLE))
    assert not (tmp_path / "report").exists()


def test_output_that_cannot_be_written_is_one_line(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report to"):
        small_report(tmp_path, table, out=tmp_path / "file")


def test_nothing_undefined_is_printed_as_nan(paths):
    for path in (paths.html, paths.markdown, paths.results):
        text = re.sub(r"base64,[^\"]+", "", path.read_text())
        assert not re.search(r"\bnan\b|\binf\b", text, re.IGNORECASE)
    assert math.isfinite(json.loads(paths.results.read_text())["about"]["best_true"])
