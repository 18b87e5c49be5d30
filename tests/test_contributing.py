"""CONTRIBUTING.md, followed to the letter: its code is taken from the page, put where it says, and run."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bench.report
import bench.truth
import mngnas.nets.build
import mngnas.spaces
from bench.cli import main
from bench.report import report
from bench.study.begin import job_of
from bench.study.spec import PlannedRun
from bench.study.store import load_runs
from bench.study.work import do
from bench.truth import Measure, Table
from tests.tiny import TINY, opened, tiny_study

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = {
    match[1].rpartition("/")[2]: match[2]
    for match in re.finditer(r"```python\n# ([\w./]+\.py)\n(.*?)```", PAGE, re.DOTALL)
}
METHODS = ("two_paths.py", "first_order.py", "gradient_norm.py", "best_neighbour.py")
KINDS = ("supernet", "gradient", "training-free", "searcher")


def written(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_text(FILES[name])
    return path


def imported(name: str, folder: Path):
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), written(name, folder))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def commands() -> list[list[str]]:
    block = re.search(r"```sh\n(python run_bench.py list.*?)```", PAGE, re.DOTALL)[1]
    return [shlex.split(line)[2:] for line in block.strip().splitlines()]


def test_the_page_has_a_method_of_every_kind():
    assert set(METHODS) <= set(FILES)
    for name, kind in zip(METHODS, KINDS, strict=True):
        assert f'"{kind}")' in FILES[name]
    assert set(FILES) - set(METHODS) == {"my_table.py", "two_layers.py", "counting.py"}


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The page's own commands, with a preset that takes seconds; the first try is killed on the way."""
    folder = tmp_path_factory.mktemp("page")
    mine, out = folder / "mine", folder / "out"
    mine.mkdir()
    for name in METHODS:
        written(name, mine)
    searcher = "[best-neighbour]\nseconds = 20.0\n"
    (folder / "tiny.toml").write_text(TINY.replace("sample = 120", "sample = 40") + searcher)
    listing, run = ([str(mine) if word == "mine" else word for word in command] for command in commands())
    run += ["--preset", str(folder / "tiny.toml"), "--out", str(out)]
    command = [sys.executable, str(ROOT / "run_bench.py")]
    environment = os.environ | {"MNGNAS_BENCH_OFFLINE": "1", "MNGNAS_BENCH_CHECKPOINT_SECONDS": "0"}
    process = subprocess.Popen([*command, *run], cwd=folder, env=environment)
    while not list(out.glob("*/checkpoint.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    listed = subprocess.run([*command, *listing], cwd=folder, env=environment, capture_output=True, text=True)
    again = subprocess.run([*command, *run], cwd=folder, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    return out, listed.stdout


def test_methods_of_ones_own_are_listed(reported):
    _, listed = reported
    for name, kind in zip(("two-paths", "first-order", "gradient-norm", "best-neighbour"), KINDS, strict=True):
        assert re.search(rf"strategies, {kind}\n(  .*\n)*  {name} ", listed)


def test_methods_of_ones_own_are_run_and_resumed(reported):
    out, _ = reported
    runs = {run.directory.name: run for run in load_runs(out)}
    variants = ("two-paths", "two-paths_paths=3", "first-order", "gradient-norm", "best-neighbour")
    assert set(runs) == {f"{name}-seed{seed}" for name in variants for seed in (0, 1)}
    assert runs["two-paths_paths=3-seed0"].record.config["two-paths"] == {"paths": 3}
    assert runs["two-paths-seed0"].record.steps == 50
    assert runs["two-paths_paths=3-seed0"].record.steps == 34
    gradient = runs["first-order-seed0"]
    assert list(gradient.scores.rankings) == ["inherited", "retrained", "architecture parameters"]
    assert len(gradient.record.proposal) == 1
    assert gradient.record.cost.passes == 100
    free = runs["gradient-norm-seed1"]
    assert free.record.cost.passes == 0
    assert np.isfinite(free.scores.rankings["score"].score).all()


def test_only_the_searcher_asked_the_ground_truth(reported):
    out, _ = reported
    for run in load_runs(out):
        searched = run.record.method.kind == "searcher"
        assert (run.record.oracle is not None) == searched
        assert (run.record.cost.queries > 0) == searched
        assert (run.scores.trace is not None) == searched
    assert run.record.oracle is None or run.record.oracle["benchmark"] == "digits201"


def test_methods_of_ones_own_are_reported(reported):
    out, _ = reported
    page = (out / "report" / "report.md").read_text()
    for label in ("Two paths", "Two paths \\[paths=3\\]", "First order", "Gradient norm", "Best neighbour"):
        assert label in page
    results = json.loads((out / "report" / "results.json").read_text())
    labels = {row["label"] for row in results["rankings"]["rows"]}
    assert {"Two paths", "Gradient norm"} <= {label.split(",")[0] for label in labels}
    assert "Best neighbour" not in labels


def test_a_table_of_ones_own(tmp_path, monkeypatch):
    source = imported("my_table.py", tmp_path).SOURCE
    monkeypatch.setitem(bench.truth.TABLES, source.name, source)
    scores = tmp_path / "scores.csv"
    scores.write_text("arch_index,score\n" + "\n".join(f"{i},{i * 7919 % 1000}" for i in range(300)))
    assert main(["evaluate", str(scores), "--benchmark", "my-table", "--resamples", "20"]) == 0


def test_a_search_space_of_ones_own(tmp_path, monkeypatch):
    """From scoring to the report, with methods that know nothing of it."""
    module = imported("two_layers.py", tmp_path)
    space = module.TwoLayerSupernet.space
    monkeypatch.setitem(mngnas.spaces.SPACES, space.name, space)
    monkeypatch.setitem(mngnas.nets.build._SUPERNETS, space.name, module.TwoLayerSupernet)
    for index in range(space.n_arch):
        arch = space.from_index(index)
        assert space.parse(space.to_str(arch)) == space.from_key(space.to_key(arch)) == arch
    truth = np.linspace(0.5, 0.9, space.n_arch, dtype=np.float32)[:, None] + np.float32([[0, 0.01]])
    costs = np.arange(space.n_arch)
    table = Table(
        *("two", space.name, {Measure("digits", "test", 3): truth}),
        parameters={"digits": costs},
        flops={"digits": costs},
    )
    runs = [PlannedRun(name, {}, seed) for name in ("spos", "fairnas", "mngnas") for seed in (0, 1)]
    study = {"space": space.name, "table_checksum": table.checksum, "benchmark": "two"}
    out = opened(tmp_path / "study", *runs, **study)
    for run in runs:
        job = job_of(out, run)
        job.save()
        do(job)
    assert len(load_runs(out)[0].scores.rankings["inherited"].arch_index) == space.n_arch
    paths = report(out, table, target=Measure("digits", "test", 3), resamples=20)
    assert "layers" in paths.markdown.read_text()
    assert tiny_study().space != space.name


def test_a_section_of_ones_own(tmp_path, monkeypatch, reported):
    section = imported("counting.py", tmp_path).SECTION
    monkeypatch.setattr(bench.report, "SECTIONS", (*bench.report.SECTIONS, section))
    out, _ = reported
    table = bench.truth.load_table("digits201")
    target = bench.truth.table.default_target(table, "digits")
    paths = report(out, table, target=target, resamples=20, out=tmp_path / "report")
    assert "This study has 10 runs." in paths.markdown.read_text()
    assert json.loads(paths.results.read_text())["counting"] == {"runs": 10}
