"""The report of a study: one HTML page that needs no other file, the same in Markdown, pictures and their numbers."""

import base64
import csv
import html
import io
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import numpy as np

from bench.evaluation import ReferenceRow
from bench.figures import (
    GENERATOR_SEED,
    Difference,
    FigureNumbers,
    OverSeeds,
    ResultRow,
    Results,
    StudyRuns,
    evaluate_study,
    read_runs,
)
from bench.intervals import Estimate
from bench.plots import PICTURES, to_svg
from bench.records import RunRecord, write_atomically
from bench.tables.table import Measure, Table
from mngnas.errors import UserError
from mngnas.space import N_ARCH

FORMAT = 1  # of results.json
NOT_KNOWN = "n/a"


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report."""

    html: Path
    markdown: Path
    results: Path
    figures: tuple[Path, ...]  # pictures and CSVs
    summary: str  # a few lines for a terminal


def report(
    study: Path, table: Table, *, target: Measure, resamples: int = 1000, out: Path | None = None
) -> ReportPaths:
    """Evaluate the finished runs below `study` against `target` of the table and write the report to `out`.

    `out` is `study / "report"` if it is not given. Files of an earlier report there are replaced. The same runs give
    the same bytes. Raises `UserError` for runs that cannot stand in one table, see `bench.figures.read_runs`.
    """
    out = study / "report" if out is None else out
    runs = read_runs(study, table, target)
    results = evaluate_study(runs, resamples)
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror or error}") from error
    pictures, files = _draw(runs, results, out / "figures")
    about = describe(runs)
    blocks = [*_opening(about), *_tables(results), *pictures, *_reading(results)]
    title = f"Ranking correlation on {about.benchmark}, {about.dataset}"
    paths = ReportPaths(
        out / "index.html", out / "report.md", out / "results.json", tuple(files), _summary(about, results)
    )
    write_atomically(paths.html, to_html(title, blocks).encode())
    write_atomically(paths.markdown, to_markdown(title, blocks).encode())
    write_atomically(paths.results, (json.dumps(_results_json(about, results), indent=1) + "\n").encode())
    return paths


def _summary(about: "About", results: Results) -> str:
    """Tau-b of every method and reference row, a line each."""
    lines = [(row.label, _over_seeds(row.metrics["kendall_tau_b"], show_n=True)) for row in results.rows]
    lines += [(row.label, _estimate(row.estimates["kendall_tau_b"])) for row in results.references]
    width = max(len(label) for label, _ in lines)
    return "\n".join(
        [
            f"Kendall tau-b, one-shot accuracy against {about.target} ({about.images})",
            *(f"  {label:<{width}}  {text}".replace("\n", "; ") for label, text in lines),
        ]
    )


# ------------------------------------------------------------------------------------------------------ what was done


@dataclass(frozen=True)
class About:
    """What was measured and with what."""

    benchmark: str
    dataset: str
    images: str
    target: str
    search_space: str
    n_scored: tuple[int, int]  # architectures with inherited scores and a ground truth: fewest and most of the runs
    n_known: int  # architectures with a ground truth
    best_true: float
    presets: tuple[str, ...]
    protocol: int
    devices: tuple[str, ...]
    versions: tuple[str, ...]
    commits: tuple[str, ...]
    dirty_runs: tuple[str, ...]
    table_checksum: str
    started: tuple[str, str]  # the first and the last run
    commands: tuple[str, ...]
    settings: tuple[str, ...]
    warnings: tuple[str, ...]


def describe(study: StudyRuns) -> About:
    """Everything that a reader needs to know before the numbers."""
    records = [run.record for run in study.runs]
    first = records[0]
    sizes = [len(s.true) for m in study.methods for s in m.seeds if m.score_set == "inherited"] or [0]
    commits = _different(record.commit for record in records)
    devices = _different(record.device for record in records)
    dirty_seeds: dict[str, list[str]] = {}
    for record in records:
        if record.dirty:
            dirty_seeds.setdefault(record.strategy, []).append(str(record.seed))
    dirty = tuple(f"{strategy} seed {', '.join(seeds)}" for strategy, seeds in dirty_seeds.items())
    n_known = int(np.isfinite(study.truth).sum())
    warnings = []
    if dirty:
        warnings.append(f"Made with uncommitted changes, so the commit does not say all: {'; '.join(dirty)}.")
    if len(commits) > 1:
        warnings.append(f"The runs come from {len(commits)} commits.")
    if len(devices) > 1:
        warnings.append(f"The runs come from {len(devices)} devices: their seconds cannot be compared.")
    if len({frozenset(s.seed for s in method.seeds) for method in study.methods}) > 1:
        warnings.append("The methods have different seeds; see the tables.")
    if n_known < N_ARCH:
        warnings.append(f"Only {n_known:,} of {N_ARCH:,} architectures have a ground truth; the others are left out.")
    if min(sizes) < n_known:
        warnings.append("Not all architectures with a ground truth were scored: the numbers are those of a sample.")
    return About(
        *(first.benchmark, first.dataset, first.images, f"mean {study.target}", study.table.search_space),
        n_scored=(min(sizes), max(sizes)),
        n_known=n_known,
        best_true=float(np.nanmax(study.truth)),
        presets=_different(record.preset for record in records),
        protocol=first.protocol,
        devices=devices,
        versions=_different(
            f"{name} {version}" for record in records for name, version in sorted(record.versions.items())
        ),
        commits=commits,
        dirty_runs=dirty,
        table_checksum=first.table_checksum,
        started=(min(record.started for record in records), max(record.started for record in records)),
        commands=tuple(_commands(study.directory, records)),
        settings=tuple(_settings(records)),
        warnings=tuple(warnings),
    )


def _different(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _commands(directory: Path, records: Sequence[RunRecord]) -> list[str]:
    """One command for all strategies with the same preset, device and seeds."""
    seeds: dict[tuple[str, bool, str], set[int]] = {}
    for record in records:
        on_cpu = record.device.startswith("cpu")
        seeds.setdefault((record.preset, on_cpu, record.strategy), set()).add(record.seed)
    strategies: dict[tuple[str, bool, tuple[int, ...]], list[str]] = {}
    for (preset, on_cpu, strategy), of_strategy in seeds.items():
        strategies.setdefault((preset, on_cpu, tuple(sorted(of_strategy))), []).append(strategy)
    where = directory.name if directory.is_absolute() else directory.as_posix()
    commands = []
    for (preset, on_cpu, numbers), names in strategies.items():
        count = max(numbers) + 1
        words = ["python", "run_bench.py", "run", "--benchmark", records[0].benchmark, "--dataset", records[0].dataset]
        words += ["--strategy", ",".join(names), "--seeds", str(count), "--preset", preset, "--out", where]
        words += [] if on_cpu else ["--device", "cuda"]
        kept = "" if len(numbers) == count else f"  # of these seeds here: {', '.join(map(str, numbers))}"
        commands.append(shlex.join(words) + kept)
    return commands


def _settings(records: Sequence[RunRecord]) -> list[str]:
    """Each different set of settings, a line a section, with the strategies that it belongs to."""
    whose: dict[str, list[str]] = {}
    for record in records:
        whose.setdefault("\n".join(_setting(*item) for item in sorted(record.config.items())), []).append(
            record.strategy
        )
    return [f"{', '.join(_different(names))}\n{text}" if len(whose) > 1 else text for text, names in whose.items()]


def _setting(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"{name}: " + ", ".join(f"{key} {json.dumps(one)}" for key, one in value.items())
    return f"{name}: {value if isinstance(value, str) else json.dumps(value)}"


# ------------------------------------------------------------------------------------------------------------- blocks


@dataclass(frozen=True)
class Heading:
    """A heading below the title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """Cells of text; lines of a cell after the first are small print."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Drawing:
    """A picture with its caption."""

    title: str
    name: str
    svg: bytes
    caption: str
    data: str  # name of the CSV


Block = Heading | Paragraph | Facts | Code | TextTable | Drawing


def _draw(study: StudyRuns, results: Results, folder: Path) -> tuple[list[Block], list[Path]]:
    """Write every picture and its CSV; a study that has nothing for a picture loses the one of an earlier report."""
    blocks: list[Block] = [Heading("Pictures")]
    numbers: dict[str, FigureNumbers | None] = {}
    written = []
    for picture in PICTURES:
        image, data = folder / f"{picture.name}.svg", folder / f"{picture.data}.csv"
        if picture.data not in numbers:
            numbers[picture.data] = picture.numbers(study, results)
        if (found := numbers[picture.data]) is None:
            image.unlink(missing_ok=True)
            data.unlink(missing_ok=True)
            continue
        svg = to_svg(picture, found)
        write_atomically(image, svg)
        written.append(image)
        if data not in written:
            write_atomically(data, _csv(found))
            written.append(data)
        blocks.append(Drawing(picture.title, picture.name, svg, picture.caption(found), picture.data))
    return blocks, written


def _csv(numbers: FigureNumbers) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(numbers.header)
    writer.writerows(numbers.rows())
    return out.getvalue().encode()


def _opening(about: About) -> list[Block]:
    few, many = about.n_scored
    count = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    scored = f"all {many:,}" if few == N_ARCH else f"{count} of {N_ARCH:,}"
    facts = (
        ("images", about.images),
        ("benchmark", f"{about.benchmark}, data set {about.dataset}, search space {about.search_space}"),
        ("target", f"{about.target}; the best architecture has {_percent(about.best_true)} %"),
        ("architectures scored", f"{scored}, with inherited weights"),
        ("preset", ", ".join(about.presets)),
        ("protocol version", str(about.protocol)),
        ("device", "; ".join(about.devices)),
        ("versions", ", ".join(about.versions)),
        ("commit", ", ".join(about.commits) + (" with uncommitted changes" if about.dirty_runs else "")),
        ("table checksum", about.table_checksum),
        ("runs started", " to ".join(_different(about.started))),
        ("settings", "\n".join(about.settings)),
    )
    warnings = [Paragraph(text, is_warning=True) for text in about.warnings]
    return [Facts(facts), *warnings, Paragraph("To make the runs again:"), Code(about.commands)]


# ------------------------------------------------------------------------------------------------------------- tables


def _tables(results: Results) -> list[Block]:
    """The tables, each with what it means."""
    rows = results.rows
    return [
        Heading("How well each method ranks"),
        TextTable(
            (
                *("method", "scores", "seeds", "Kendall tau-b", "Spearman rho", "tau-b, connected only"),
                *("tau-b by loss", "parameter count’s tau-b here"),
            ),
            tuple(map(_ranking_row, rows)),
        ),
        Paragraph(
            f"Means over seeds. “seeds”: 95 % t-interval of the mean over supernet seeds; “archs”: 95 % bootstrap "
            f"interval of the same mean over architectures ({results.resamples:,} resamples, generator seed "
            f"{GENERATOR_SEED}). The score is the one-shot accuracy; “by loss” takes minus the loss, which ties less. "
            "The last column is the parameter count’s tau-b over the very architectures of the row."
        ),
        Heading("Reference rows: no supernet needed"),
        TextTable(
            ("predictor", "architectures", "Kendall tau-b", "Spearman rho"),
            tuple(map(_reference_row, results.references)),
        ),
        Paragraph(
            "Computed from the table over the architectures that all runs scored. A method below the parameter count "
            "tells less than counting does. The ceiling is what training every architecture once more would give. "
            "Intervals are over architectures."
        ),
        Heading("At the top, where a search looks"),
        TextTable(
            (
                *("method", "scores", "tau-b, true top 10\u00a0%", "tau-b, true top 1\u00a0%", "P@top 5\u00a0%"),
                *("best true rank of the top 10", "regret, percent points", "accuracy of the best, %"),
            ),
            tuple(map(_top_row, rows)),
        ),
        Paragraph(
            "Tops, ranks and regret are among the architectures that the row is computed from, so those of a sample "
            "cannot be compared with those of all. P@top 5 %: the share of the predicted top 5 % that is in the true "
            "top 5 %; random choice gives 0.05. Best true rank: of the ten highest scores, 1 = the best. Regret: the "
            "best true accuracy minus that of the highest score, which is the last column."
        ),
        Heading("What it cost"),
        TextTable(
            ("method", "scores", "passes", "images seen", "seconds of training", "seconds of scoring", "device"),
            tuple(map(_budget_row, rows)),
        ),
        Paragraph(
            "For one seed: the mean over seeds, and their range where they differ. A pass is forward and backward of "
            "one batch, a forward alone counts a third; images count for each path that saw them."
        ),
        Heading("Differences between methods on the same seeds"),
        *_differences(results.differences),
    ]


def _ranking_row(row: ResultRow) -> tuple[str, ...]:
    tau, n_seed = row.metrics["kendall_tau_b"], len(row.seeds)
    seeds = f"{n_seed}\n{'seed' if n_seed == 1 else 'seeds'} {', '.join(map(str, row.seeds))}"
    return (
        *(row.label, _scores(row), seeds),
        *(_over_seeds(one) for one in (tau, row.metrics["spearman_rho"])),
        _over_seeds(row.tau_connected, show_n=True),
        _over_seeds(row.tau_by_loss),
        _estimate(row.tau_of_parameters),
    )


def _scores(row: ResultRow) -> str:
    n = _count(row.metrics["kendall_tau_b"].n)
    return f"{row.score_set}\n{f'a sample, n = {n}' if row.is_sample else f'all, n = {n}'}"


def _top_row(row: ResultRow) -> tuple[str, ...]:
    m = row.metrics
    return (
        *(row.label, _scores(row)),
        _over_seeds(m["kendall_tau_b_top_10_percent"], show_n=True),
        _over_seeds(m["kendall_tau_b_top_1_percent"], show_n=True),
        _over_seeds(m["precision_at_top_5_percent"]),
        _over_seeds(m["best_rank_at_10"], digits=1) + f"\nof {_count(m['best_rank_at_10'].n)}",
        _over_seeds(m["regret"], digits=2, scale=100),
        _over_seeds(m["accuracy_of_best"], digits=2, scale=100),
    )


def _budget_row(row: ResultRow) -> tuple[str, ...]:
    numbers = ((row.passes, 0), (row.images_seen, 0), (row.train_seconds, 1), (row.score_seconds, 1))
    return (row.label, row.score_set, *(_range(one, digits) for one, digits in numbers), "\n".join(row.devices))


def _reference_row(row: ReferenceRow) -> tuple[str, ...]:
    tau, rho = row.estimates["kendall_tau_b"], row.estimates["spearman_rho"]
    return f"ceiling: {row.label}" if row.name == "ceiling" else row.label, f"{tau.n:,}", _estimate(tau), _estimate(rho)


def _differences(differences: Sequence[Difference]) -> list[Block]:
    if not differences:
        return [Paragraph("None: there is one method only.")]
    rows = []
    for one in differences:
        found = one.difference
        cells = (_number(found.value), _interval(found.ci_low, found.ci_high, 3)) if found else (one.reason, NOT_KNOWN)
        rows.append((one.a, one.b, str(len(one.seeds)), *cells))
    return [
        TextTable(("a", "b", "common seeds", "tau-b of a minus tau-b of b", "interval over seeds"), tuple(rows)),
        Paragraph(
            "The mean over common seeds with its 95 % t-interval, which is about further seeds on these architectures. "
            "No correction for the number of pairs. Inherited and retrained scores are not set against each other."
        ),
    ]


def _reading(results: Results) -> list[Block]:
    blocks: list[Block] = [
        Heading("How to read this"),
        Paragraph(
            "Kendall's tau-b is the share of architecture pairs in the right order minus the share in the wrong order, "
            "corrected for ties: 1 is the true order, 0 is chance. Every number is computed for each supernet seed and "
            "then averaged. Where it is undefined for a seed (a constant score, too few architectures), the cell says "
            "for how many seeds it is defined."
        ),
        Paragraph(
            "The interval over seeds says where the mean would lie for very many supernet seeds, the architectures "
            "being these. It needs at least two seeds, is wide for two or three, and being a t-interval it may reach "
            "beyond what is possible, such as a negative regret. The interval over architectures "
            "says how far the number would move had the benchmark other architectures of the same kind, the supernets "
            "being these. Neither contains the other, and neither contains the noise of the table itself; the ceiling "
            "shows how large that is."
        ),
        Paragraph(
            "Architectures with the same score stay tied: tau-b and rho take ties into account, and where something "
            "must be selected the number is the expected value for ties broken at random. Architectures that join "
            "input and output nowhere are easy to tell from the rest, so tau-b is shown without them as well."
        ),
    ]
    if any(row.score_set != "inherited" for row in results.rows):
        text = (
            "“inherited” scores are taken with the supernet's weights as they are; “retrained” ones after further "
            "training of a few candidates that the method chose. The two answer different questions: a sample of "
            "candidates is more alike than all architectures, which usually lowers correlations in it."
        )
        blocks.append(Paragraph(text))
    return blocks


# ------------------------------------------------------------------------------------------------------------ numbers


def _number(value: float, digits: int = 3) -> str:
    """With a true minus sign; an undefined number is n/a."""
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else NOT_KNOWN


def _percent(value: float) -> str:
    return _number(100 * value, 2)


def _count(n: Sequence[int]) -> str:
    return f"{min(n):,}" if min(n) == max(n) else f"{min(n):,} to {max(n):,}"


def _interval(low: float, high: float, digits: int) -> str:
    return f"{_number(low, digits)} to {_number(high, digits)}" if math.isfinite(low + high) else NOT_KNOWN


def _over_seeds(one: OverSeeds, *, digits: int = 3, scale: float = 1, show_n: bool = False) -> str:
    """The mean, then a line for each interval and, where a metric looks at some architectures only, their number."""
    spread, archs = one.spread, one.architectures
    lines = [_number(scale * spread.mean, digits)]
    if spread.n < len(one.values):
        lines.append(f"defined for {spread.n} of {len(one.values)} seeds")
    if spread.n:
        seeds = f"{NOT_KNOWN} (1 seed)" if spread.n == 1 else ""
        lines.append(f"seeds {seeds or _interval(scale * spread.ci_low, scale * spread.ci_high, digits)}")
    if spread.n and archs is not None:
        lines.append(f"archs {_interval(scale * archs.ci_low, scale * archs.ci_high, digits)}")
    return "\n".join([*lines, f"n = {_count(one.n)}"] if show_n else lines)


def _estimate(one: Estimate) -> str:
    return f"{_number(one.value)}\narchs {_interval(one.ci_low, one.ci_high, 3)}"


def _range(one: OverSeeds, digits: int) -> str:
    low, high = min(one.values), max(one.values)
    mean = _number(one.spread.mean, digits)
    return mean if low == high else f"{mean}\n{_number(low, digits)} to {_number(high, digits)}"


def _results_json(about: About, results: Results) -> dict[str, object]:
    """All that the tables hold, with an undefined number as None."""
    return {"format": FORMAT, "generator_seed": GENERATOR_SEED, "about": _plain(about), **_fields(results)}


def _fields(value: object) -> dict[str, object]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}  # type: ignore[arg-type]


def _plain(value: object) -> object:
    """Dataclasses and mappings as objects, sequences as lists, what is not finite as None."""
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


# -------------------------------------------------------------------------------------------------------- the formats

CSS = """
:root { color-scheme: light; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, figcaption { max-width: 46rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .92rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.warning { border-left: 4px solid #D55E00; padding: .1rem .8rem; background: #FFF4EC; margin: .4rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: 600; border-bottom: 2px solid #888; vertical-align: bottom; }
td small { display: block; color: #555; white-space: nowrap; }
p { font-size: .95rem; } figure { margin: 1.5rem 0 2.5rem; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #333; } pre { background: #f5f5f5; padding: .7rem; white-space: pre-wrap; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
  .wide { overflow: visible; } }
"""


def to_html(title: str, blocks: Iterable[Block]) -> str:
    """One page that needs no other file."""
    body = "\n".join(map(_html_block, blocks))
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<h1>{name}</h1>\n{body}\n</body>\n</html>\n"
    )


def _html_block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(text, is_warning):
            return f"{'<p class=warning>' if is_warning else '<p>'}{html.escape(text)}</p>"
        case Facts(rows):
            pairs = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
            return f"<dl>{''.join(pairs)}</dl>"
        case Code(lines):
            return f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>"
        case TextTable(head, rows):
            top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
            body = "\n".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
            return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
        case Drawing(title, name, svg, caption, data):
            source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
            image = f'<img src="{source}" alt="{html.escape(title)}" width="{_pixels(svg)}">'
            link = f'Numbers: <a href="figures/{data}.csv">figures/{data}.csv</a>'
            text = f"<strong>{html.escape(title)}.</strong> {html.escape(caption)} {link}"
            return f'<figure id="{name}">{image}<figcaption>{text}</figcaption></figure>'


def _html_cell(text: str) -> str:
    first, *rest = map(html.escape, text.split("\n"))
    return f"<td>{first}{''.join(f'<small>{line}</small>' for line in rest)}</td>"


def _pixels(svg: bytes) -> int:
    """The width on the screen: a third more than in print."""
    width = re.search(rb'<svg[^>]* width="([\d.]+)pt"', svg)
    assert width, "matplotlib writes the width in points"
    return round(float(width[1]) * 96 / 72 * 4 / 3)


def to_markdown(title: str, blocks: Iterable[Block]) -> str:
    """The same with the pictures beside it."""
    return f"# {title}\n\n" + "\n\n".join(map(_markdown_block, blocks)) + "\n"


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Paragraph(text, is_warning):
            return f"> **Note.** {_markdown_text(text)}" if is_warning else _markdown_text(text)
        case Facts(rows):
            return "\n".join(f"- **{name}**: {_markdown_text(value)}" for name, value in rows)
        case Code(lines):
            return "\n".join(["```sh", *lines, "```"])
        case TextTable(head, rows):
            cells = [head, ("---",) * len(head), *(map(_markdown_text, row) for row in rows)]
            return "\n".join(f"| {' | '.join(row)} |" for row in cells)
        case Drawing(title, name, _, caption, data):
            text = f"{_markdown_text(caption)} Numbers: [figures/{data}.csv](figures/{data}.csv)"
            return f"### {title}\n\n![{title}](figures/{name}.svg)\n\n{text}"


def _markdown_text(text: str) -> str:
    for special in "\\`*_<|[]":
        text = text.replace(special, f"\\{special}")
    return text.replace("\n", "<br>")
