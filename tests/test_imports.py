"""Who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("mngnas/**/*.py"), *ROOT.glob("bench/**/*.py")])


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module)
    return found


def test_there_is_something_to_check():
    assert len(SOURCES) > 25


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_science_knows_no_benchmark(path):
    top = {name.split(".")[0] for name in imported(path)}
    if path.is_relative_to(ROOT / "mngnas"):
        assert not top & {"bench", "nats_bench", "nas_201_api"}
    if "nats_bench" in top or "nas_201_api" in top:
        assert path.parent == ROOT / "bench" / "truth" / "sources"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("mngnas.spaces.topology", ["torch", "scipy", "matplotlib"]),
        ("bench.stats.metrics", ["torch", "matplotlib", "scipy"]),
        ("bench.stats.intervals", ["torch", "matplotlib"]),
        ("bench.stats.evaluation", ["torch", "matplotlib"]),
        ("bench.report", ["matplotlib"]),
        ("bench.truth", ["torch", "nats_bench", "nas_201_api"]),
    ],
)
def test_importing_is_light(module, forbidden):
    code = f"import sys, {module}; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
