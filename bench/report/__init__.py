"""The report of a study: one HTML page that needs no other file, the same in Markdown, pictures and their numbers."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import numpy as np

from bench.files import write_atomically
from bench.report.look import to_svg
from bench.report.page import Block, Csv, Picture, pictures_in, to_html, to_markdown
from bench.report.runs import StudyRuns, read_runs
from bench.report.scores import GENERATOR_SEED
from bench.report.sections import SECTIONS, rankings, references, trace
from bench.report.text import estimate, over_seeds
from bench.truth.table import Measure, Table
from mngnas.errors import UserError
from mngnas.methods.info import DiaryPlot

FORMAT = 2  # of results.json


@dataclass(frozen=True)
class ReportPaths:
    """The files of a report."""

    html: Path
    markdown: Path
    results: Path
    figures: tuple[Path, ...]  # pictures and CSVs
    summary: str  # a few lines for a terminal


def report(
    study: Path,
    table: Table,
    *,
    target: Measure,
    resamples: int = 1000,
    scatter: tuple[str, ...] = (),
    out: Path | None = None,
) -> ReportPaths:
    """Evaluate the finished runs below `study` against `target` of the table and write the report to `out`.

    `scatter` names two rankings whose ranks are drawn against each other, by default the best two. `out` is
    `study / "report"` if it is not given. Files of an earlier report there are replaced. The same runs give
    the same bytes. Raises `UserError` for runs that cannot stand in one table, see `bench.report.runs.read_runs`.
    """
    out = study / "report" if out is None else out
    runs = replace(read_runs(study, table, target, resamples), scatter=scatter)
    results: dict[str, object] = {"format": FORMAT, "generator_seed": GENERATOR_SEED, "resamples": resamples}
    blocks: list[Block] = []
    for section in SECTIONS:
        numbers = runs.once(section.numbers)
        if numbers is not None:
            results[section.name] = plain(numbers)
            blocks += section.blocks(numbers)
    record = runs.runs[0].record
    title = f"Ranking correlation on {record.benchmark}, {record.dataset}"
    figures = write_page(out, "report", title, blocks)
    paths = ReportPaths(out / "index.html", out / "report.md", out / "results.json", figures, _summary(runs))
    write_atomically(paths.results, _lines(results).encode())
    return paths


def write_page(out: Path, name: str, title: str, blocks: Sequence[Block]) -> tuple[Path, ...]:
    """Write blocks to `out`: index.html, `name`.md and figures/; returns the files of the figures.

    Figures of an earlier page there are removed. Raises `UserError` where one cannot write.
    """
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror or error}") from error
    pictures = list(pictures_in(blocks))
    drawings = {picture.name: to_svg(picture.draw) for picture in pictures}
    figures = _write_figures(out / "figures", pictures, drawings)
    write_atomically(out / "index.html", to_html(title, blocks, drawings).encode())
    write_atomically(out / f"{name}.md", to_markdown(title, blocks).encode())
    return figures


def _write_figures(folder: Path, pictures: Sequence[Picture], drawings: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Pictures and CSVs; those of an earlier report that this one has not are removed."""
    content = {folder / f"{name}.svg": svg for name, svg in drawings.items()}
    content |= {
        folder / f"{table.name}.csv": csv_bytes(table) for table in {p.csv.name: p.csv for p in pictures}.values()
    }
    for path in (*folder.glob("*.svg"), *folder.glob("*.csv")):
        if path not in content:
            path.unlink()
    for path, data in content.items():
        write_atomically(path, data)
    return tuple(content)


def csv_bytes(table: Csv) -> bytes:
    """A header and rows, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows())
    return out.getvalue().encode()


def _summary(study: StudyRuns) -> str:
    """Tau-b of every method and reference row, a line each, and what searches have found."""
    found = study.once(rankings.rankings)
    lines = [(row.label, over_seeds(row.metrics["kendall_tau_b"], show_n=True)) for row in found.rows] if found else []
    lines += [(row.label, estimate(row.estimates["kendall_tau_b"])) for row in study.once(references.references).rows]
    searched = study.once(trace.traces)
    ends = [(line.label, trace.found_at_end(line)) for line in searched.methods] if searched else []
    width = max(len(label) for label, _ in lines + ends)
    images = study.runs[0].record.images
    return "\n".join(
        [
            f"Kendall tau-b against mean {study.target} ({images})",
            *(f"  {label:<{width}}  {text}".replace("\n", "; ") for label, text in lines),
            *(["True accuracy of what each search has found"] if ends else []),
            *(f"  {label:<{width}}  {text}" for label, text in ends),
        ]
    )


def _lines(results: Mapping[str, object]) -> str:
    """JSON with a line a section, so that a changed number is a changed line."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in results.items()) + "\n}\n"


def plain(value: object) -> object:
    """Numbers as JSON has them: dataclasses and mappings as objects, sequences as lists, what is not finite as None.

    Fields that are arrays or plots are left out: they are in the CSV of their picture.
    """
    if is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: plain(one) for name, one in found.items() if not isinstance(one, np.ndarray | DiaryPlot)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
