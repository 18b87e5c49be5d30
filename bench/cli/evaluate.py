"""`run_bench.py evaluate`: other people's predictions against the ground truth."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, add_benchmark, add_target, dataset_of, table_of

if TYPE_CHECKING:
    from bench.predictions import Predictions
    from bench.stats.evaluation import Evaluation, ReferenceRow
    from bench.stats.intervals import Estimate
    from bench.truth import Measure


def add(commands: Commands) -> None:
    """Add the command."""
    text = "compare predictions from a JSON or CSV file with the ground truth"
    parser = commands.add_parser("evaluate", help=text, description=text)
    parser.add_argument("scores", type=Path, metavar="SCORES", help="architecture -> score, see bench/predictions.py")
    add_benchmark(parser)
    add_target(parser)
    parser.add_argument("--column", help="which score, where the file has several")
    parser.add_argument("--metrics", help="names separated by commas (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Read, compare, print."""
    import numpy as np

    from bench.predictions import read_predictions
    from bench.stats.evaluation import evaluate, reference_rows
    from bench.stats.metrics import METRICS, named
    from bench.truth import TABLES
    from bench.truth.table import default_target
    from mngnas.spaces import space_named

    metrics = named(options.metrics.split(",")) if options.metrics else list(METRICS.values())
    dataset = dataset_of(options)  # a wrong name and a bad file are told before anything is fetched
    space = space_named(TABLES[options.benchmark].space)
    predictions = read_predictions(options.scores, options.column, space=space)
    table = table_of(options)
    target = default_target(table, dataset, options.split, options.epochs)
    true, rng = table.mean(target), np.random.default_rng(0)
    found = evaluate(
        *(predictions.arch_index, predictions.score, true),
        metrics=metrics,
        connected=table.space.connected,
        resamples=options.resamples,
        rng=rng,
    )
    costs = table.parameters[dataset], table.flops[dataset]
    references = reference_rows(true, *costs, table.values(target), resamples=options.resamples, rng=rng)
    show = _print_json if options.json else _print_text
    show(options, dataset, target, predictions, found, references)


def _print_json(
    options: argparse.Namespace,
    dataset: str,
    target: "Measure",
    predictions: "Predictions",
    found: "Evaluation",
    references: "tuple[ReferenceRow, ...]",
) -> None:
    from bench.stats.evaluation import estimates_json, to_json

    rows = {row.name: estimates_json(row.estimates) for row in references}
    about = {"benchmark": options.benchmark, "dataset": dataset, "target": str(target)}
    counts = {name: left_out.count for name, left_out in vars(predictions.report).items()}
    print(json.dumps(about | to_json(found) | {"rows_left_out": counts, "references": rows}))


def _print_text(
    options: argparse.Namespace,
    _dataset: str,
    target: "Measure",
    predictions: "Predictions",
    found: "Evaluation",
    references: "tuple[ReferenceRow, ...]",
) -> None:
    from bench.stats.metrics import METRICS

    print(f"{options.scores}: {found.n_scored:,} architectures against {target} ({options.benchmark})")
    print(f"95 % intervals: bootstrap over architectures, {options.resamples:,} resamples\n")
    for name, estimate in found.estimates.items():
        print(_line(METRICS[name].label, estimate))
    print("\nwithout architectures that do not join input and output")
    for name, estimate in found.connected.items():
        print(_line(METRICS[name].label, estimate))
    print("\nfor comparison, Kendall tau-b of")
    for row in references:
        print(_line(row.label, row.estimates["kendall_tau_b"]))
    print(f"\nnot scored: {found.n_missing:,}; scored without a ground truth: {found.n_without_truth:,}")
    for name, left_out in vars(predictions.report).items():
        print(f"rows left out, {name}: {left_out.count}")
        for example in left_out.examples:
            print(f"  {example}")


def _line(label: str, e: "Estimate") -> str:
    return f"  {label:<28}{_number(e.value)}  [{_number(e.ci_low)}, {_number(e.ci_high)}]  n = {e.n:,}"


def _number(value: float) -> str:
    if value != value:
        return "   n/a"
    return f"{value:6.3f}" if abs(value) < 10 else f"{value:6.0f}"
