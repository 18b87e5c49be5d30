"""Reading published tables without running what is in them: plain pickles, and one pickled pandas data frame."""

from pathlib import Path
from typing import Any

import numpy as np

from mngnas.data.plain_pickle import Admitted, read_pickle
from mngnas.errors import UserError

__all__ = ["read_frame", "read_pickle"]


class _Shell:
    """Stands for a pandas object: keeps its state and does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _index(_kind: type, state: dict[str, Any]) -> object:
    """A pandas Index: its labels, or the end of a RangeIndex."""
    return state["data"] if "data" in state else range(state["start"], state["stop"], state["step"])


_PANDAS: Admitted = {
    ("pandas.core.frame", "DataFrame"): _Shell,
    ("pandas.core.internals.managers", "BlockManager"): _Shell,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): _Shell,
    ("pandas.core.indexes.range", "RangeIndex"): _Shell,
}


def read_frame(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a pickled pandas data frame without pandas (block-manager layout of pandas 0.14.1 to 1.2)."""
    frame = read_pickle(path, extra=_PANDAS)
    try:
        layout = frame.state["_data"].state[3]["0.14.1"]
        labels = list(layout["axes"][0])
        columns = {}
        for block in layout["blocks"]:
            for label, values in zip(labels[block["mgr_locs"]], block["values"], strict=True):
                columns[str(label)] = values
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a pickled pandas data frame of the expected layout") from error
    return columns
