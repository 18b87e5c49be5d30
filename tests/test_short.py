"""Short stand-alone training: which architectures, what is kept, and what the report makes of it."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from test_figures import SAMPLE, TARGET, made_up_table, scores, small_study, write_run
from test_study import ROOT, tiny_study

from bench.cli import main
from bench.report import report
from bench.stats.evaluation import disconnected
from bench.stats.metrics import kendall_tau_b
from bench.study.brief import short_archs, train_short
from bench.study.preset import final_archs
from bench.study.records import SHORT, load_short
from bench.study.run import make_trainer, prepared_images
from bench.study.spec import open_study
from mngnas.errors import UserError
from mngnas.nets.cell_supernet import Supernet
from mngnas.spaces.topology import from_index, to_index
from mngnas.train.retraining import train_alone
from mngnas.train.scoring import Scorer


def quiet(_line):
    pass


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study without runs, and three of its architectures."""
    directory = tmp_path_factory.mktemp("short") / "study"
    open_study(directory, tiny_study())
    train_short(directory, 3, 6, 1, quiet)
    return directory


def test_architectures_are_random_ones_that_the_study_scores(trained):
    scored = {to_index(arch) for arch in final_archs(tiny_study().preset)}
    archs = short_archs(trained, 50)
    assert len(set(archs)) == 50
    assert set(archs) <= scored
    assert not disconnected()[archs].any()
    assert archs != sorted(archs)
    assert short_archs(trained, 20) == archs[:20]
    assert set(short_archs(trained, 10_000)) == {index for index in scored if not disconnected()[index]}


def test_each_is_trained_alone_from_scratch(trained):
    """The same numbers as one architecture after another, by hand."""
    found, study = load_short(trained), tiny_study()
    assert (found.steps, found.learning_rate) == (6, study.preset.training.learning_rate)
    assert sorted(short_archs(trained, 3)) == found.scores.arch_index.tolist()
    data = prepared_images(study, torch.device("cpu"))
    seed = 1_000_000_007
    trainer = make_trainer(study.preset, data, "fairnas", seed, torch.device("cpu"))
    scorer = Scorer(trainer.supernet, study.preset.scoring, data.valid, data.train)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for index, accuracy, loss in zip(
            found.scores.arch_index.tolist(), found.scores.accuracy, found.scores.loss, strict=True
        ):
            network, arch = Supernet(trainer.supernet.skeleton, seed + index), from_index(index)

            def cross_entropy(batch, network=network, arch=arch):
                logits = network(batch.images, arch).logits
                return torch.nn.functional.cross_entropy(logits, batch.labels), torch.zeros(())

            train_alone(network, cross_entropy, trainer.retraining_batch, 6, found.learning_rate)
            by_hand = scorer([arch], network)
            assert (accuracy, loss) == (by_hand.accuracy[0], pytest.approx(by_hand.loss[0], abs=1e-6))
    finally:
        torch.set_num_threads(threads)


def test_what_is_there_is_kept_and_more_is_added(trained):
    before = json.loads((trained / SHORT).read_text())
    marked = json.loads(json.dumps(before))
    marked["scores"][str(short_archs(trained, 1)[0])] = [0.5, 9.0]
    (trained / SHORT).write_text(json.dumps(marked))
    said = []
    found = train_short(trained, 4, 6, 1, said.append)
    assert found.scores.arch_index.tolist() == sorted(short_archs(trained, 4))
    assert (found.scores.loss == 9.0).sum() == 1
    assert [line.split(";")[0] for line in said] == ["4 of 4 architectures trained"]
    train_short(trained, 2, 6, 1, said.append)  # nothing to do
    assert len(said) == 1
    assert len(load_short(trained).scores.arch_index) == 4
    (trained / SHORT).write_text(json.dumps(before))


def test_another_length_is_refused(trained):
    with pytest.raises(UserError, match=r"holds trainings of 6 steps at 0\.1, not 7 at 0\.1"):
        train_short(trained, 3, 7, 1, quiet)


def test_a_killed_command_goes_on_and_leaves_no_process(tmp_path):
    study = tmp_path / "study"
    open_study(study, tiny_study())
    command = [sys.executable, "run_bench.py", "short", str(study), "--archs", "40", "--steps", "40", "--jobs", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while load_short(study) is None:
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=20)  # waits for all that can still write: a worker that outlives the command
    before = load_short(study)
    n = len(before.scores.arch_index)
    assert n < 40
    after = train_short(study, n + 1, 40, 1, quiet)
    assert len(after.scores.arch_index) == n + 1
    same = np.isin(after.scores.arch_index, before.scores.arch_index)
    np.testing.assert_array_equal(after.scores.loss[same], before.scores.loss)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", '{"steps": 1}', '{"steps": 1, "learning_rate": 1, "scores": {"a": 1}}'),
        '{"steps": 1, "learning_rate": 1, "scores": {"15625": [0.5, 1]}}',
    ],
)
def test_a_file_that_is_none_of_ours(content, tmp_path):
    (tmp_path / SHORT).write_text(content)
    with pytest.raises(UserError, match=r"short\.json is not readable"):
        load_short(tmp_path)


def test_command(trained, capsys):
    assert main(["short", str(trained), "--archs", "3", "--steps", "6"]) == 0
    found = load_short(trained)
    assert f"3 architectures after 6 steps: mean accuracy {found.scores.accuracy.mean():.3f}" in capsys.readouterr().out


def test_of_nothing(tmp_path, capsys):
    assert main(["short", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("is not a study: it has no study.json\n")


def test_report_compares_methods_with_it(tmp_path):
    table = made_up_table(np.delete(np.arange(15_625), SAMPLE[:5]))
    small_study(tmp_path, table, ("spos",), seeds=(0, 1))
    write_run(tmp_path, table, "mngnas", 0, sets={"inherited": scores(table, 3, SAMPLE, 0.001)})
    plain = report(tmp_path, table, target=TARGET, resamples=10)
    assert "short stand-alone training" not in plain.markdown.read_text()
    assert json.loads(plain.results.read_text())["short"] is None

    index = np.sort(SAMPLE[:60])
    accuracy = scores(table, 77, index, 0.02).accuracy
    rows = {str(i): [a, 1.0] for i, a in zip(index.tolist(), accuracy.tolist(), strict=True)}
    (tmp_path / SHORT).write_text(json.dumps({"steps": 1500, "learning_rate": 0.1, "scores": rows}))
    paths = report(tmp_path, table, target=TARGET, resamples=10)
    found = json.loads(paths.results.read_text())["short"]
    assert [row["label"] for row in found["rows"]] == ["MNGNAS", "SPOS"]
    (tau,) = found["rows"][0]["by_accuracy"]["values"]
    mine = dict(zip(SAMPLE.tolist(), scores(table, 3, SAMPLE, 0.001).accuracy, strict=True))
    assert tau == kendall_tau_b([mine[i] for i in index.tolist()], accuracy)
    assert found["rows"][0]["by_accuracy"]["n"] == [60]  # also those without a ground truth
    assert found["rows"][0]["by_loss"]["values"][0] > 0
    true = table.mean(TARGET)[index]
    known = np.isfinite(true)
    assert known.sum() == 55
    assert found["with_truth"]["n"] == 55
    assert found["with_truth"]["value"] == kendall_tau_b(accuracy[known], true[known])
    text = paths.markdown.read_text()
    assert "## Agreement with short stand-alone training" in text
    assert "trained alone, from scratch, for 1,500 batches" in text
    assert f"| MNGNAS | inherited | 60 | {tau:.3f}<br>seeds n/a (1 seed) |" in text


def test_short_training_without_any_truth(tmp_path):
    table = made_up_table(np.delete(np.arange(15_625), [7, 8]))
    small_study(tmp_path, table, ("spos",), seeds=(0,))
    (tmp_path / SHORT).write_text(
        json.dumps({"steps": 1, "learning_rate": 0.1, "scores": {"7": [0.5, 1], "8": [0.6, 1]}})
    )
    paths = report(tmp_path, table, target=TARGET, resamples=10)
    assert "with the ground truth is not known." in paths.markdown.read_text()
