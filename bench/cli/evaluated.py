"""What `evaluate` found, for people and as JSON: what was read, every metric, and the reference rows beside it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.board.parts import ScoreTable
from bench.scores.read import Predictions
from bench.scores.text import listed, plain
from bench.stats.evaluation import Evaluation, ReferenceRow, estimates_json, evaluate, reference_rows, to_json
from bench.stats.intervals import Estimate
from bench.stats.metrics import Metric
from bench.truth import Table
from bench.truth.target import Target


@dataclass(frozen=True)
class Evaluated:
    """One score column against the target."""

    predictions: Predictions
    metrics: Sequence[Metric]
    found: Evaluation
    references: tuple[ReferenceRow, ...]  # over the rows that were scored


@dataclass(frozen=True)
class EvaluatedTable:
    """All score columns of a table."""

    table: ScoreTable
    columns: tuple[Evaluated, ...]


def evaluated(
    predictions: Predictions,
    target: Target,
    table: Table,
    dataset: str,
    metrics: Sequence[Metric],
    costs: Mapping[str, np.ndarray],
    resamples: int,
    before: Sequence[Evaluated] = (),
) -> Evaluated:
    """Evaluate one score column; reference rows are taken from one `before` that has the same architectures."""
    rng = np.random.default_rng(0)
    index = predictions.arch_index
    options: dict[str, Any] = {"resamples": resamples, "rng": rng}
    about: dict[str, Any] = {"connected": table.space.connected, "live": table.space.is_canonical, "metrics": metrics}
    found = evaluate(index, predictions.score, target.true, **about, **options)
    same = next((one for one in before if np.array_equal(np.sort(one.predictions.arch_index), np.sort(index))), None)
    if same is not None:
        return Evaluated(predictions, metrics, found, same.references)
    options |= {"valid": target.valid, "rows": index, "others": costs}
    of_networks = table.parameters[dataset], table.flops[dataset], target.of_seeds
    references = reference_rows(target.true, *of_networks, **options)
    return Evaluated(predictions, metrics, found, references)


# ------------------------------------------------------------------------------------------------------------ as JSON


def print_json(about: Mapping[str, str], found: Sequence[EvaluatedTable]) -> None:
    """One object: the evaluation of the one score column, of each under "columns", of several tables under "tables"."""
    tables = [_table_json(one.columns) for one in found]
    if len(tables) > 1:
        files = [{"files": list(map(str, one.table.paths))} for one in found]
        tables = [{"tables": [file | table for file, table in zip(files, tables, strict=True)]}]
    print(json.dumps({**about, **tables[0]}))


def _table_json(found: Sequence[Evaluated]) -> dict[str, Any]:
    return _one_json(found[0]) if len(found) == 1 else {"columns": [_one_json(one) for one in found]}


def _one_json(one: Evaluated) -> dict[str, Any]:
    predictions, report = one.predictions, one.predictions.report
    left_out = {name: getattr(report, name).count for name in _LEFT_OUT}
    read = {
        "architectures": predictions.architectures,
        "form": predictions.form,
        "digits_order": predictions.digits,
        "score_column": predictions.score_column,
        "other_columns": list(predictions.others),
        "lower_is_better": predictions.lower_is_better,
        "rows": report.n_rows,
        "repeated": report.duplicate.count,
        "unknown": report.extra.count + report.unparsable.count,
        "without_score": report.without_score.count,
        "minus_infinity": report.minus_infinity,
        "plus_infinity": report.plus_infinity,
        "notes": list(predictions.notes),
    }
    rows = {row.name: estimates_json(row.estimates) for row in one.references}
    return {**to_json(one.found), "rows_left_out": left_out, "references": rows, "read": read}


_LEFT_OUT = {
    "extra": "unknown architectures",
    "duplicate": "repeated",
    "unparsable": "unreadable",
    "without_score": "without a score",
}


# ------------------------------------------------------------------------------------------------------------ as text


def print_text(about: Mapping[str, str], found: Sequence[EvaluatedTable]) -> None:
    """Blocks of lines, table by table; several score columns are rows of one block."""
    for number, one in enumerate(found):
        print("\n" * (number > 0) + _heading(one, about))
        _print_table(one.columns)


def _heading(one: EvaluatedTable, about: Mapping[str, str]) -> str:
    first, *more = one.table.paths
    files = plain(str(first)) + (f" and {len(more)} more files" if more else "")
    n = one.columns[0].found.n_scored
    return f"{files}: {n:,} architectures against {about['target']} ({about['benchmark']})"


def _print_table(found: Sequence[Evaluated]) -> None:
    first = found[0]
    for line in _read_lines(first.predictions, [one.predictions.score_column for one in found]):
        print(line)
    print(f"95 % intervals: bootstrap over architectures, {first.found.resamples:,} resamples\n")
    if len(found) == 1:
        _print_one(first)
        _print_references(first)
        _print_rows(first)
        return
    for metric in first.metrics:
        print(metric.label)
        for one in found:
            print(_line(plain(str(one.predictions.score_column)), one.found.estimates[metric.name]))
    for one in found:
        if one is first or one.references is not first.references:
            print(f"\n{plain(str(one.predictions.score_column))}")
            _print_references(one)
            _print_rows(one)


def _read_lines(predictions: Predictions, columns: list[str | None]) -> list[str]:
    names = "scores without a name" if columns == [None] else f"scores: {listed(map(_quoted, columns), 20)}"
    lines = [f"read: {predictions.architectures} ({predictions.form}); {names}"]
    if predictions.others:
        lines.append(f"not used: {listed(map(_quoted, predictions.others), 20)}")
    if predictions.lower_is_better:
        lines.append("lower is better: the signs of the scores were turned")
    return [*lines, *(f"note: {plain(note)}" for note in predictions.notes)]


def _quoted(name: str | None) -> str:
    return repr(name)


def _print_one(one: Evaluated) -> None:
    labels = {metric.name: metric.label for metric in one.metrics}
    for name, estimate in one.found.estimates.items():
        print(_line(labels[name], estimate))
    for title, part in (
        ("without architectures that do not join input and output", one.found.connected),
        ("live graphs alone, one of all that differ in dead edges only", one.found.live),
    ):
        print(f"\n{title}")
        for label, estimate in zip(("Kendall tau-b", "Spearman rho"), part.values(), strict=True):
            print(_line(label, estimate))


def _print_references(one: Evaluated) -> None:
    print("\nfor comparison, on the same architectures, Kendall tau-b of")
    for row in one.references:
        print(_line(row.label, row.estimates["kendall_tau_b"]))


def _print_rows(one: Evaluated) -> None:
    report, found = one.predictions.report, one.found
    print(f"\nnot scored: {found.n_missing:,}; scored without a ground truth: {found.n_without_truth:,}")
    print(f"rows read: {report.n_rows:,}")
    for name, label in _LEFT_OUT.items():
        left_out = getattr(report, name)
        print(f"rows left out, {label}: {left_out.count:,}")
        for example in left_out.examples:
            print(f"  {example}")
    if report.minus_infinity or report.plus_infinity:
        print(f"infinite scores: {report.minus_infinity:,} rank last, {report.plus_infinity:,} rank first")


def _line(label: str, e: Estimate) -> str:
    return f"  {label:<28}{_number(e.value)}  [{_number(e.ci_low)}, {_number(e.ci_high)}]  n = {e.n:,}"


def _number(value: float) -> str:
    if value != value:
        return "   n/a"
    return f"{value:6.3f}" if abs(value) < 10 else f"{value:6.0f}"
