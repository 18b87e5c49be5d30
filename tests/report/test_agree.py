"""Agreement of studies with another study, without a ground truth."""

import numpy as np
import pytest

from bench.cli import main
from bench.report.agree import agreement_with
from bench.stats.metrics import kendall_tau_b
from bench.study.store import load_runs
from mngnas.errors import UserError
from tests.report.made_up import SAMPLE, write_run


def main_scores(study):
    return {(r.record.method.name, r.record.seed): r.scores.rankings["inherited"] for r in load_runs(study)}


@pytest.fixture
def studies(table, tmp_path):
    """Two methods with three seeds, on a sample; and one of the same architectures and more."""
    ours, other = tmp_path / "ours", tmp_path / "other"
    for seed in range(3):
        write_run(ours, table, "plain", seed, index=SAMPLE)
        write_run(ours, table, "fair", seed, index=SAMPLE, preset="big")
    write_run(other, table, "guided", 7, noise=0.01)
    return ours, other


def test_it_is_tau_b_over_the_common_architectures(studies):
    ours, other = studies
    reference = main_scores(other)["guided", 7]
    at = dict(zip(reference.arch_index.tolist(), reference.score, strict=True))
    rows = agreement_with([ours], other)
    assert [(row.preset, row.with_label) for row in rows] == [("big", "Guided"), ("tiny", "Guided")]
    for row, name in zip(rows, ("fair", "plain"), strict=True):
        mine = [main_scores(ours)[name, seed] for seed in range(3)]
        expected = [kendall_tau_b(one.score, np.array([at[i] for i in one.arch_index.tolist()])) for one in mine]
        assert row.tau.values == pytest.approx(expected)
        assert row.tau.n == (len(SAMPLE),) * 3
        assert row.tau.spread.mean == pytest.approx(np.mean(expected))


def test_the_command_prints_a_line_each(studies, capsys):
    ours, other = studies
    assert main(["agree", str(ours), "--with", str(other)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(f"n = {len(SAMPLE):,}" in line and "Guided" in line for line in lines)


def test_what_cannot_be_compared_is_refused(studies, table, tmp_path):
    ours, other = studies
    with pytest.raises(UserError, match="holds seed 0 of 'fair' twice"):
        agreement_with([ours, ours], other)
    apart = tmp_path / "apart"
    write_run(apart, table, "plain", index=np.setdiff1d(np.arange(15_625), SAMPLE)[:50])
    with pytest.raises(UserError, match="no architecture in common"):
        agreement_with([ours], apart)
    with pytest.raises(UserError, match="no finished run"):
        agreement_with([ours], tmp_path)
