"""A run's checkpoints: the newest and the one before it, each with a digest and the identity of its run."""

import hashlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_atomically
from mngnas.errors import UserError

if TYPE_CHECKING:
    import torch  # where there is no checkpoint nobody needs it

CHECKPOINT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"
_MAGIC = b"mngnas-bench checkpoint 2\n"
_DIGEST = 64  # hex digits


def save_checkpoint(directory: Path, state: dict[str, Any], identity: str) -> None:
    """Write a state of tensors and plain containers; the one before it is kept."""
    import torch

    buffer = io.BytesIO()
    torch.save({"identity": identity, "state": state}, buffer)
    content = buffer.getvalue()
    newest = directory / CHECKPOINT
    if newest.exists():
        newest.replace(directory / PREVIOUS)
    write_atomically(newest, _MAGIC + hashlib.sha256(content).hexdigest().encode() + content)


def load_checkpoint(directory: Path, identity: str, device: "torch.device | str") -> dict[str, Any] | None:
    """The newest state that is whole; None if there is no checkpoint.

    A damaged one is told on standard error, and the one before it is taken. Raises `UserError` if none is whole, or if
    one belongs to another run.
    """
    damaged = []
    paths = [path for path in (directory / CHECKPOINT, directory / PREVIOUS) if path.exists()]
    for path in paths:
        content = path.read_bytes()
        digest, body = content[len(_MAGIC) : len(_MAGIC) + _DIGEST], content[len(_MAGIC) + _DIGEST :]
        if not content.startswith(_MAGIC) or hashlib.sha256(body).hexdigest().encode() != digest:
            print(f"{path} is damaged", file=sys.stderr)
            damaged.append(path)
            continue
        import torch

        found = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
        if found["identity"] != identity:
            raise UserError(f"{path} is a checkpoint of another run; delete it to start again")
        state: dict[str, Any] = found["state"]
        for other in damaged:  # or it would be kept in place of the whole one when the next is saved
            other.unlink(missing_ok=True)
        return state
    if paths:
        raise UserError(f"{paths[0]} is damaged, and there is no whole one before it; delete it to start again")
    return None


def remove_checkpoints(directory: Path) -> None:
    """Once the record is there."""
    for name in (CHECKPOINT, PREVIOUS):
        (directory / name).unlink(missing_ok=True)
