"""Transfer: the same scores against the ground truth of the other data sets that the table knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.report.page import Block, Heading, Paragraph, Section, TextTable
from bench.report.runs import StudyRuns
from bench.report.scores import TAU, GroundTruth, OfMethod, measured, scored_of
from bench.report.text import number, over_seeds
from bench.stats.intervals import OverSeeds
from bench.truth.table import Measure


@dataclass(frozen=True)
class TransferRow(OfMethod):
    """One ranking against every data set's ground truth."""

    taus: Mapping[Measure, OverSeeds]  # the study's own first


@dataclass(frozen=True)
class Transfer:
    """Every ranking, and what needs no training."""

    rows: tuple[TransferRow, ...]
    parameters: Mapping[Measure, float]  # tau-b of the parameter count over the architectures of `n`
    own: Mapping[Measure, float]  # of the accuracy on the study's own data set
    n: int  # architectures that every main ranking scored


def transfer(study: StudyRuns) -> Transfer | None:
    """None where nothing ranks, or where the table knows the one data set only."""
    others = sorted({one.dataset for one in study.table.measures} - {study.target.dataset})
    targets = [replace(study.target, dataset=name) for name in others]
    targets = [study.target, *(one for one in targets if one in study.table.measures)]
    if len(targets) < 2 or not study.methods:
        return None
    truths = {target: study.table.mean(target) for target in targets}
    elsewhere = {target: GroundTruth(truths[target]) for target in targets[1:]}
    rows = []
    for method in study.methods:
        taus = {study.target: measured(method.seeds, TAU)}
        for target, known in elsewhere.items():
            taus[target] = measured([scored_of(one.run, method.scores, known) for one in method.seeds], TAU)
        rows.append(TransferRow(*method.identity, taus))
    common = study.common & np.all([np.isfinite(truth) for truth in truths.values()], axis=0)
    parameters = {target: TAU.function(study.parameters[common], truth[common]) for target, truth in truths.items()}
    own = {target: TAU.function(study.truth[common], truths[target][common]) for target in targets[1:]}
    return Transfer(tuple(rows), parameters, own, int(common.sum()))


def blocks(numbers: Transfer) -> Sequence[Block]:
    """One table."""
    targets = list(numbers.parameters)
    closed = [
        ("parameter count", "", *(number(numbers.parameters[target]) for target in targets)),
        (f"{targets[0].dataset} accuracy itself", "", *(number(numbers.own.get(target, 1.0)) for target in targets)),
    ]
    rows = [(row.label, row.scores, *(over_seeds(row.taus[target]) for target in targets)) for row in numbers.rows]
    return [
        Heading("Transfer: the same scores, other data sets"),
        TextTable(("predictor", "scores", *(f"tau-b, {target}" for target in targets)), (*rows, *closed)),
        Paragraph(
            f"The networks were trained on {targets[0].dataset} alone. The last two rows are over the {numbers.n:,} "
            "architectures that every main ranking scored; the very last says how far the true ranking goes elsewhere."
        ),
    ]


SECTION = Section("transfer", transfer, blocks)
