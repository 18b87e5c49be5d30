"""What the documentation names is there: files, modules, functions, classes, fields, options, presets, links."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "reports/README.md")),
        *(ROOT / "data").rglob("*.md"),
    ]
)
SOURCES = [*ROOT.glob("mngnas/**/*.py"), *ROOT.glob("bench/**/*.py"), *ROOT.glob("scripts/*.py"), ROOT / "run_bench.py"]
OTHERS = {  # names of other software, of formats and of mathematics that the pages have in backticks
    *("nats_bench", "nas_201_api", "load_digits", "default_rng", "torch.compile", "scipy.special", "torch"),
    *("x-valid", "ori-test", "x-test", "cifar10-valid", "ImageNet16-120", "weights_only"),
    *("mine/", "mine"),  # a user's own
}


def names_of_the_code() -> set[str]:
    """Everything that is defined, assigned or passed by name, and every word of a string."""
    found = set()
    for path in SOURCES:
        found |= {path.stem, *path.relative_to(ROOT).with_suffix("").parts}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
    return found


def words_of_the_code() -> set[str]:
    """Every literal text: options, files that are written, names of presets."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"[\w.\-*]+", node.value))
    return found


NAMES, WORDS = names_of_the_code() | {path.stem for path in ROOT.glob("bench/**/*.toml")}, words_of_the_code()


def spans(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def is_there(name: str) -> bool:
    """Whether a word in backticks that looks like code is in the code."""
    if name in OTHERS or name in WORDS:
        return True
    if "/" in name or re.search(r"\.(py|toml|sh|txt|md|npz|json|svg|lock)$", name):
        place = name.rstrip("/")
        return any(ROOT.glob(place)) or Path(place).name in WORDS or any(ROOT.glob(f"*/**/{place}"))
    parts = name.split(".")
    return all(part in NAMES or part in WORDS for part in parts)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_names_in_backticks_are_in_the_code(page):
    code = [span.strip("()") for span in spans(page)]
    looks_like_code = re.compile(r"[A-Za-z_][\w]*(\.[\w]+)*|[\w.\-*]+(/[\w.\-*]+)+/?|[\w\-]+/")
    missing = [name for name in code if looks_like_code.fullmatch(name) and not is_there(name)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_links_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:tests|docs|scripts|bench|mngnas|data|reports)/[\w./-]+\.(?:py|md|sh|toml))", text))
    examples = {"bench/truth/sources/my_table.py", "mngnas/spaces/two_layers.py", "bench/report/sections/counting.py"}
    assert [name for name in named - examples if not (ROOT / name).exists()] == []
    links = {link for link in re.findall(r"\]\(([^)#:\s]+)[^)]*\)", text) if not link.startswith("http")}
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_are_those_of_the_program(page):
    from bench.cli import COMMANDS

    known = {Path(module.__file__).stem for module in COMMANDS} - {"listing"} | {"list", "ablate"}
    for command in re.findall(r"run_bench\.py +([a-z]+)", page.read_text(encoding="utf-8")):
        assert command in known, f"run_bench.py {command}"


def test_the_test_can_fail():
    assert not is_there("Mngnas._no_such_function")
    assert not is_there("bench/no_such_file.py")
    assert is_there("CellSupernet.each")
    assert len(PAGES) > 6
