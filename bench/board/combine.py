"""A row that combines others: their scores of the same architectures put together by one rule."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from bench.board.entries import COMBINED, Entry
from mngnas.errors import UserError
from mngnas.ranks import aggregate, midranks


def combined(entries: Sequence[Entry], how: str, patterns: Sequence[str] = ("*",)) -> Entry:
    """The aggregate `how` (`mngnas.ranks.aggregate`) of all entries that asked no ground truth and match a pattern.

    Patterns are shell-style and match a name or a label. Of an entry with several seeds the mean rank over seeds
    counts; the row has the architectures that all of them scored. Raises `UserError` for fewer than two entries, and
    where they share no architecture.
    """
    chosen = [
        one
        for one in entries
        if not one.is_reference and not one.asked and one.kind != COMBINED and _matches(one, patterns)
    ]
    if len(chosen) < 2:
        raise UserError(f"--aggregate {how}: {len(chosen)} rows match {','.join(patterns)!r}; two are needed")
    shared = np.logical_and.reduce([one.scored for one in chosen])
    if not shared.any():
        raise UserError(f"--aggregate {how}: its {len(chosen)} rows share no architecture")
    ranks = np.stack([np.mean([midranks(seed[shared]) for seed in one.scores], axis=0) for one in chosen])
    scores = np.full((1, len(shared)), np.nan)
    scores[0, shared] = aggregate(ranks, how)
    return Entry(
        name=how,
        label=f"{how} of {len(chosen)} rows",
        kind=COMBINED,
        source="rows of this table",
        ranking="",
        column="",
        protocol={"of": ", ".join(one.label for one in chosen)},
        seeds=(),
        scores=scores,
        passes=float(np.sum([one.passes for one in chosen])),
        seconds=float(np.sum([one.seconds for one in chosen])),
    )


def _matches(entry: Entry, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for text in (entry.name, entry.label) for pattern in patterns)
