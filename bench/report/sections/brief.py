"""How alike each method and short stand-alone training rank: no ground truth is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import GENERATOR_SEED, TAU, OfMethod
from bench.report.sections.agreement import tau_between
from bench.report.text import by_column, count, estimate, over_seeds
from bench.stats.intervals import Estimate, OverSeeds, bootstrap
from mngnas.errors import UserError


@dataclass(frozen=True)
class BriefRow(OfMethod):
    """Tau-b between a method's scores and validation accuracy after short stand-alone training."""

    seeds: tuple[int, ...]
    by_column: Mapping[str, OverSeeds]  # the score first


@dataclass(frozen=True)
class WithBrief:
    """The methods beside short stand-alone training."""

    steps: int
    learning_rate: float
    rows: tuple[BriefRow, ...]  # in the order of the methods
    with_truth: Estimate | None  # tau-b of short training with the ground truth; None if that is not known for any


def with_brief(study: StudyRuns) -> WithBrief | None:
    """Every method against the study's short training, if it has one (`bench.study.brief`); raises `UserError`."""
    from bench.study.brief import load_brief

    brief = load_brief(study.directory)
    if brief is None:
        return None
    reference = brief.scores
    if len(reference.arch_index) and reference.arch_index.max() >= study.space.n_arch:
        raise UserError(f"{study.directory}: its brief training has an index outside 0..{study.space.n_arch - 1}")
    (accuracy,) = list(reference.columns)[:1]
    rows = []
    for method in study.methods:
        paired = dict.fromkeys(method.columns, accuracy)  # a good method agrees with the accuracy by each column
        taus = [tau_between(scored.all_scores, reference, paired) for scored in method.seeds]
        n = [one for _, one in taus]
        found = {name: OverSeeds.of([tau[name] for tau, _ in taus], n) for name in method.columns}
        rows.append(BriefRow(*method.identity, method.seed_numbers, found))
    true = study.truth[reference.arch_index]
    known, rng = np.isfinite(true), np.random.default_rng(GENERATOR_SEED)
    with_truth = None
    if known.any():
        score = reference.score[known]
        with_truth = bootstrap(score, true[known], [TAU], resamples=study.resamples, rng=rng)[TAU.name]
    return WithBrief(brief.steps, brief.learning_rate, tuple(rows), with_truth)


def blocks(numbers: WithBrief) -> Sequence[Block]:
    """One table."""
    truth = "is not known"
    if numbers.with_truth is not None:
        truth = "is " + estimate(numbers.with_truth).replace("\n", ", 95 % over ")
    columns = tuple(dict.fromkeys(name for row in numbers.rows for name in list(row.by_column)[1:]))
    head = ("method", "scores", "architectures", "tau-b by the score")
    return [
        Heading("Agreement with short stand-alone training"),
        TextTable(
            (*head, *(f"tau-b {by_column(name)}" for name in columns)),
            tuple(_row(row, columns) for row in numbers.rows),
        ),
        Paragraph(
            "Tau-b between a method’s scores and the validation accuracy that some of the architectures reach when "
            f"each is trained alone, from scratch, for {numbers.steps:,} batches. It needs no ground truth, so it may "
            f"be used to choose hyper-parameters. Tau-b of that accuracy itself with the ground truth {truth}."
        ),
    ]


def _row(row: BriefRow, columns: Sequence[str]) -> tuple[str, ...]:
    score, *others = row.by_column
    cells = (over_seeds(row.by_column[name]) if name in others else "" for name in columns)
    return row.label, row.scores, count(row.by_column[score].n), over_seeds(row.by_column[score]), *cells


SECTION = Section("brief", with_brief, blocks)
