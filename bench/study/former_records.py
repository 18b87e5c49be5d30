"""Records of format 1, as studies before version 0.2 left them: read, never written."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.study.records import MethodRef, RunRecord
from bench.study.scores import Arrays, Curve, RunScores, Scores
from mngnas.errors import UserError
from mngnas.methods.info import Cost, Diary
from mngnas.methods.registry import method_of_record

_SPACE = "nas-bench-201"  # there was no other


def read(directory: Path, content: Mapping[str, Any], arrays: Arrays) -> tuple[RunRecord, RunScores]:
    """The record and the scores in today's form; what a strategy wrote down is not converted."""
    if _digest(arrays) != content["scores_sha256"]:
        raise UserError(f"the scores of {directory} are not those that its record describes")
    names = [name.removesuffix("_arch_index") for name in arrays if name.endswith("_arch_index")]
    rankings = {n: Scores(arrays[f"{n}_arch_index"], _columns(arrays, n)) for n in names if n != "curve"}
    passes, images, seconds = (arrays[f"curve_{key}"] for key in ("passes", "images", "seconds"))
    queries = np.zeros(len(passes), np.int64)
    curve = Curve(arrays["curve_arch_index"], passes, images, seconds, queries, _columns(arrays, "curve"))
    costs = {name: Cost(seconds=content["score_seconds"] if name == "inherited" else 0.0) for name in rankings}
    if "retrained" in costs:
        costs["retrained"] = Cost(content["retraining_passes"], 0, content["retraining_seconds"])
    preset, *changes = content["preset"].split(" ")
    name, changed = method_of_record(content["strategy"])
    record = RunRecord(
        method=MethodRef(name.name, changed, name.label, name.kind, name.paper),
        seed=content["seed"],
        **{key: content[key] for key in ("benchmark", "dataset", "images", "config", "protocol", "table_checksum")},
        space=_SPACE,
        preset=preset,
        changes=tuple(changes),
        steps=content["steps"],
        cost=Cost(content["passes"], content["images_seen"], content["train_seconds"]),
        ranking_costs=costs,
        proposal=(),
        oracle=None,
        diary=Diary(),
        **{key: content[key] for key in ("device", "versions", "commit", "dirty", "started", "scores_sha256")},
    )
    return record, RunScores(dict(sorted(rankings.items())), curve)


def _columns(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    return {"accuracy": arrays[f"{name}_accuracy"], "minus_loss": -arrays[f"{name}_loss"]}


def _digest(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        if name != "curve_seconds":
            digest.update(f"{name} {values.dtype} {values.shape}\n".encode())
            digest.update(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
