"""`run_bench.py list`: benchmarks, data sets, methods, presets, metrics, and what is cached."""

import argparse
from collections.abc import Iterable

from bench.cli.options import Commands, add_methods_from, method_folders


def add(commands: Commands) -> None:
    """Add the command."""
    text = "show benchmarks, data sets, methods, presets, metrics, and what is cached"
    parser = commands.add_parser("list", help=text, description=text)
    add_methods_from(parser)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> None:
    """Show everything that has a name."""
    from bench.stats.metrics import METRICS
    from bench.study.preset import load_preset, preset_names
    from bench.truth import TABLES, TableRequest
    from mngnas.data.datasets import IMAGE_DATASETS, images_cached
    from mngnas.methods.registry import methods
    from mngnas.spaces import SPACES

    request = TableRequest()
    show("benchmarks", [(t.name, f"[{cached(t.is_cached(request))}] {t.description}") for t in TABLES.values()])
    show("search spaces", [(s.name, f"{s.label}: {s.n_arch:,} architectures") for s in SPACES.values()])
    show("data sets", [(n, f"[{cached(images_cached(n))}] {text}") for n, text in IMAGE_DATASETS.items()])
    known = [entry.info for entry in methods(method_folders(options)).values()]
    for kind in dict.fromkeys(info.kind for info in known):
        rows = [(info.name, f"{info.description} ({info.paper})") for info in known if info.kind == kind]
        show(f"strategies, {kind}", rows)
    show("presets", [(name, load_preset(name).description) for name in preset_names()])
    show("metrics", [(m.name, m.description) for m in METRICS.values()])


def show(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """A title and a line a name."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    print(f"{title}\n" + "".join(f"  {name:<{width}}  {text}\n" for name, text in rows))


def cached(there: bool) -> str:
    """As it is shown."""
    return "cached" if there else "not cached"
