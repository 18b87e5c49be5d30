"""Who may import whom, what importing costs, and that everything imported is declared."""

import ast
import importlib.util
import subprocess
import sys
import time
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bench.study.records import MethodRef
from mngnas.methods.registry import methods

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("mngnas/**/*.py"), *ROOT.glob("bench/**/*.py")])
NAMES_OF_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "nas_201_api": "nas-bench-201"}


def drawing():
    """scripts/draw_imports.py as a module."""
    spec = importlib.util.spec_from_file_location("draw_imports", ROOT / "scripts" / "draw_imports.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module)
    return found


def test_there_is_something_to_check():
    assert len(SOURCES) > 90


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_science_knows_no_benchmark(path):
    top = {name.split(".")[0] for name in imported(path)}
    if path.is_relative_to(ROOT / "mngnas"):
        assert not top & {"bench", "nats_bench", "nas_201_api"}
    if "nats_bench" in top or "nas_201_api" in top:
        assert path.parent == ROOT / "bench" / "truth" / "sources"


WORDS = {"flops", "FLOPs", "params", "Parameters", "plain", "Plain"}  # of everybody's, and names of scores as well


def test_the_measurement_knows_no_method_by_name():
    infos = [entry.info for entry in methods().values() if entry.info.paper != "closed form"]
    names = {info.name for info in infos} | {info.label for info in infos}
    names = {
        name for name in names if name.lower() not in ("plain", "close", "fisher", "landmark", "sandwich")
    }  # words
    for path in ROOT.glob("bench/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if (path.name, node.value) == ("provenance.py", "mngnas"):  # the package
                    continue
                words = set(node.value.replace(",", " ").replace("`", " ").split())
                assert not words & (names - WORDS), f"{path}: {node.value!r}"
    assert MethodRef("mngnas").variant in names


OWNERS = (
    "mngnas/spaces/topology.py",
    "mngnas/spaces/size.py",
    "bench/truth/sources/official.py",
    "bench/digits201/build.py",
)
OF_A_SPACE = (15_625, 9_445, 6_466, 5_260, 341, "12", "200")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_numbers_of_a_space_or_a_table_are_its_own(path):
    """Nothing else counts architectures, edges or operations, or names a schedule."""
    if path.relative_to(ROOT).as_posix() in OWNERS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in OF_A_SPACE]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node) in ("range(5)", "range(6)"):
            found.append(ast.unparse(node))
        if isinstance(node, ast.BinOp) and ast.unparse(node) in ("(0,) * 6", "5 ** 6"):
            found.append(ast.unparse(node))
    assert found == []


def test_no_circle_among_modules_and_folders():
    graphs = drawing()
    for graph in (graphs.module_graph(), graphs.room_graph()):
        order = list(TopologicalSorter(graph).static_order())  # raises for a circle
        assert set(order) == set(graph)
    rooms = graphs.room_graph()
    assert not any(other.startswith("bench") for one in rooms if one.startswith("mngnas") for other in rooms[one])


def test_the_picture_of_the_imports_is_of_today():
    assert (ROOT / "docs" / "imports.svg").read_bytes() == drawing().svg(), "run scripts/draw_imports.py"


def test_every_folder_is_in_the_architecture():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for folder in {path.parent for path in SOURCES}:
        whole = f"`{folder.relative_to(ROOT)}/`"
        parent = folder.parent if folder.parent.parent != ROOT else None
        assert whole in page or (parent and f"`{parent.relative_to(ROOT)}/`" in page), whole


def test_everything_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for extra in ("slurm", "tensorboard") for name in project["optional-dependencies"][extra]]
    declared = [*project["dependencies"], *extras]
    names = {text.partition(">")[0].lower().replace("_", "-") for text in declared}
    used = {name.split(".")[0] for path in SOURCES for name in imported(path)}
    for name in used - set(sys.stdlib_module_names) - {"bench", "mngnas"}:
        assert NAMES_OF_PACKAGES.get(name, name).lower().replace("_", "-") in names, f"{name} is not declared"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("mngnas.spaces", ["torch", "scipy", "matplotlib"]),
        ("mngnas.methods.registry", ["torch", "scipy", "matplotlib"]),
        ("mngnas.data.datasets", ["torch", "requests", "pooch"]),
        ("bench.stats.metrics", ["torch", "matplotlib", "scipy"]),
        ("bench.stats.intervals", ["torch", "matplotlib", "scipy"]),
        ("bench.stats.evaluation", ["torch", "matplotlib", "scipy"]),
        ("bench.study.records", ["torch", "matplotlib", "scipy"]),
        ("bench.study.executor", ["torch", "matplotlib", "scipy"]),
        ("bench.report", ["torch", "matplotlib"]),
        ("bench.truth", ["torch", "nats_bench", "nas_201_api"]),
        ("bench.cli", ["torch", "matplotlib", "scipy", "tqdm", "requests"]),
    ],
)
def test_importing_is_light(module, forbidden):
    code = f"import sys, {module}; print([m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


WITHOUT_TORCH = """
import sys, time
began = time.perf_counter()
from bench.cli import main
status = main(sys.argv[1:])
print("torch" in sys.modules, time.perf_counter() - began, file=sys.stderr)
sys.exit(status)
"""


def test_commands_that_compute_no_network_do_without_torch(tmp_path):
    scores = tmp_path / "scores.csv"
    scores.write_text("arch_index,score\n" + "\n".join(f"{i},{i * 7919 % 1000}" for i in range(15_625)))
    study = ROOT / "reports" / "digits201"
    for arguments in (
        ["list"],
        ["evaluate", str(scores), "--benchmark", "digits201", "--resamples", "10"],
        ["report", str(study), "--resamples", "10"],
    ):
        if arguments[0] == "report":
            (tmp_path / "copy").mkdir()
            for path in study.glob("*.*"):
                (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
            arguments[1] = str(tmp_path / "copy")
        command = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("False "), arguments


@pytest.mark.slow
def test_a_list_takes_less_than_a_second():
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "run_bench.py", "list"], cwd=ROOT, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    assert min(times) < 1.0
