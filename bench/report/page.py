"""A page as a list of blocks, written as HTML that needs no other file, or as Markdown with the pictures beside it."""

import base64
import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.report.runs import StudyRuns

N = TypeVar("N")
CsvRow = tuple[str | int | float, ...]


@dataclass(frozen=True)
class Heading:
    """A heading below the title."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text; "lead": what the whole page says, "warning": what to beware of."""

    text: str
    style: Literal["", "lead", "warning"] = ""


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """Cells of text; lines of a cell after the first are small print."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Csv:
    """The numbers behind a picture; an undefined number is NaN, one that does not apply is ""."""

    name: str  # of the file; pictures of the same numbers share it
    header: tuple[str, ...]
    rows: Callable[[], Iterable[CsvRow]]


@dataclass(frozen=True)
class Picture:
    """A picture with its caption; it is drawn when the page is written."""

    name: str  # of the file
    title: str
    draw: Callable[[], "Figure"]
    caption: str
    csv: Csv


@dataclass(frozen=True)
class Folded:
    """What few readers need: folded in HTML, under a heading of its own in Markdown."""

    title: str
    blocks: tuple["Block", ...]


Block = Heading | Paragraph | Facts | Code | TextTable | Picture | Folded


def pictures_in(blocks: "Iterable[Block]") -> Iterator[Picture]:
    """All pictures of a page, those in folded parts too."""
    for block in blocks:
        if isinstance(block, Picture):
            yield block
        elif isinstance(block, Folded):
            yield from pictures_in(block.blocks)


@dataclass(frozen=True)
class Section(Generic[N]):
    """One topic of a report: its numbers, and the blocks that show them.

    `numbers` gives a frozen dataclass, or None where a study has nothing for the topic, which is then left out.
    """

    name: str  # key in results.json
    numbers: "Callable[[StudyRuns], N | None]"
    blocks: Callable[[N], Sequence[Block]]


CSS = """
:root { color-scheme: light; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, figcaption { max-width: 46rem; } p { font-size: .95rem; } p.lead { font-size: 1.08rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .92rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
p.warning { border-left: 4px solid #D55E00; padding: .1rem .8rem; background: #FFF4EC; margin: .4rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid #ddd; }
th { font-weight: 600; border-bottom: 2px solid #888; vertical-align: bottom; }
td small { display: block; color: #555; white-space: nowrap; }
figure { margin: 1.5rem 0 2.5rem; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #333; } pre { background: #f5f5f5; padding: .7rem; white-space: pre-wrap; }
details { margin: 2.4rem 0; border-top: 1px solid #ddd; padding-top: .8rem; }
summary { font-size: 1.2rem; font-weight: 700; cursor: pointer; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
  .wide { overflow: visible; } }
"""


def to_html(title: str, blocks: Iterable[Block], drawings: Mapping[str, bytes]) -> str:
    """One page that needs no other file; `drawings` holds the SVG of every picture by its name."""
    body = "\n".join(_html_block(block, drawings) for block in blocks)
    name = html.escape(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{CSS}</style>\n</head>\n'
        f"<body>\n<h1>{name}</h1>\n{body}\n</body>\n</html>\n"
    )


def _html_block(block: Block, drawings: Mapping[str, bytes]) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Paragraph(text, style):
            tag = f'<p class="{style}">' if style else "<p>"
            return f"{tag}{html.escape(text)}</p>"
        case Facts(rows):
            pairs = (f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
            return f"<dl>{''.join(pairs)}</dl>"
        case Code(lines):
            return f"<pre><code>{html.escape(chr(10).join(lines))}</code></pre>"
        case TextTable(head, rows):
            top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
            body = "\n".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in rows)
            return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
        case Picture():
            return _html_picture(block, drawings[block.name])
        case Folded(title, inside):
            body = "\n".join(_html_block(one, drawings) for one in inside)
            return f"<details>\n<summary>{html.escape(title)}</summary>\n{body}\n</details>"


def _html_picture(picture: Picture, svg: bytes) -> str:
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    image = f'<img src="{source}" alt="{html.escape(picture.title)}" width="{_pixels(svg)}">'
    link = f'Numbers: <a href="figures/{picture.csv.name}.csv">figures/{picture.csv.name}.csv</a>'
    text = f"<strong>{html.escape(picture.title)}.</strong> {html.escape(picture.caption)} {link}"
    return f'<figure id="{picture.name}">{image}<figcaption>{text}</figcaption></figure>'


def _html_cell(text: str) -> str:
    # A long architecture string may be broken between its nodes; copied, it is still one word.
    first, *rest = (html.escape(line).replace("|+|", "|+<wbr>|") for line in text.split("\n"))
    return f"<td>{first}{''.join(f'<small>{line}</small>' for line in rest)}</td>"


def _pixels(svg: bytes) -> int:
    """The width on the screen: a third more than in print."""
    width = re.search(rb'<svg[^>]* width="([\d.]+)pt"', svg)
    assert width, "matplotlib writes the width in points"
    return round(float(width[1]) * 96 / 72 * 4 / 3)


def to_markdown(title: str, blocks: Iterable[Block]) -> str:
    """The same with the pictures beside it."""
    return f"# {title}\n\n" + "\n\n".join(map(_markdown_block, blocks)) + "\n"


def _markdown_block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Paragraph(text, style):
            text = _markdown_text(text)
            return {"": text, "lead": f"**{text}**", "warning": f"> **Note.** {text}"}[style]
        case Facts(rows):
            return "\n".join(f"- **{name}**: {_markdown_text(value)}" for name, value in rows)
        case Code(lines):
            return "\n".join(["```sh", *lines, "```"])
        case TextTable(head, rows):
            cells = [tuple(map(_markdown_text, head)), ("---",) * len(head)]
            cells += [tuple(map(_markdown_text, row)) for row in rows]
            return "\n".join(f"| {' | '.join(row)} |" for row in cells)
        case Picture(name, title, _, caption, csv):
            text = f"{_markdown_text(caption)} Numbers: [figures/{csv.name}.csv](figures/{csv.name}.csv)"
            title = _markdown_text(title)
            return f"### {title}\n\n![{title}](figures/{name}.svg)\n\n{text}"
        case Folded(title, inside):
            return "\n\n".join([f"## {title}", *map(_markdown_block, inside)])


def _markdown_text(text: str) -> str:
    for special in "\\`*_<|[]~":
        text = text.replace(special, f"\\{special}")
    return text.replace("\n", "<br>")
