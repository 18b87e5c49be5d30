"""The measurement: ground-truth tables, metrics, intervals, studies and reports.

What other programs need is here, imported when it is used:

    load_table(name)                    a table of ground truth (`bench.truth.load_table`)
    query(table, arch)                  everything that it says about one architecture (`bench.truth.lookup.query`)
    evaluate(scores, table, dataset)    scores against its accuracies (`bench.truth.compare.evaluate`)
"""

from importlib import import_module
from typing import Any

__all__ = ["evaluate", "load_table", "query"]

_WHERE = {"evaluate": "bench.truth.compare", "load_table": "bench.truth", "query": "bench.truth.lookup"}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
