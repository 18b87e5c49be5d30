"""Where in a sheet the architectures stand: found by what the columns hold; candidates that disagree are refused."""

import re
from dataclasses import replace

import numpy as np

from bench.scores.columns import (
    Architectures,
    Candidate,
    check_agreement,
    check_shift,
    common_form,
    operation_columns,
    read_column,
)
from bench.scores.forms import INDEX, NAMED, OF_NUMBERS, Notation
from bench.scores.indices import find_indices
from bench.scores.naming import DIGITS_ORDERS
from bench.scores.sheet import Sheet
from mngnas.errors import UserError
from mngnas.spaces.topology import Topology

_OFFICIAL = re.compile(r"(arch|architecture|official|net|nasbench).*(index|idx|id)", re.IGNORECASE)  # no row numbers


def find_architectures(sheet: Sheet, notation: Notation, wanted: str | None = None) -> Architectures:
    """Find and read the architectures; `wanted` is the score column that was asked for, which is none of them.

    Raises `UserError` if there are none, if columns disagree, or if row numbers could be taken for indices.
    """
    if sheet.in_order:
        index = np.array(sheet.columns[0], dtype=np.int64)
        return Architectures((0,), "official order, no architectures in the file", INDEX, None, index, sheet.columns[0])
    candidates = [
        Candidate((at,), sheet.title(at), cells)
        for at, cells in enumerate(sheet.columns)
        if sheet.names[at] != wanted or at == sheet.keys or wanted is None
    ]
    if isinstance(notation.space, Topology):
        candidates += operation_columns(sheet)
    forms = [common_form(candidate.cells, notation) for candidate in candidates]
    kinds = list(zip(candidates, forms, strict=True))
    named = [read_column(candidate, sheet, notation) for candidate, form in kinds if form in NAMED]
    of_numbers = [candidate for candidate, form in kinds if form in OF_NUMBERS]
    if named:
        best = max(named, key=lambda found: int((found.index >= 0).sum()))
        check_agreement(best, [found for found in named if found is not best], sheet)
        for candidate in of_numbers:
            _check_numbers(best, candidate, sheet, notation)
        for candidate, form in kinds:
            if form == INDEX and _OFFICIAL.fullmatch(sheet.names[candidate.columns[0]] or ""):
                check_agreement(best, [read_column(candidate, sheet, notation)], sheet)
        beside = [found.columns for found in named if found is not best] + [c.columns for c in of_numbers]
        return replace(check_shift(sheet, best), beside=tuple(at for columns in beside for at in columns))
    if of_numbers:
        first, *others = [read_column(candidate, sheet, notation) for candidate in of_numbers]
        check_agreement(first, others, sheet)
        return replace(check_shift(sheet, first), beside=tuple(at for other in others for at in other.columns))
    return find_indices([candidate for candidate, form in kinds if form == INDEX], sheet, notation)


def _check_numbers(best: Architectures, candidate: Candidate, sheet: Sheet, notation: Notation) -> None:
    """Refuse numbers that are other architectures than the named ones in every order that is known."""
    for order in DIGITS_ORDERS.values():
        try:
            check_agreement(best, [read_column(candidate, sheet, Notation(notation.space, order))], sheet)
        except UserError as error:
            reason = error
        else:
            return
    raise reason
