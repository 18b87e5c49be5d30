"""The report of a study: one HTML page that needs no other file, the same in Markdown, pictures and their numbers."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from bench.files import write_atomically
from bench.report.about import About, describe
from bench.report.figures import FigureNumbers
from bench.report.pages import Block, Drawing, Heading, to_html, to_markdown
from bench.report.pictures import PICTURES, to_svg
from bench.report.results import GENERATOR_SEED, Results, evaluate_study
from bench.report.runs import StudyRuns, read_runs
from bench.report.sections import opening, reading, tables
from bench.report.text import estimate, over_seeds
from bench.truth.table import Measure, Table
from mngnas.errors import UserError

FORMAT = 1  # of results.json


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
    the same bytes. Raises `UserError` for runs that cannot stand in one table, see `bench.report.runs.read_runs`.
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
    blocks = [*opening(about), *tables(results), *pictures, *reading(results)]
    title = f"Ranking correlation on {about.benchmark}, {about.dataset}"
    paths = ReportPaths(
        out / "index.html", out / "report.md", out / "results.json", tuple(files), _summary(about, results)
    )
    write_atomically(paths.html, to_html(title, blocks).encode())
    write_atomically(paths.markdown, to_markdown(title, blocks).encode())
    write_atomically(paths.results, (json.dumps(_results_json(about, results), indent=1) + "\n").encode())
    return paths


def _summary(about: About, results: Results) -> str:
    """Tau-b of every method and reference row, a line each."""
    lines = [(row.label, over_seeds(row.metrics["kendall_tau_b"], show_n=True)) for row in results.rows]
    lines += [(row.label, estimate(row.estimates["kendall_tau_b"])) for row in results.references]
    width = max(len(label) for label, _ in lines)
    return "\n".join(
        [
            f"Kendall tau-b, one-shot accuracy against {about.target} ({about.images})",
            *(f"  {label:<{width}}  {text}".replace("\n", "; ") for label, text in lines),
        ]
    )


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
