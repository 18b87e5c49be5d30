"""The whole report: files, page, Markdown, results.json, words; and how a topic is added."""

import base64
import csv
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import bench.report
from bench.report import report
from bench.report.page import Folded, Heading, Paragraph, Section, pictures_in, to_html, to_markdown
from bench.report.sections import SECTIONS
from bench.report.sections.settings import about
from bench.stats.metrics import kendall_tau_b, regret
from bench.study.preset import PROTOCOL
from bench.study.scores import Scores
from mngnas.errors import UserError
from mngnas.methods.registry import methods
from mngnas.spaces.topology import TOPOLOGY
from tests.report.made_up import (
    SAMPLE,
    TARGET,
    VARIANTS,
    made_up_diary,
    made_up_table,
    read,
    scores,
    small_study,
    with_loss,
    write_run,
    write_searcher,
)

ROOT = Path(bench.report.__file__).resolve().parents[2]
COMPARISON = ("picks", "tau-by-cost", "bias", "scatter")
PICTURES = ("tau", "accuracy", "ranks", "best-scored", "curves", "diary-how-much-each-counts", *COMPARISON)
TABLES = ("tau", "architectures", "best-scored", "curves", "diary-how-much-each-counts", *COMPARISON)
VOID = {"meta", "img", "br", "wbr"}


class Page(HTMLParser):
    """Collects what a page refers to, its cells, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.tags, self.cells, self.heads = [], [], [], [], []
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
        if {"h1", "h2", "summary"} & set(self.open):
            self.heads.append(data)


@pytest.fixture(scope="session")
def paths(some_folder, table):
    return report(some_folder, table, target=TARGET, resamples=20)


@pytest.fixture(scope="session")
def page(paths):
    return Page(paths.html.read_text())


@pytest.fixture(scope="session")
def results(paths):
    return json.loads(paths.results.read_text())


def small_report(folder, table, **options):
    return report(folder, table, target=TARGET, resamples=5, **options)


# -------------------------------------------------------------------------------------------------------------- files


def test_everything_is_below_the_study(paths, some_folder):
    folder = some_folder / "report"
    assert (paths.html, paths.markdown) == (folder / "index.html", folder / "report.md")
    names = {path.name for path in paths.figures}
    assert names == {*(f"{name}.svg" for name in PICTURES), *(f"{name}.csv" for name in TABLES)}
    assert {path.name for path in (folder / "figures").iterdir()} == names
    assert {path.name for path in folder.iterdir()} == {"index.html", "report.md", "results.json", "figures"}


def test_page_is_well_formed_and_needs_no_other_file(page, paths):
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    images = [reference for reference in page.references if reference.startswith("data:image/svg+xml;base64,")]
    assert len(images) == len(PICTURES)
    links = set(page.references) - set(images)
    assert links == {f"figures/{name}.csv" for name in TABLES}  # only the numbers, beside the page
    assert "@import" not in paths.html.read_text()
    stored = {(paths.html.parent / "figures" / f"{name}.svg").read_bytes() for name in PICTURES}
    assert {base64.b64decode(image.partition(",")[2]) for image in images} == stored


def test_results_come_first_and_settings_last(page, paths, results):
    text = paths.html.read_text()
    places = [
        text.index(part) for part in ("<h1>", '<p class="lead">', 'class="warning"', "<table>", "<figure", "<dl>")
    ]
    assert places == sorted(places)
    assert page.heads[1] == "How well each method ranks"
    assert page.heads[-1] == "Settings"
    assert text.index("<details>") < text.index("<dl>")
    assert text.count("<details>") == text.count("</details>") == 2  # two rankings against each other are folded too
    assert [section.name for section in SECTIONS][-1] == "settings"
    markdown = paths.markdown.read_text()
    assert markdown.splitlines()[2].startswith("**Of 2 methods Guided ranks best with")
    assert re.findall("^## (.*)", markdown, re.MULTILINE)[-1] == "Settings"
    lead = results["opening"]["sentence"]
    assert f'<p class="lead">{lead}</p>' in text


def test_page_names_every_method_and_what_was_measured(page, paths):
    text = paths.html.read_text()
    for name in ("Guided", "Plain", "Guided, retrained"):
        assert page.cells.count(f"{name}\n") >= 3
    for fact in ("digits (8x8)", "mean digits test accuracy after 5 epochs", "300 of 15,625", "0123abc", "torch 2.0"):
        assert fact in text
    assert "the commit does not say all: guided seed 1." in text
    assert "a sample, n = 30" in text
    assert "Someone 2020" in text


def test_markdown_has_the_same_tables_and_links_that_exist(page, paths):
    text = paths.markdown.read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [re.sub(r"\\(.)", r"\1", cell).strip() for line in lines for cell in line[1:-1].split(" | ")]
    assert len(cells) == len(page.cells) + 2 * page.tags.count("th")
    for cell in page.cells:
        assert cell.strip().replace("\n", "<br>") in cells
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 2 * len(PICTURES)
    assert all((paths.markdown.parent / link).is_file() for link in links)


def test_csv_holds_the_numbers_of_the_figures(some_folder, table, paths):
    study = read(some_folder, table, resamples=20)
    tables = {}
    for section in SECTIONS:
        numbers = study.once(section.numbers)
        for picture in pictures_in(section.blocks(numbers) if numbers is not None else ()):
            tables[picture.csv.name] = picture.csv
    assert set(tables) == set(TABLES)
    for name, found in tables.items():
        with (paths.html.parent / "figures" / f"{name}.csv").open(newline="") as file:
            head, *rows = csv.reader(file)
        expected = list(found.rows())
        assert (tuple(head), len(rows)) == (found.header, len(expected))
        for row, wanted in zip(rows, expected, strict=True):
            pairs = zip(row, wanted, strict=True)
            assert all(
                float(cell) == value if isinstance(value, float) else cell == str(value) for cell, value in pairs
            )


def test_results_hold_what_the_metrics_give(some_folder, table, results):
    truth = table.mean(TARGET)
    rows = results["rankings"]["rows"]
    assert (results["format"], results["generator_seed"], results["resamples"]) == (2, 0, 20)
    assert [row["label"] for row in rows] == ["Guided", "Plain", "Guided, retrained"]
    assert [row["strategy"] for row in rows] == ["guided", "plain", "guided"]
    for row, top, method in zip(rows, results["tops"]["rows"], read(some_folder, table).methods, strict=True):
        direct = [scored.run.scores.rankings[row["scores"]] for scored in method.seeds]
        for name, function, where in (("kendall_tau_b", kendall_tau_b, row), ("regret", regret, top)):
            values = [function(one.score, truth[one.arch_index]) for one in direct]
            assert where["metrics"][name]["values"] == values
            assert where["metrics"][name]["spread"]["mean"] == pytest.approx(np.mean(values))
        assert set(row["metrics"]["kendall_tau_b"]["architectures"]) >= {"value", "ci_low", "ci_high", "n"}
        assert row["seeds"] == [0, 1, 2]
    for one in results["references"]["rows"]:
        assert set(one["estimates"]["kendall_tau_b"]) >= {"value", "ci_low", "ci_high", "n"}
    assert results["references"]["rows"][0]["label"] == "parameter count"
    assert set(results["clouds"]["clouds"][0]) >= {"label", "tau"}
    assert "predicted" not in results["clouds"]["clouds"][0]  # arrays are in the CSV


def test_printed_numbers_are_those_of_the_results(page, results):
    tau, rank = results["rankings"]["rows"][0]["metrics"]["kendall_tau_b"], results["tops"]["rows"][0]["metrics"]
    spread, archs = tau["spread"], tau["architectures"]
    lines = (
        f"{spread['mean']:.3f}",
        f"seeds {spread['ci_low']:.3f} to {spread['ci_high']:.3f}",
        f"archs {archs['ci_low']:.3f} to {archs['ci_high']:.3f}",
    )
    assert "\n".join(lines) + "\n" in page.cells
    assert any(cell.startswith(f"{100 * rank['regret']['spread']['mean']:.2f}\n") for cell in page.cells)


def test_same_runs_give_the_same_bytes(some_folder, table, paths, tmp_path):
    again = report(some_folder, table, target=TARGET, resamples=20, out=tmp_path / "again")
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
        *("Guided", "Plain", "Guided, retrained", "parameter count", "FLOPs", "one seed against the others"),
    ]
    assert all("archs" in line for line in lines)


def test_nothing_undefined_is_printed_as_nan(paths):
    for path in (paths.html, paths.markdown, paths.results):
        text = re.sub(r"base64,[^\"]+", "", path.read_text())
        assert not re.search(r"\bnan\b|\binf\b", text, re.IGNORECASE)


# ------------------------------------------------------------------------------------------------------- single topics


def test_picks_are_shown_with_their_truth(page, paths, table, results):
    text, truth = paths.html.read_text(), table.mean(TARGET)
    assert "Scores never saw the table" in text
    assert f"the best of the whole table (digits {100 * truth.max():.2f} %)" in text
    assert "among the architectures that have a ground truth" not in text  # all have one
    row = results["picks"]["rows"][0]
    assert (row["label"], row["scores"], row["n_better"]) == ("Guided", "inherited", 0)
    assert row["truth"]["digits"]["accuracy"]["values"] == [truth[index] for index in row["arch_index"]]
    accuracy, regret_ = (row["truth"]["digits"][name]["spread"] for name in ("accuracy", "regret"))
    at = page.cells.index(f"{row['arch_str'][0]}\n")
    low, mean, high = (f"{100 * regret_[name]:.2f}".replace("-", "−") for name in ("ci_low", "mean", "ci_high"))
    assert page.cells[at - 2 : at] == ["Guided\n", "inherited\n"]
    assert page.cells[at + 1].splitlines() == [
        f"{100 * accuracy['mean']:.2f}",
        f"seeds {100 * accuracy['ci_low']:.2f} to {100 * accuracy['ci_high']:.2f}",
        f"regret {mean}, {low} to {high}",
    ]


def test_diary_tables_show_what_the_search_did_not_see(page, table, results):
    at = page.cells.index(f"{TOPOLOGY.to_str(TOPOLOGY.from_index(1007))}\n")
    accuracy = f"{100 * table.mean(TARGET)[1007]:.2f}\n"
    assert page.cells[at - 3 : at] == ["Guided\nseed 0\n", "1\n", "47.5\n"]
    assert page.cells[at + 1 : at + 3] == [accuracy, "n/a\n"]
    assert results["diary"]["tables"][0]["rows"][1][-1] is None


def test_agreement_of_seeds_is_shown(page, paths, results):
    assert "It needs no ground truth, so it may be used to choose hyper-parameters" in paths.html.read_text()
    found = results["agreement"]["rows"]
    assert [row["label"] for row in found] == ["Guided", "Plain", "Guided, retrained"]
    for row in found:
        means = [f"{np.mean(row['taus'][name]):.3f}\n".replace("-", "−") for name in ("accuracy", "minus_loss")]
        expected = [f"{row['label']}\n", f"{row['scores']}\n", "3\n", f"{row['n'][0]}\n", *means]
        assert expected in [page.cells[at : at + 6] for at in range(len(page.cells))]


@pytest.mark.usefixtures("no_pictures")
def test_searchers_and_training_free_methods_stand_in_every_topic(table, tmp_path):
    small_study(tmp_path, table, ("plain",))
    for seed in (0, 1, 2):
        values = 40 * scores(table, seed + 5, SAMPLE, 0.1).score
        values[:4] = np.nan
        write_run(tmp_path, table, "counter", seed, rankings={"score": Scores(SAMPLE, {"score": values})}, curve=False)
        write_searcher(tmp_path, seed, table)
    paths = small_report(tmp_path, table)
    page, text = Page(paths.html.read_text()), paths.markdown.read_text()
    found = json.loads(paths.results.read_text())
    assert [row["label"] for row in found["rankings"]["rows"]] == ["Plain", "Counter"]
    assert "score\na sample, n = 300\n4 not finite\n" in page.cells
    assert "The score is the accuracy (Plain); score (Counter); “by loss” takes minus the loss" in text
    assert page.cells.count("Finder *\n") == 2  # what it proposes, and what it cost
    assert text.count("was allowed to ask the ground truth") == 2
    assert "proposal\n" in page.cells
    costs = {row["label"]: row for row in found["costs"]["rows"]}
    assert costs["Finder"]["queries"]["values"] == [30, 30, 30]
    assert found["trace"]["methods"][0]["queries"] == [30, 30, 30]
    assert (tmp_path / "report" / "figures" / "trace.csv").exists()


@pytest.mark.usefixtures("no_pictures")
def test_searchers_alone_have_a_report(table, tmp_path):
    write_searcher(tmp_path, table=table)
    paths = small_report(tmp_path, table)
    text = paths.markdown.read_text()
    assert text.splitlines()[2].startswith("**No method of this study gives a ranking")
    assert {"rankings", "differences", "clouds", "reading"}.isdisjoint(json.loads(paths.results.read_text()))
    *_, heading, line = paths.summary.splitlines()
    assert heading == "True accuracy of what each search has found"
    assert re.fullmatch(r"  Finder +\d\d\.\d\d % \(1 seed\)", line)


@pytest.mark.usefixtures("no_pictures")
def test_many_variants_have_a_topic_fewer_differences_and_fewer_tables(table, tmp_path):
    small_study(tmp_path, table, ("fair", "guided", "plain"), (0, 1), VARIANTS, diary=made_up_diary())
    paths = small_report(tmp_path, table)
    assert {"variants.svg", "variants.csv"} <= {path.name for path in paths.figures}
    text, found = paths.markdown.read_text(), json.loads(paths.results.read_text())
    assert "### Every method against Guided\n" in text
    assert "not all pairs are listed, but every method against Guided and Fair." in text
    assert "Of 6 such methods only Fair and Guided; results.json has all." in text
    assert (len(found["diary"]["tables"]), len(found["differences"]["pairs"])) == (6, 5 + 4)


# ------------------------------------------------------------------------------------------------------ other studies


@pytest.mark.usefixtures("no_pictures")
def test_one_seed_invents_no_interval_over_seeds(table, tmp_path):
    small_study(tmp_path, table, seeds=(4,))
    paths = small_report(tmp_path, table)
    text = paths.html.read_text()
    assert "seeds n/a (1 seed)" in text
    assert not re.search(r"<small>seeds [−\d]", text.replace("seeds 4", ""))
    assert "1 common seed: two are needed" in text
    assert "Agreement of seeds" not in text
    row = json.loads(paths.results.read_text())["rankings"]["rows"][0]
    assert row["metrics"]["kendall_tau_b"]["spread"]["ci_low"] is None


@pytest.mark.usefixtures("no_pictures")
def test_partial_table_is_told(tmp_path):
    table = made_up_table(SAMPLE)
    write_run(tmp_path, table)
    text = small_report(tmp_path, table).html.read_text()
    assert "Only 300 of 15,625 architectures have a ground truth" in text
    assert "all, n = 300" in text
    assert "without that restriction 1 of 1 picks would be others" in text


@pytest.mark.usefixtures("no_pictures")
def test_twelve_methods_and_runs_that_diverged(table, tmp_path):
    names = [f"method-{number}" for number in range(11)]
    small_study(tmp_path, table, names, seeds=(0,))
    dead = with_loss(SAMPLE, np.full(300, 0.1), np.full(300, np.nan))
    write_run(tmp_path, table, "diverged", rankings={"inherited": dead})
    paths = small_report(tmp_path, table)
    page = Page(paths.html.read_text())
    assert all(f"{name}\n" in page.cells for name in (*names, "diverged"))
    assert "n/a\ndefined for 0 of 1 seeds\n" in page.cells
    rows = json.loads(paths.results.read_text())["rankings"]["rows"]
    assert (rows[-1]["label"], rows[-1]["metrics"]["kendall_tau_b"]["spread"]["mean"]) == ("diverged", None)


@pytest.mark.usefixtures("no_pictures")
def test_picture_of_an_earlier_report_does_not_stay(table, tmp_path):
    small_study(tmp_path / "a", table, ("plain",), seeds=(0,))
    first = small_report(tmp_path / "a", table, out=tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "curves.svg") in first.figures
    write_run(tmp_path / "b", table, index=SAMPLE, curve=False)
    second = small_report(tmp_path / "b", table, out=tmp_path / "out")
    names = {path.name for path in second.figures}
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == names
    assert not {"curves.svg", "curves.csv"} & names
    assert "during training" not in second.html.read_text()


@pytest.mark.usefixtures("no_pictures")
def test_several_presets_and_devices_are_told_apart(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    write_run(tmp_path, table, index=SAMPLE, preset="large", device="NVIDIA made-up", config={"sample": 300})
    page = Page(text := small_report(tmp_path, table).html.read_text())
    assert {"Plain (large)\n", "Plain (tiny)\n"} <= set(page.cells)
    assert "2 devices" in text


def test_settings_say_what_is_shared_once_and_of_a_variant_what_differs(table, tmp_path):
    training, guided = {"passes": 200, "clip": 5.0}, {"rounds": 3, "pool": 4}
    for changes in ({"rounds": 9}, {}):  # the unchanged one comes first, whenever it was made
        config = {"training": training, "guided": guided | changes}
        write_run(tmp_path, table, "guided", index=SAMPLE, changes=changes, config=config)
    write_run(tmp_path, table, "plain", index=SAMPLE, config={"training": training, "plain": {}})
    assert about(read(tmp_path, table)).settings == (
        "training: passes 200, clip 5.0",
        "guided\nguided: rounds 3, pool 4",
        "guided[rounds=9] as guided, but guided: rounds 9",
    )
    write_run(tmp_path, table, "plain", index=SAMPLE, preset="large", config={"training": training | {"passes": 400}})
    again = [text for text in about(read(tmp_path, table)).settings if text.startswith("plain as plain")]
    assert again in (["plain as plain, but training: passes 200"], ["plain as plain, but training: passes 400"])


@pytest.mark.parametrize("protocol", [PROTOCOL, PROTOCOL - 1])
def test_commands_replay_the_study_with_the_sources_that_made_it(protocol, table, tmp_path):
    folder = tmp_path / "a study"
    write_run(folder, table, index=SAMPLE, protocol=protocol)
    commands = about(read(folder, table)).commands
    if protocol == PROTOCOL:
        assert commands == (f"python run_bench.py run --like '{folder}' --out '{folder}-again'",)
    else:
        why = f"# protocol {protocol}, made by an older version of this project"
        assert commands == (f"git checkout 0123abc  {why}",)
        (folder / "study.json").write_text(json.dumps({"made_by": ["python run_bench.py run --old"]}))
        assert about(read(folder, table)).commands == (f"git checkout 0123abc  {why}", "python run_bench.py run --old")
        (folder / "study.json").write_text("{}")
        assert about(read(folder, table)).commands == (
            f"cp -r '{folder}' '../a study'",
            f"git checkout 0123abc  {why}",
            "python run_bench.py run --like '../a study' --out '../a study-again'",
        )


@pytest.mark.usefixtures("no_pictures")
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
    assert not (tmp_path / "report").exists()


def test_output_that_cannot_be_written_is_one_line(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the report to"):
        small_report(tmp_path, table, out=tmp_path / "file")


# ------------------------------------------------------------------------------------------------------- the structure


def test_a_topic_is_one_file_and_one_line_of_the_list(table, tmp_path, monkeypatch):
    """As the docstring of `bench.report.sections` says, with a file that a newcomer might write."""
    (tmp_path / "luck.py").write_text(LUCK)
    monkeypatch.syspath_prepend(tmp_path)
    import luck

    monkeypatch.setattr("bench.report.SECTIONS", (*SECTIONS[:-1], luck.SECTION, SECTIONS[-1]))
    write_run(tmp_path / "study", table, index=SAMPLE)
    paths = small_report(tmp_path / "study", table)
    page = Page(paths.html.read_text())
    assert page.heads[-2:] == ["Luck", "Settings"]
    assert page.cells[-2:] == ["Plain\n", "0.500\n"]
    assert "## Luck\n" in paths.markdown.read_text()
    assert "### Luck, drawn\n" in paths.markdown.read_text()
    assert json.loads(paths.results.read_text())["luck"] == {"by_label": {"Plain": 0.5}}
    assert (paths.html.parent / "figures" / "luck.csv").read_text() == "method,luck\nPlain,0.5\n"
    assert b"<svg" in (paths.html.parent / "figures" / "luck.svg").read_bytes()


LUCK = '''
"""How lucky each method was."""

from dataclasses import dataclass
from functools import partial

from bench.report.look import panels
from bench.report.page import Csv, Heading, Picture, Section, TextTable
from bench.report.text import number


@dataclass(frozen=True)
class Luck:
    by_label: dict[str, float]


def luck(study):
    return Luck({method.label: 0.5 for method in study.methods})


def blocks(numbers):
    rows = tuple((label, number(value)) for label, value in numbers.by_label.items())
    csv = Csv("luck", ("method", "luck"), numbers.by_label.items)
    picture = Picture("luck", "Luck, drawn", partial(draw, numbers), "A bar a method.", csv)
    return [Heading("Luck"), TextTable(("method", "luck"), rows), picture]


def draw(numbers):
    figure, (ax,) = panels(1, 1, (3, 2))
    ax.bar(list(numbers.by_label), list(numbers.by_label.values()))
    return figure


SECTION = Section("luck", luck, blocks)
'''


def test_a_topic_without_numbers_is_left_out(full):
    @dataclass(frozen=True)
    class Nothing:
        pass

    section = Section[Nothing]("nothing", lambda _study: None, lambda _numbers: [Heading("never")])
    assert full.once(section.numbers) is None
    names = [one.name for one in SECTIONS]
    assert len(set(names)) == len(names)


def test_folded_blocks_are_details_in_html_and_a_heading_in_markdown():
    blocks = [Folded("More <of> it", (Paragraph("one"), Paragraph("two", "warning")))]
    assert '<summary>More &lt;of&gt; it</summary>\n<p>one</p>\n<p class="warning">two</p>\n</details>' in to_html(
        "t", blocks, {}
    )
    assert to_markdown("t", blocks) == "# t\n\n## More <of> it\n\none\n\n> **Note.** two\n"


def test_no_method_is_named_in_the_report():
    infos = [entry.info for entry in methods().values() if entry.info.paper != "closed form"]
    known = {name.lower() for info in infos for name in (info.name, info.label)} - {"plain", "close"}  # plain words
    assert known
    for path in sorted((ROOT / "bench" / "report").rglob("*.py")):
        text = path.read_text().lower().replace("mngnas.", "")  # the package's own name
        named = [name for name in known if re.search(rf"\b{re.escape(name)}\b", text)]
        assert not named, (path, named)


def test_matplotlib_and_torch_are_not_imported_before_something_is_drawn():
    code = "import sys, bench.report; print([m for m in ('matplotlib', 'torch', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_whole_report_needs_no_torch(table, tmp_path):
    write_run(tmp_path, table, index=SAMPLE)
    code = (
        "import sys; from pathlib import Path; from bench.report import report\n"
        "from tests.report.made_up import TARGET, made_up_table\n"
        f"report(Path({str(tmp_path)!r}), made_up_table(), target=TARGET, resamples=2); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
