"""What a run leaves behind besides its scores: one immutable JSON record.

A record says what was done and with what; it holds no correlation. Those are computed from the scores and the ground
truth each time a report is made, so a better metric needs no new run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.study.scores import RunScores
from mngnas.errors import UserError
from mngnas.methods.info import Cost, Diary
from mngnas.spaces import Space, space_named

FORMAT = 2


@dataclass(frozen=True)
class MethodRef:
    """Which method, with which of its settings changed; enough to show it without its code."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)  # field of its `Config` -> value
    label: str = ""  # of the method without changes
    kind: str = "supernet"
    paper: str = ""

    @property
    def variant(self) -> str:
        """As it is given on the command line: "mngnas", or "mngnas[cap=1.0,pool=2]"."""
        return self.name + self._bracket(",")

    @property
    def full_label(self) -> str:
        """As tables and pictures show it: "MNGNAS", or "MNGNAS [cap=1.0, pool=2]"."""
        return (self.label or self.name) + (" " if self.changes else "") + self._bracket(", ")

    def _bracket(self, between: str) -> str:
        changes = between.join(f"{key}={written(value)}" for key, value in self.changes.items())
        return f"[{changes}]" if changes else ""


def written(value: object) -> str:
    """A setting's value as the command line takes it: TOML without the quotation marks of words."""
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class RunRecord:
    """What was run. All fields are JSON types, or dataclasses, lists and dictionaries of them."""

    method: MethodRef
    seed: int
    benchmark: str  # name of the ground-truth table
    space: str  # name of the search space
    dataset: str
    images: str  # what the pixels were, for example "CIFAR-10 (JPEG)"
    preset: str  # name of the preset as it was asked for
    changes: tuple[str, ...]  # of the preset, "training.passes=1000" for example
    config: Mapping[str, Any]  # the settings themselves, by section
    protocol: int  # bench.study.preset.PROTOCOL
    table_checksum: str
    steps: int  # calls of `Method.advance`
    cost: Cost  # of the method itself: teachers' and search's forwards included
    ranking_costs: Mapping[str, Cost]  # of scoring, by the name of the ranking; on top of `cost`
    proposal: tuple[int, ...]  # official indices of the architectures that the method would take, best first
    oracle: Mapping[str, Any] | None  # what of the ground truth the method was allowed to ask; None: nothing
    diary: Diary
    device: str  # "cpu: <model>, 1 thread" or the GPU's name
    versions: Mapping[str, str]
    commit: str  # when the run began; "unknown" outside a git checkout
    dirty: bool  # whether the checkout differed from that commit then
    started: str  # ISO 8601, UTC
    scores_sha256: str
    format: int = FORMAT

    @property
    def search_space(self) -> Space:
        """The search space itself."""
        return space_named(self.space)

    def to_json(self) -> dict[str, Any]:
        """All fields and, under "sha256", a digest over them."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        content |= {"method": asdict(self.method), "cost": asdict(self.cost), "diary": self.diary.to_json()}
        content["ranking_costs"] = {name: asdict(cost) for name, cost in self.ranking_costs.items()}
        content = dict(json.loads(json.dumps(content)))
        return content | {"sha256": _json_digest(content)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        """The reverse of `to_json`; raises `UserError` if a field was changed, ValueError and the like for nonsense."""
        fields = dict(content)
        if fields.pop("sha256") != _json_digest(fields):
            raise UserError("its contents are not those that its digest is of: it was changed after it was written")
        fields |= {"method": MethodRef(**fields["method"]), "cost": Cost(**fields["cost"])}
        fields["ranking_costs"] = {name: Cost(**cost) for name, cost in fields["ranking_costs"].items()}
        fields["diary"] = Diary.from_json(fields["diary"])
        fields |= {name: tuple(fields[name]) for name in ("changes", "proposal")}
        return cls(**fields)


@dataclass(frozen=True)
class Run:
    """A finished run with its scores."""

    directory: Path  # in a packed study it need not exist
    record: RunRecord
    scores: RunScores


def _json_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
