r"""A table as Markdown, CSV and LaTeX with booktabs; the LaTeX is a fragment for \input, and tables.tex holds them all.

    OUT/NAME.md, NAME.csv, NAME.tex    a table
    OUT/figures/                       pictures, as SVG, as PDF for LaTeX, and the CSV behind each
    OUT/tables.tex                     a document of every table and picture

The same tables give the same bytes.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import write_atomically
from bench.report import csv_bytes
from bench.report.look import STYLE, to_svg
from bench.report.page import Block, Csv, Paragraph, Picture, TextTable, to_markdown
from mngnas.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PaperTable:
    """One table of a paper, and pictures of the same numbers."""

    name: str  # of its files
    title: str
    text: TextTable
    notes: tuple[str, ...]
    csv: Csv
    pictures: tuple[Picture, ...] = ()

    @property
    def blocks(self) -> list[Block]:
        """As a page has them."""
        return [self.text, *map(Paragraph, self.notes), *self.pictures]


def make_folder(out: Path) -> None:
    """Make the folder of the tables; raises `UserError` if that cannot be."""
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write tables to {out}: {error.strerror or error}") from error


def write_tables(out: Path, tables: Sequence[PaperTable]) -> list[Path]:
    """Write every table in all forms to the folder; returns the files."""
    content: dict[Path, bytes] = {}
    for table in tables:
        content[out / f"{table.name}.md"] = to_markdown(table.title, table.blocks).encode()
        content[out / f"{table.name}.csv"] = csv_bytes(table.csv)
        content[out / f"{table.name}.tex"] = to_latex(table).encode()
        for picture in table.pictures:
            content[out / "figures" / f"{picture.name}.svg"] = to_svg(picture.draw)
            content[out / "figures" / f"{picture.name}.pdf"] = _to_pdf(picture.draw)
            content[out / "figures" / f"{picture.csv.name}.csv"] = csv_bytes(picture.csv)
    content[out / "tables.tex"] = document(table.name for table in tables).encode()
    for path, data in content.items():
        write_atomically(path, data)
    return list(content)


def _to_pdf(draw: "Callable[[], Figure]") -> bytes:
    """The picture as PDF, without a date."""
    from matplotlib import style
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    with style.context(["default", STYLE, {"pdf.fonttype": 42}]):
        figure = draw()
        figure.draw_without_rendering()
        out = BytesIO()
        canvas: Any = FigureCanvasPdf(figure)
        canvas.print_pdf(out, metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return out.getvalue()


# --------------------------------------------------------------------------------------------------------------- LaTeX

PACKAGES = ("booktabs", "longtable", "graphicx")


def document(names: Iterable[str]) -> str:
    """A document that holds these fragments."""
    packages = "".join(f"\\usepackage{{{name}}}\n" for name in PACKAGES)
    inputs = "\\clearpage\n".join(f"\\input{{{name}}}\n" for name in names)
    return (
        f"\\documentclass{{article}}\n{packages}\\usepackage[a4paper,landscape,margin=12mm]{{geometry}}\n"
        f"\\begin{{document}}\n{inputs}\\end{{document}}\n"
    )


def to_latex(table: PaperTable) -> str:
    """A `longtable` with its notes, then a `figure` for each picture; it needs the packages of `PACKAGES`."""
    head, rows = table.text.head, table.text.rows
    columns = "".join(_alignment(column) for column in zip(head, *rows, strict=True))
    lines = [
        f"% {table.name}: \\usepackage{{{','.join(PACKAGES)}}}; pictures are in figures/",
        *(
            "\\begingroup",
            "\\footnotesize",
            "\\setlength{\\tabcolsep}{3.5pt}",
            "\\setlength{\\LTcapwidth}{\\linewidth}",
        ),
        f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        f"\\caption{{{escaped(table.title)}}}\\label{{tab:{table.name}}} \\\\",
        *("\\toprule", *_row(head, small=False), "\\midrule", "\\endhead", "\\bottomrule", "\\endfoot"),
        *(line for row in rows for line in _row(row, small=True)),
        *("\\end{longtable}", "\\scriptsize"),
        *(f"\\noindent {escaped(note)}\\par" for note in table.notes),
        "\\endgroup",
    ]
    for picture in table.pictures:
        lines += [
            *("\\begin{figure}[htbp]", "\\centering"),
            "\\includegraphics[width=.7\\linewidth,height=.8\\textheight,keepaspectratio]"
            f"{{figures/{picture.name}.pdf}}",
            f"\\caption{{{escaped(f'{picture.title}. {picture.caption}')}}}",
            *(f"\\label{{fig:{picture.name}}}", "\\end{figure}"),
        ]
    return "\n".join(lines) + "\n"


def _alignment(column: Sequence[str]) -> str:
    """Numbers stand right."""
    cells = [cell for cell in column[1:] if cell]
    return "r" if cells and all(re.match(r"[−\d.]|n/a", cell) for cell in cells) else "l"


def _row(cells: Sequence[str], *, small: bool) -> list[str]:
    """A line of the table for each line of the longest cell; those after the first are small print."""
    parts = [cell.split("\n") for cell in cells]
    depth = max(map(len, parts))
    lines = []
    for number in range(depth):
        texts = [escaped(part[number]) if number < len(part) else "" for part in parts]
        if small and number:
            texts = [f"\\scriptsize {text}" if text else "" for text in texts]
        lines.append(" & ".join(texts) + (" \\\\" if number == depth - 1 else " \\\\*"))  # no page begins within a row
    return lines


# An opening bracket or a star after the end of a row would be an argument of it.
_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    "−": "$-$",
    "±": "$\\pm$",
    "×": "$\\times$",
    "→": "$\\to$",
    "–": "--",
    "“": "``",
    "”": "''",
    "’": "'",
    "†": "\\dag{}",
    "‡": "\\ddag{}",
    "§": "\\S{}",
    **{character: f"{{{character}}}" for character in "[]*-`"},
}


def escaped(text: str) -> str:
    """The text as LaTeX shows it; a character that plain fonts may lack is named by its number."""
    return "".join(
        _LATEX.get(character, character if " " <= character <= "~" else f"{{[}}U+{ord(character):04X}{{]}}")
        for character in text
    )
