"""Cells as scores: numbers with the marks that people leave on them, one style for a whole column or none at all.

NaN stands for "no score" (empty, null, NaN); infinities are scores. What is neither is unreadable, never skipped.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

MISSING = frozenset(("", "nan", "null", "none", "na", "n/a", "<na>", "#n/a", "nil"))

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_WORDS = r"[+-]?inf(?:inity)?|[+-]?nan"
_PLAIN = re.compile(f"{_NUMBER}|{_WORDS}", re.IGNORECASE)
_TENSOR = re.compile(rf"(?:torch\.)?tensor\(\s*\[?\s*({_NUMBER}|{_WORDS})\s*\]?\s*(?:,\s*[a-z_]+=.*)?\)", re.IGNORECASE)
_NUMPY = re.compile(rf"np\.float(?:16|32|64)\(({_NUMBER}|{_WORDS})\)", re.IGNORECASE)
_SPREAD = re.compile(rf"({_NUMBER})\s*%?\s*(?:±|\+/-|\+-|\\pm)\s*{_NUMBER}\s*(%?)")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(\.[0-9]*)?")
_LIKE_A_NUMBER = re.compile(r"[^\w@|~]{0,3}(?:[a-z_.]{1,12}[=:(\s]\s*\[?)?[+-]?[0-9][^@|~]{0,40}", re.IGNORECASE)


@dataclass(frozen=True)
class Numbers:
    """A column as numbers."""

    values: np.ndarray  # float64 [n]; NaN where there is no score or no readable one
    missing: np.ndarray  # bool [n], no score
    bad: np.ndarray  # bool [n], neither a number nor "no score"
    marks: str  # how they were written, "" for plainly

    @property
    def is_score(self) -> bool:
        """Whether most of what stands there are numbers: one bad cell must not hide a column."""
        n_number = int((~self.missing & ~self.bad).sum())
        return n_number > 0 and n_number > int(self.bad.sum())


def numbers(cells: list[object]) -> Numbers:
    """Read a column; a list of numbers in a cell, one a seed, counts as its mean over the numbers that are there."""
    quick = _quick(cells)
    if quick is not None:
        return Numbers(quick, np.isnan(quick), np.zeros(len(cells), dtype=bool), "")
    read = [_cell(cell) for cell in cells]
    styles = Counter(style for _, style in read if style not in ("missing", "bad"))
    kept = _agreed([cell for cell, (_, style) in zip(cells, read, strict=True) if style == "comma"], styles)
    values = np.full(len(cells), np.nan)
    missing, bad = np.zeros(len(cells), dtype=bool), np.zeros(len(cells), dtype=bool)
    for row, (cell, (value, style)) in enumerate(zip(cells, read, strict=True)):
        if style == "missing" or (style in kept and isinstance(value, float) and math.isnan(value)):
            missing[row] = True
        elif style not in kept:
            bad[row] = True
        elif style == "comma":
            values[row] = float(str(cell).strip().replace(",", "." if kept["comma"] == "decimal commas" else ""))
        else:
            values[row] = value
    marks = dict.fromkeys(kept[style] for style in styles if kept.get(style))
    return Numbers(values, missing, bad, ", ".join(marks))


def look_like_numbers(cells: list[object]) -> bool:
    """Whether most of these cells are short texts that begin as a number would: 85 points, acc=0.8, 3/4."""
    words = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    return 2 * sum(_LIKE_A_NUMBER.fullmatch(word.strip()) is not None for word in words) > max(len(words), 1)


def _quick(cells: list[object]) -> np.ndarray | None:
    """Columns of plain numbers alone, which are nearly all."""
    kinds = set(map(type, cells))
    try:
        if kinds <= {float, int}:
            return np.array(cells, dtype=np.float64)
        if kinds == {str}:
            whole = "".join(cells)  # type: ignore[arg-type]
            if whole.isascii() and "_" not in whole:  # float() takes "1_0" for 10
                return np.array([float(cell) for cell in cells], dtype=np.float64)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        pass
    return None


def _cell(cell: object) -> tuple[float, str]:
    """The number and the style in which it is written."""
    if isinstance(cell, bool):
        return 0.0, "bad"
    if cell is None:
        return 0.0, "missing"
    if isinstance(cell, int | float):
        return _float(cell), "plain"
    if isinstance(cell, list | tuple):
        return _mean(cell)
    return _text(cell.strip()) if isinstance(cell, str) else (0.0, "bad")


def _text(text: str) -> tuple[float, str]:
    if text.lower() in MISSING:
        return 0.0, "missing"
    if not text.isascii() and "±" not in text and "−" not in text:
        return 0.0, "bad"
    text = text.replace("−", "-")
    if _PLAIN.fullmatch(text):
        return _float(text), "plain"
    if text.endswith("%") and _PLAIN.fullmatch(text[:-1].strip()):
        return _float(text[:-1]), "percent"
    if match := _TENSOR.fullmatch(text) or _NUMPY.fullmatch(text):
        return _float(match[1]), "tensor"
    if match := _SPREAD.fullmatch(text):
        return _float(match[1]), "percent spread" if "%" in text else "spread"
    return (0.0, "comma") if _COMMA.fullmatch(text) or _THOUSANDS.fullmatch(text) else (0.0, "bad")


def _mean(cell: list[object] | tuple[object, ...]) -> tuple[float, str]:
    """Several seeds."""
    found = [_cell(part) for part in cell if not isinstance(part, list | tuple)]
    if not cell or len(found) < len(cell) or any(style not in ("plain", "missing") for _, style in found):
        return 0.0, "bad"
    known = [value for value, style in found if style == "plain" and not math.isnan(value)]
    return (sum(known) / len(known), "seeds") if known else (0.0, "missing")


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


_MARKS = {
    "plain": "",
    "percent": "percent signs",
    "tensor": "tensor(...)",
    "spread": "a spread behind each, not used",
    "percent spread": "percent signs, a spread behind each, not used",
    "seeds": "means of several seeds",
}


def _agreed(commas: list[object], styles: Counter[str]) -> dict[str, str]:
    """The styles that are read together, each with its mark; a style that would change the scale is not among them."""
    kept = dict(_MARKS)
    percent, without = styles["percent"] + styles["percent spread"], styles["plain"] + styles["spread"]
    if percent and without:  # 85 and 85 % may or may not be the same
        for style in ("percent", "percent spread") if without >= percent else ("plain", "spread"):
            del kept[style]
    if commas and (mark := _comma_style(list(map(str, commas)), styles["plain"])):
        kept["comma"] = mark
    return kept


def _comma_style(commas: list[str], n_plain: int) -> str | None:
    """What commas in numbers mean; None where both readings are possible and would differ."""
    could_be_decimal = all(_COMMA.fullmatch(text.strip()) for text in commas)
    could_be_thousands = all(_THOUSANDS.fullmatch(text.strip()) for text in commas)
    if could_be_decimal and could_be_thousands:  # 85,157: without others the order is the same in both readings
        return None if n_plain else "decimal commas"
    return "decimal commas" if could_be_decimal else "commas between thousands" if could_be_thousands else None
