"""Seeded damage: what disks, editors and strangers do to files and to words."""

import os
import random

ROUNDS = int(os.environ.get("MNGNAS_BENCH_FUZZ", "1"))  # 10: ten times as many cases of everything


def damaged(content: bytes, draw: random.Random) -> bytes:
    """A flipped bit, a truncation, a run of other bytes, a piece that is missing or there twice."""
    kind, at = draw.randrange(6), draw.randrange(max(1, len(content)))
    length = draw.randrange(1, 64)
    if kind <= 1:
        changed = bytearray(content)
        changed[at] ^= 1 << draw.randrange(8)
        return bytes(changed)
    if kind == 2:
        return content[:at]
    if kind == 3:
        return content[:at] + draw.randbytes(length) + content[at + length :]
    if kind == 4:
        return content[:at] + content[at + length :]
    return content[: at + length] + content[at:]


def assert_one_line(text: str) -> None:
    """What a user may be told: one line of at most 300 characters that no terminal obeys."""
    assert text
    assert "\n" not in text.rstrip("\n"), text
    assert len(text.rstrip("\n")) <= 300, text
    assert text.rstrip("\n").isprintable(), text
