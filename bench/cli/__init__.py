"""The command line. A user's mistake is answered with one line on standard error and exit status 2."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from bench.stats.intervals import Estimate
from bench.truth import TABLES, Measure, Table, TableRequest, load_table
from mngnas.errors import UserError, unknown

DEFAULT_RUN = "run --benchmark digits201 --dataset digits --strategy spos,fairnas,mngnas --seeds 3 --preset digits"
_PROGRAM = "run_bench.py"
_ABLATE = "the same as run, with every ablation of MNGNAS but mngnas-plain, which is bit for bit FairNAS"


class _Parser(argparse.ArgumentParser):
    """argparse with one line for a mistake, and with the nearest name for an unknown command."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise unknown(action.metavar or action.dest, str(value), map(str, action.choices))  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parser().parse_args(given or DEFAULT_RUN.split())
        options.command(options)
    except UserError as error:
        print(f"{_PROGRAM}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{_PROGRAM}: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output, `head` for example, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(_PROGRAM, description=f"Without a command: {DEFAULT_RUN}")
    commands = parser.add_subparsers(metavar="command", required=True, parser_class=_Parser)

    def command(name: str, function: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        return sub

    command("list", _list, "show benchmarks, data sets, strategies, presets, metrics, and what is cached")

    data = commands.add_parser("data", help="fetch tables and images; build and verify digits201")
    actions = data.add_subparsers(metavar="action", required=True, parser_class=_Parser)
    fetch = actions.add_parser("fetch", help="fetch and check, so that later commands need no network")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="tables and data sets (default: nb201 cifar10)")
    _add_mirror(fetch)
    fetch.set_defaults(command=_data_fetch)
    build = actions.add_parser("build", help="train the networks of digits201 that its table does not have yet")
    build.add_argument("names", nargs="*", choices=("digits201",), default="digits201", metavar="table")
    build.add_argument("--work", type=Path, default=Path(".local/digits201"), help="where finished trainings are kept")
    build.add_argument("--classes", type=_positive, help="only the first so many of the 6,466 classes")
    build.add_argument("--seeds", type=_positive, default=4, help="how many, counted from 0 (default: 4)")
    build.add_argument("--table", type=Path, help="the file to write (default: the one in data/digits201)")
    _add_device(build)
    build.set_defaults(command=_data_build)
    verify = actions.add_parser("verify", help="train some networks of digits201 again and compare with its table")
    verify.add_argument("names", nargs="*", choices=("digits201",), default="digits201", metavar="table")
    verify.add_argument("--archs", type=_positive, default=20, help="how many (default: 20)")
    _add_device(verify)
    verify.set_defaults(command=_data_verify)

    for name, text, strategies, seeds, suffix in (
        ("run", "train supernets, score all architectures, write the report", "spos,fairnas,mngnas", 3, ""),
        ("ablate", _ABLATE, "spos,fairnas,mngnas*,!mngnas-plain", 5, "-ablations"),
    ):
        run = command(name, _run, text)
        _add_benchmark(run)
        run.add_argument(
            "--strategy",
            default=strategies,
            help="names or shell-style patterns, separated by commas; ! before one leaves out (default: %(default)s)",
        )
        run.add_argument(
            "--seeds", type=_seeds, default=str(seeds), help="how many, counted from 0, or 5-14 (default: %(default)s)"
        )
        run.add_argument(
            "--preset", help="a name that `list` shows, or a .toml file (default: digits or cpu, by data set)"
        )
        run.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="ENTRY=VALUE",
            help="change an entry of the preset, training.passes=1000 for example; may be given several times",
        )
        where = f"runs/BENCHMARK-DATASET-PRESET{suffix}"
        run.add_argument("--out", type=Path, help=f"the study's directory (default: {where})")
        _add_device(run)
        run.add_argument("--jobs", type=_positive, help="runs side by side (default: one a core; on a GPU one)")
        run.set_defaults(suffix=suffix)

    evaluate = command("evaluate", _evaluate, "compare predictions from a JSON or CSV file with the ground truth")
    evaluate.add_argument("scores", type=Path, metavar="SCORES", help="architecture -> score, see bench/predictions.py")
    _add_benchmark(evaluate)
    _add_target(evaluate)
    evaluate.add_argument("--column", help="which score, where the file has several")
    evaluate.add_argument("--metrics", help="names separated by commas (default: all)")
    evaluate.add_argument("--json", action="store_true", help="one JSON object on standard output")

    speed = command("speed", _speed, "measure training, scoring and metrics on this machine, beside a plain loop")
    speed.add_argument("--seconds", type=_positive, default=10, help="for each measurement (default: 10)")
    _add_device(speed)

    short = command("short", _short, "train some of a study's architectures alone, briefly: a ranking to tune by")
    short.add_argument("study", type=Path, metavar="DIR")
    short.add_argument("--archs", type=_positive, default=100, help="how many, at random (default: 100)")
    short.add_argument("--steps", type=_positive, default=500, help="batches for each (default: 500)")
    short.add_argument("--jobs", type=_positive, help="trainings side by side (default: one a core; on a GPU one)")

    report = command("report", _report, "make a study's report from its finished runs")
    report.add_argument("study", type=Path, metavar="DIR")
    _add_archive(report)
    _add_target(report)
    return parser


def _add_mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mirror", help="a folder or an http(s) address to ask first for files that are fetched")


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), metavar="device", help="cpu or cuda")


def _add_archive(parser: argparse.ArgumentParser) -> None:
    _add_mirror(parser)
    parser.add_argument("--archive", type=Path, help="your own NATS-Bench or NAS-Bench-201 archive")
    parser.add_argument("--trust-archive", action="store_true", help="allow its pickles to be opened: data/README.md")


def _add_benchmark(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--benchmark", default="nb201", help="the table of ground truth (default: nb201)")
    parser.add_argument("--dataset", default=None, help="default: the benchmark's first")
    _add_archive(parser)


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", default="test", help="the target's: test (default) or valid")
    parser.add_argument("--epochs", type=_positive, help="the target's training length (default: the table's longest)")
    parser.add_argument("--resamples", type=_positive, default=1000, help="of the bootstrap (default: 1000)")


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    if not dash:
        return range(_positive(text))
    if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of seeds nor a range such as 5-14")
    return range(int(first), int(last) + 1)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


# ----------------------------------------------------------------------------------------------------------- commands


def _list(_options: argparse.Namespace) -> None:
    from bench.stats.metrics import METRICS
    from bench.study.preset import load_preset, preset_names
    from mngnas.data.datasets import IMAGE_DATASETS, images_cached
    from mngnas.methods.registry import STRATEGIES

    def show(title: str, rows: list[tuple[str, str]]) -> None:
        width = max(len(name) for name, _ in rows)
        print(f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in rows))

    def cached(there: bool) -> str:
        return "cached" if there else "not cached"

    request = TableRequest()
    show("benchmarks", [(t.name, f"[{cached(t.is_cached(request))}] {t.description}") for t in TABLES.values()])
    show("data sets", [(n, f"[{cached(images_cached(n))}] {text}") for n, text in IMAGE_DATASETS.items()])
    show("strategies", [(s.name, f"{s.description} ({s.paper})") for s in STRATEGIES.values()])
    show("presets", [(name, load_preset(name).description) for name in preset_names()])
    show("metrics", [(m.name, m.description) for m in METRICS.values()])


def _data_fetch(options: argparse.Namespace) -> None:
    from mngnas.data.datasets import IMAGE_DATASETS, load_images

    names = options.names or ["nb201", "cifar10"]
    for name in names:
        if name not in (*TABLES, *IMAGE_DATASETS):
            raise unknown("table or data set", name, (*TABLES, *IMAGE_DATASETS))
    for name in names:
        if name in TABLES:
            table = load_table(name, mirror=options.mirror)
            print(f"{name}: {len(table.measures)} measures, checksum {table.checksum[:12]}")
        else:
            data = load_images(name, options.mirror)
            print(f"{name}: {data.train.name}, {len(data.train):,} to train on, {len(data.valid):,} to validate on")


def _data_build(options: argparse.Namespace) -> None:
    from bench.truth import build_digits201 as digits201

    _check_device(options.device)
    path = options.table or digits201.PATH
    if path.exists():
        digits201.unpack(digits201.load(path), options.work)
    done = digits201.build(
        options.work, seeds=range(options.seeds), limit=options.classes, progress=True, device=options.device
    )
    print(f"{done.done:,} of {done.wanted:,} trainings are finished")
    print(digits201.summary(digits201.finalise(options.work, path)))
    print(f"table: {path}")


def _data_verify(options: argparse.Namespace) -> None:
    from bench.truth import build_digits201 as digits201

    _check_device(options.device)
    found = digits201.verify(options.archs, device=options.device, progress=True)
    print(
        f"{options.archs} architectures trained again ({found.n_training} trainings): test accuracy differs by "
        f"{100 * found.difference:.2f} points (root mean square; mean {100 * found.bias:+.2f}); the table's own seeds "
        f"spread by {100 * found.sd_seed:.2f}"
    )
    if not found.reproduces:
        raise UserError("that is more than the spread of the table's seeds explains: the table is not reproduced")


def _run(options: argparse.Namespace) -> None:
    from bench.study.preset import load_preset, with_changes
    from bench.study.spec import Study, open_study, run_study
    from mngnas.data.datasets import load_images
    from mngnas.methods.registry import strategy_names

    strategies = strategy_names(options.strategy)
    _check_device(options.device)
    dataset = _dataset(options)
    preset = with_changes(load_preset(options.preset or ("digits" if dataset == "digits" else "cpu")), options.set)
    table = _table(options)
    images = load_images(dataset, options.mirror).train.name
    out = options.out or Path("runs") / f"{options.benchmark}-{dataset}-{preset.name}{options.suffix}".replace(" ", "-")
    study = Study(options.benchmark, dataset, images, preset, table.checksum, options.device, options.mirror)
    open_study(out, study)
    jobs = [(strategy, seed) for seed in options.seeds for strategy in strategies]
    what = f"{', '.join(strategies)} x {len(options.seeds)} seeds"
    print(f"{len(jobs)} runs on {images} in {out}: {what}", file=sys.stderr)
    with _progress_line() as show:
        run_study(out, jobs, min(_parallel(options.jobs, options.device), len(jobs)), show)
    _write_report(out, table, _target(table, dataset, "test", None), 1000)


def _evaluate(options: argparse.Namespace) -> None:
    import numpy as np

    from bench.predictions import read_predictions
    from bench.stats.evaluation import estimates_json, evaluate, reference_rows, to_json
    from bench.stats.metrics import METRICS, named

    predictions = read_predictions(options.scores, options.column)
    metrics = named(options.metrics.split(",")) if options.metrics else list(METRICS.values())
    dataset, table = _dataset(options), _table(options)  # a wrong name is told before anything is fetched
    target = _target(table, dataset, options.split, options.epochs)
    true, rng = table.mean(target), np.random.default_rng(0)
    found = evaluate(
        predictions.arch_index, predictions.score, true, metrics=metrics, resamples=options.resamples, rng=rng
    )
    costs = table.parameters[dataset], table.flops[dataset]
    references = reference_rows(true, *costs, table.values(target), resamples=options.resamples, rng=rng)
    report = predictions.report
    counts = {name: getattr(report, name).count for name in ("extra", "duplicate", "unparsable")}
    if options.json:
        rows = {row.name: estimates_json(row.estimates) for row in references}
        about = {"benchmark": options.benchmark, "dataset": dataset, "target": str(target)}
        print(json.dumps(about | to_json(found) | {"rows_left_out": counts, "references": rows}))
        return
    print(f"{options.scores}: {found.n_scored:,} architectures against {target} ({options.benchmark})")
    print(f"95 % intervals: bootstrap over architectures, {options.resamples:,} resamples\n")
    for name, estimate in found.estimates.items():
        print(_estimate_line(METRICS[name].label, estimate))
    print("\nwithout architectures that do not join input and output")
    for name, estimate in found.connected.items():
        print(_estimate_line(METRICS[name].label, estimate))
    print("\nfor comparison, Kendall tau-b of")
    for row in references:
        print(_estimate_line(row.label, row.estimates["kendall_tau_b"]))
    print(f"\nnot scored: {found.n_missing:,}; scored without a ground truth: {found.n_without_truth:,}")
    for name, count in counts.items():
        print(f"rows left out, {name}: {count}")
        for example in getattr(report, name).examples:
            print(f"  {example}")


def _report(options: argparse.Namespace) -> None:
    from bench.study.spec import load_study

    study = load_study(options.study)
    options.benchmark = study.benchmark
    options.mirror = options.mirror or study.mirror
    table = _table(options)
    _write_report(options.study, table, _target(table, study.dataset, options.split, options.epochs), options.resamples)


def _short(options: argparse.Namespace) -> None:
    from bench.study.brief import train_short
    from bench.study.spec import load_study

    device = load_study(options.study).device
    _check_device(device)
    with _progress_line() as show:
        found = train_short(options.study, options.archs, options.steps, _parallel(options.jobs, device), show)
    accuracy = found.scores.accuracy
    print(f"{len(accuracy)} architectures after {found.steps} steps: mean accuracy {accuracy.mean():.3f}")
    print(f"compare methods with it: {_PROGRAM} report {options.study}")


def _speed(options: argparse.Namespace) -> None:
    from bench.speed.measure import measure, table

    _check_device(options.device)
    for line in table(measure(options.device, float(options.seconds)), options.device):
        print(line, flush=True)


# ------------------------------------------------------------------------------------------------------------- pieces


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: PyTorch finds no GPU here")


def _parallel(jobs: int | None, device: str) -> int:
    from bench.provenance import core_count

    return jobs or (core_count() if device == "cpu" else 1)


def _dataset(options: argparse.Namespace) -> str:
    if options.benchmark not in TABLES:
        raise unknown("benchmark", options.benchmark, TABLES)
    known = TABLES[options.benchmark].datasets
    if options.dataset is None:
        return known[0]
    if options.dataset not in known:
        raise unknown("data set", options.dataset, known)
    return str(options.dataset)


def _table(options: argparse.Namespace) -> Table:
    return load_table(options.benchmark, mirror=options.mirror, path=options.archive, trust=options.trust_archive)


def _target(table: Table, dataset: str, split: str, epochs: int | None) -> Measure:
    from bench.study.preset import default_target

    return default_target(table, dataset, split, epochs)


def _write_report(study: Path, table: Table, target: Measure, resamples: int) -> None:
    from bench.report import report

    print("computing correlations and drawing the report", file=sys.stderr)
    paths = report(study, table, target=target, resamples=resamples)
    print(paths.summary)
    print(f"report: {paths.html}")


@contextmanager
def _progress_line() -> Iterator[Callable[[str], None]]:
    """Show one line that changes, on a terminal; elsewhere a new line every 30 seconds."""
    terminal, told = sys.stderr.isatty(), [0.0]

    def show(text: str) -> None:
        if terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            print(f"\r{text[:width]:<{width}}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - told[0] >= 30:
            told[0] = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        if terminal:
            print(file=sys.stderr)


def _estimate_line(label: str, e: Estimate) -> str:
    return f"  {label:<28}{_number(e.value)}  [{_number(e.ci_low)}, {_number(e.ci_high)}]  n = {e.n:,}"


def _number(value: float) -> str:
    if value != value:
        return "   n/a"
    return f"{value:6.3f}" if abs(value) < 10 else f"{value:6.0f}"
