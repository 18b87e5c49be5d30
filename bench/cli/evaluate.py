"""`run_bench.py evaluate`: other people's predictions against the ground truth."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.options import Commands, add_benchmark, add_target, dataset_of, table_of
from bench.cli.reading import add_reading, read_tables, short_messages, spelled
from mngnas.errors import UserError

if TYPE_CHECKING:
    from bench.scores.read import Predictions
    from bench.stats.metrics import Metric
    from bench.truth import Table
    from bench.truth.target import Target
    from mngnas.data.download import RemoteFile

_LATENCY = "latency:"


def add(commands: Commands) -> None:
    """Add the command."""
    text = "compare predictions from a file with the ground truth"
    parser = commands.add_parser(
        "evaluate", help=text, description=f"{text}: docs of the forms in bench/scores/read.py"
    )
    parser.add_argument(
        "scores",
        type=Path,
        nargs="+",
        metavar="SCORES",
        help="files of architectures and scores (JSON, CSV, text, arrays) or folders of them; parts of one table, which"
        " differ in the number at the end of their names, are put together",
    )
    add_benchmark(parser)
    add_target(parser)
    add_reading(parser)
    parser.add_argument("--target", default="accuracy", help="accuracy (default) or latency:DEVICE")
    parser.add_argument("--target-seed", type=int, metavar="SEED", help="accuracy of one seed instead of their mean")
    parser.add_argument("--cost", action="append", default=[], metavar="latency:DEVICE", help="one more reference row")
    parser.add_argument("--metrics", help="names separated by commas, also ..._top_0.5_percent (default: all)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Read, compare, print; a mistake of any kind is one line."""
    with short_messages():
        _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    from bench.cli.evaluated import Evaluated, EvaluatedTable, evaluated, print_json, print_text

    chosen = _metrics(options) if options.metrics else None
    options.dataset = spelled(options)  # a wrong name and a bad file are told before anything is fetched
    dataset = dataset_of(options)
    devices = _devices(options, dataset)
    tables = read_tables(options.scores, options, dataset)
    table = table_of(options)
    target = _target(options, table, dataset, devices)
    if wrong := [m.name for m in chosen or () if not target.is_accuracy and m.name not in _OF_ANY_NUMBERS]:
        raise UserError(f"metric {wrong[0]!r} is about accuracies; of a latency there are {', '.join(_OF_ANY_NUMBERS)}")
    costs = {f"latency of {name.removeprefix(_LATENCY)}": _times(options, devices[name]) for name in options.cost}
    done: list[Evaluated] = []
    found = []
    for one in tables:
        metrics = chosen or _default_metrics(one.columns, target)
        rows = []
        for predictions in one.columns:
            rows.append(evaluated(predictions, target, table, dataset, metrics, costs, options.resamples, done))
            done.append(rows[-1])
        found.append(EvaluatedTable(one, tuple(rows)))
    about = {"benchmark": options.benchmark, "dataset": dataset, "target": target.label}
    (print_json if options.json else print_text)(about, found)


_OF_ANY_NUMBERS = ("kendall_tau_b", "spearman_rho", "pearson_r")
_OF_THE_VERY_TOP = (
    *("kendall_tau_b_top_0.5_percent", "kendall_tau_b_top_0.2_percent"),
    *("precision_at_top_0.5_percent", "precision_at_top_0.2_percent"),
)


def _metrics(options: argparse.Namespace) -> "list[Metric]":
    from bench.stats.metrics import named

    return named(options.metrics.split(","))


def _default_metrics(predictions: "tuple[Predictions, ...]", target: "Target") -> "list[Metric]":
    """All of them; of several score columns or of a latency the correlations alone."""
    from bench.stats.metrics import METRICS, named

    if not target.is_accuracy:
        return named(_OF_ANY_NUMBERS)
    return named(_OF_ANY_NUMBERS[:2] if len(predictions) > 1 else (*METRICS, *_OF_THE_VERY_TOP))


def _devices(options: argparse.Namespace, dataset: str) -> "dict[str, RemoteFile]":
    """The files of all latencies that are asked for, by the option's text."""
    from bench.truth import TABLES
    from bench.truth.sources.latency import file_of

    asked = [*options.cost, *([] if options.target == "accuracy" else [options.target])]
    for text in asked:
        if not text.startswith(_LATENCY):
            raise UserError(f"{text!r} is neither accuracy nor {_LATENCY}DEVICE")
    if "accuracy" in options.cost:
        raise UserError("--cost accuracy: a cost is latency:DEVICE")
    space = TABLES[options.benchmark].space
    return {text: file_of(text.removeprefix(_LATENCY), space, dataset) for text in asked}


def _times(options: argparse.Namespace, file: "RemoteFile"):  # type: ignore[no-untyped-def]
    from bench.truth.sources import latency

    return latency.load(file, options.mirror)


def _target(options: argparse.Namespace, table: "Table", dataset: str, devices: "dict[str, RemoteFile]") -> "Target":
    from bench.truth.target import accuracy_target, latency_target

    if options.target == "accuracy":
        return accuracy_target(table, dataset, options.split, options.epochs, options.target_seed)
    if options.target_seed is not None:
        raise UserError("--target-seed: a latency has no seeds")
    return latency_target(options.target.removeprefix(_LATENCY), _times(options, devices[options.target]))
