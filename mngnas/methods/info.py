"""What a method says about itself and leaves behind; plain data, no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

KINDS = ("supernet", "gradient", "training-free", "supervised", "searcher")
TOLD = ("supervised", "searcher")  # kinds that are handed an oracle of the ground truth

Kind = Literal["supernet", "gradient", "training-free", "supervised", "searcher"]


@dataclass(frozen=True)
class MethodInfo:
    """A method as lists and reports show it.

    It is read from the method's file without running it, so all its values must be literals.
    """

    name: str  # as given on the command line, and of its section in a preset
    label: str  # as shown in tables and figures
    paper: str  # authors, year
    description: str  # one line
    kind: Kind
    not_in: Mapping[str, str] = field(default_factory=dict)  # search space -> why it does not run there
    former: Mapping[str, str] = field(default_factory=dict)  # name in older records -> variant of today


@dataclass(frozen=True)
class Cost:
    """What was spent."""

    passes: float = 0.0  # forward-backward passes of one path over one batch; a forward alone counts 1/3
    images: int = 0  # training images, each path's batch counted
    seconds: float = 0.0  # of this machine
    queries: int = 0  # of the ground truth


@dataclass(frozen=True)
class Answer:
    """What an oracle tells about an architecture."""

    accuracy: float  # fraction
    seconds: float  # simulated: what the training that the answer stands for took


@dataclass(frozen=True)
class Column:
    """A column of a diary's table."""

    name: str
    kind: Literal["number", "percent", "arch", "text"] = "number"  # "percent": a fraction; "arch": an official index
    digits: int = 3


@dataclass(frozen=True)
class DiaryTable:
    """Rows that a method wrote down in one run, for example one a round; an undefined number is None."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclass(frozen=True)
class DiaryLine:
    """One line of a plot."""

    label: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class DiaryPanel:
    """One panel of a plot."""

    title: str
    lines: Sequence[DiaryLine]


@dataclass(frozen=True)
class DiaryPlot:
    """What a method watched in one run; all panels share their axes."""

    title: str
    x_label: str
    y_label: str
    panels: Sequence[DiaryPanel]
    marks: Sequence[float] = ()  # places on the x axis where something happened
    note: str = ""


@dataclass(frozen=True)
class Diary:
    """What a method wants a report to show beside its rankings; empty by default."""

    numbers: Mapping[str, float | None] = field(
        default_factory=dict
    )  # by name; compared over seeds; None: not measured
    numbers_note: str = ""  # how to read them
    tables: Sequence[DiaryTable] = ()
    plots: Sequence[DiaryPlot] = ()

    def to_json(self) -> dict[str, Any]:
        """In types that JSON has; what is not finite becomes None."""
        found = _plain(asdict(self))
        assert isinstance(found, dict)
        return found

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Diary":
        """The reverse of `to_json`."""
        tables = [
            DiaryTable(t["title"], [Column(**column) for column in t["columns"]], t["rows"], t["note"])
            for t in content.get("tables", ())
        ]
        plots = [
            DiaryPlot(
                *(p["title"], p["x_label"], p["y_label"]),
                [DiaryPanel(panel["title"], [DiaryLine(**line) for line in panel["lines"]]) for panel in p["panels"]],
                *(p["marks"], p["note"]),
            )
            for p in content.get("plots", ())
        ]
        return cls(content.get("numbers", {}), content.get("numbers_note", ""), tables, plots)


@dataclass(frozen=True)
class Trace:
    """What a searcher asked the ground truth, in order; `t` queries."""

    arch_index: Sequence[int]  # [t]
    value: Sequence[float]  # [t], the accuracy that it was told, fraction
    seconds: Sequence[float]  # [t], simulated seconds that each query took


@dataclass(frozen=True)
class Outcome:
    """What a method has besides its scores; it may be asked for at any time."""

    cost: Cost
    proposal: Sequence[tuple[int, ...]] = ()  # the architectures that it would take, best first
    trace: Trace | None = None
    diary: Diary = field(default_factory=Diary)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
