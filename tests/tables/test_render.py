"""LaTeX that compiles whatever a label holds."""

import shutil
import subprocess

import pytest

from bench.report.page import Csv, Picture, TextTable
from bench.tables.render import PACKAGES, PaperTable, document, escaped, make_folder, to_latex, write_tables
from mngnas.errors import UserError

NASTY = (
    "MNGNAS [pool=2, cap=1.0]",
    "[x] * -- a_b 50 % & #1 $x$ {y} ~ ^ \\def",
    "<|nor_conv_3x3~0|> “é” ‘β’ “quoted” −1 ± 2 × 3† ‡ § → 'x' `y` \"z\" ß 中 \U0001f600",
    "*",
    "[",
)


def draw():
    from matplotlib.figure import Figure

    return Figure(figsize=(2, 1))


def nasty_table(name="nasty"):
    rows = tuple((f"{text}\n{text}", "0.5\n[0.1 to 0.2]", text) for text in NASTY)
    csv = Csv(name, ("text", "value"), lambda: [(text, 0.5) for text in NASTY])
    picture = Picture(f"{name}-picture", NASTY[0], draw, NASTY[1], csv)
    return PaperTable(
        name, f"Table {NASTY[1]}", TextTable(("method", "value\n%", "text"), rows), NASTY, csv, (picture,)
    )


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("MNGNAS [pool=2, cap=1.0]", "MNGNAS {[}pool=2, cap=1.0{]}"),
        ("per_stage=false", "per\\_stage=false"),
        ("50 % & more", "50 \\% \\& more"),
        ("93.92 ± 0.30§", "93.92 $\\pm$ 0.30\\S{}"),
        ("−0.017", "$-$0.017"),
        ("a\\b", "a\\textbackslash{}b"),
        ("β", "{[}U+03B2{]}"),
    ],
)
def test_escaped(text, latex):
    assert escaped(text) == latex


def test_small_print_is_lines_of_their_own_and_a_row_is_not_parted():
    lines = to_latex(nasty_table()).splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("MNGNAS"))
    assert lines[first].endswith(" \\\\*")
    assert lines[first + 1].startswith("\\scriptsize MNGNAS {[}pool=2")
    assert lines[first + 1].endswith(" \\\\")
    assert "\\begin{longtable}{@{}lrl@{}}" in lines  # numbers stand right


def test_files_are_whole_and_the_same_each_time(tmp_path):
    for name in ("a", "b"):
        make_folder(tmp_path / name)
    paths = write_tables(tmp_path / "a", [nasty_table()])
    write_tables(tmp_path / "b", [nasty_table()])
    names = {str(path.relative_to(tmp_path / "a")) for path in paths}
    assert names == {
        *("nasty.md", "nasty.csv", "nasty.tex", "tables.tex"),
        *("figures/nasty-picture.svg", "figures/nasty-picture.pdf", "figures/nasty.csv"),
    }
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert "| --- | --- | --- |" in (tmp_path / "a" / "nasty.md").read_text(encoding="utf-8")


def test_a_file_in_the_way_is_a_mistake(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="cannot write tables to"):
        make_folder(tmp_path / "out")


@pytest.fixture
def latex():
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("needs pdflatex with booktabs (Debian: texlive-latex-recommended), which is not here")

    def compiled(folder, name):
        options = ["-interaction=nonstopmode", "-halt-on-error"]
        done = subprocess.run([program, *options, name], cwd=folder, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout.decode("latin-1")

    return compiled


def test_it_compiles_on_its_own_and_as_a_part(tmp_path, latex):
    make_folder(tmp_path)
    write_tables(tmp_path, [nasty_table(), nasty_table("second")])
    status, said = latex(tmp_path, "tables.tex")
    assert status == 0, said[-3000:]
    assert "Missing character" not in said
    packages = "".join(f"\\usepackage{{{name}}}" for name in PACKAGES)
    text = f"\\documentclass{{article}}{packages}\\begin{{document}}Text. \\input{{nasty}} More.\\end{{document}}"
    (tmp_path / "paper.tex").write_text(text, encoding="utf-8")
    status, said = latex(tmp_path, "paper.tex")
    assert status == 0, said[-3000:]
    assert document(["nasty"]).count("\\input") == 1
