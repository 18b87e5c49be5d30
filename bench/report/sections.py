"""The blocks of a report, from its numbers: the opening, the tables with what they mean, how to read them."""

from collections.abc import Sequence

from bench.report.about import About
from bench.report.agreement import Agreement, WithShort
from bench.report.operations import OperationsRow
from bench.report.pages import Block, Code, Facts, Heading, Paragraph, TextTable
from bench.report.picks import Pick, PickTruth
from bench.report.results import ALL_PAIRS, GENERATOR_SEED, ResultRow, Results, TeacherRow
from bench.report.students import GuidedRow
from bench.report.text import NOT_KNOWN, count, estimate, interval, mean_and_range, number, over_seeds, percent
from bench.stats.evaluation import ReferenceRow
from bench.stats.intervals import OverSeeds
from mngnas.spaces.topology import N_ARCH, OPERATIONS


def opening(about: About) -> list[Block]:
    """What was measured, what to beware of, and how to make it again."""
    few, many = about.n_scored
    scored = f"all {many:,}" if few == N_ARCH else f"{count(about.n_scored)} of {N_ARCH:,}"
    facts = (
        ("images", about.images),
        ("benchmark", f"{about.benchmark}, data set {about.dataset}, search space {about.search_space}"),
        ("target", f"{about.target}; the best architecture has {percent(about.best_true)} %"),
        ("architectures scored", f"{scored}, with inherited weights"),
        ("preset", ", ".join(about.presets)),
        ("protocol version", str(about.protocol)),
        ("device", "; ".join(about.devices)),
        ("versions", ", ".join(about.versions)),
        ("commit", ", ".join(about.commits) + (" with uncommitted changes" if about.dirty_runs else "")),
        ("table checksum", about.table_checksum),
        ("runs started", " to ".join(dict.fromkeys(about.started))),
        ("settings", "\n".join(about.settings)),
    )
    warnings = [Paragraph(text, is_warning=True) for text in about.warnings]
    return [Facts(facts), *warnings, Paragraph("To make the runs again:"), Code(about.commands)]


def tables(results: Results) -> list[Block]:
    """The tables, each with what it means."""
    return [
        *_rankings(results),
        *_references(results.references),
        *_agreements(results.agreements),
        *_short(results.short),
        *_operations(results.operations),
        *_tops(results.rows),
        *_picks(results.picks),
        *_costs(results.rows),
        *_differences(results),
        *_guided(results.guided),
        *_teachers(results.teachers),
    ]


def _rankings(results: Results) -> list[Block]:
    return [
        Heading("How well each method ranks"),
        TextTable(
            (
                *("method", "scores", "seeds", "Kendall tau-b", "Spearman rho", "tau-b, connected only"),
                *("tau-b by loss", "parameter count’s tau-b here"),
            ),
            tuple(map(_ranking_row, results.rows)),
        ),
        Paragraph(
            f"Means over seeds. “seeds”: 95 % t-interval of the mean over supernet seeds; “archs”: 95 % bootstrap "
            f"interval of the same mean over architectures ({results.resamples:,} resamples, generator seed "
            f"{GENERATOR_SEED}). The score is the one-shot accuracy; “by loss” takes minus the loss, which ties less. "
            "The last column is the parameter count’s tau-b over the very architectures of the row."
        ),
    ]


def _references(references: Sequence[ReferenceRow]) -> list[Block]:
    return [
        Heading("Reference rows: no supernet needed"),
        TextTable(
            ("predictor", "architectures", "Kendall tau-b", "Spearman rho"),
            tuple(map(_reference_row, references)),
        ),
        Paragraph(
            "Computed from the table over the architectures that all runs scored. A method below the parameter count "
            "tells less than counting does. The ceiling is what training every architecture once more would give. "
            "Intervals are over architectures."
        ),
    ]


def _tops(rows: Sequence[ResultRow]) -> list[Block]:
    return [
        Heading("At the top, where a search looks"),
        TextTable(
            (
                *("method", "scores", "tau-b, true top 10\u00a0%", "tau-b, true top 1\u00a0%", "P@top 5\u00a0%"),
                *("best true rank of the top 10", "regret, percent points", "accuracy of the best, %"),
            ),
            tuple(map(_top_row, rows)),
        ),
        Paragraph(
            "Tops, ranks and regret are among the architectures that the row is computed from, so those of a sample "
            "cannot be compared with those of all. P@top 5 %: the share of the predicted top 5 % that is in the true "
            "top 5 %; random choice gives 0.05. Best true rank: of the ten highest scores, 1 = the best. Regret: the "
            "best true accuracy minus that of the highest score, which is the last column."
        ),
    ]


def _agreements(agreements: Sequence[Agreement]) -> list[Block]:
    if not agreements:
        return []
    return [
        Heading("Agreement of seeds"),
        TextTable(
            ("method", "scores", "pairs of seeds", "architectures", "tau-b by accuracy", "tau-b by loss"),
            tuple(
                (
                    *(one.label, one.score_set, str(len(one.n)), count(one.n)),
                    *(number(one.mean_by_accuracy), number(one.mean_by_loss)),
                )
                for one in agreements
            ),
        ),
        Paragraph(
            "Tau-b between the scores of two seeds over all architectures that both scored, also those without a "
            "ground truth; the mean over the pairs where it is defined. It needs no ground truth, so it may be used to "
            "choose hyper-parameters; high agreement is necessary for ranking well and not sufficient, as all seeds "
            "may make the same mistakes."
        ),
    ]


def _short(short: WithShort | None) -> list[Block]:
    if short is None:
        return []
    truth = (
        "is not known" if short.with_truth is None else "is " + estimate(short.with_truth).replace("\n", ", 95 % over ")
    )
    return [
        Heading("Agreement with short stand-alone training"),
        TextTable(
            ("method", "scores", "architectures", "tau-b by accuracy", "tau-b by loss"),
            tuple(
                (
                    *(one.label, one.score_set, count(one.by_accuracy.n)),
                    *(over_seeds(one.by_accuracy), over_seeds(one.by_loss)),
                )
                for one in short.rows
            ),
        ),
        Paragraph(
            "Tau-b between a method’s scores and the validation accuracy that some of the architectures reach when "
            f"each is trained alone, from scratch, for {short.steps:,} batches. It needs no ground truth, so it may be "
            f"used to choose hyper-parameters. Tau-b of that accuracy itself with the ground truth {truth}."
        ),
    ]


def _operations(rows: Sequence[OperationsRow]) -> list[Block]:
    return [
        Heading("What each method favours"),
        TextTable(
            ("method", "scores", *OPERATIONS),
            tuple(
                (
                    *(row.label, row.score_set),
                    *(
                        f"{number(a.spread.mean)}\nby loss {number(row.by_loss[name].spread.mean)}"
                        if row.strategy
                        else number(a.spread.mean)
                        for name, a in row.by_accuracy.items()
                    ),
                )
                for row in rows
            ),
        ),
        Paragraph(
            "Spearman’s rho between the scores and the number of edges of the live graph that carry an operation, the "
            "mean over seeds; in the first row for the true accuracy. A method whose number is higher than the ground "
            "truth’s overrates cells with that operation, one whose number is lower underrates them."
        ),
    ]


def _picks(picks: Sequence[Pick]) -> list[Block]:
    truths = picks[0].truth.values()
    best = ", ".join(f"{name} {percent(one.best)} %" for name, one in picks[0].truth.items())
    n, n_better = sum(len(one.seeds) for one in picks), sum(one.n_better for one in picks)
    known = (
        ""
        if not n_better
        else f" The pick is among the architectures that have a ground truth: without that "
        f"restriction {n_better} of {n} picks would be others, whose accuracy nobody knows."
    )
    return [
        Heading("The architecture that each method would pick"),
        TextTable(
            ("method", "scores", "architecture, first seed", *(f"{one.target}, %" for one in truths)),
            tuple(map(_pick_row, picks)),
        ),
        Paragraph(
            "The architecture of highest one-shot accuracy, of those that tie the one of lowest loss. The scores are "
            "of validation images: the pick never saw the table. Means over the picks of all seeds with their 95 % "
            f"t-interval over seeds. Regret, in percent points: the best of the whole table ({best}) minus the pick."
            + known
        ),
    ]


def _pick_row(pick: Pick) -> tuple[str, ...]:
    return (pick.label, pick.score_set, pick.arch_str[0] or NOT_KNOWN, *map(_pick_truth, pick.truth.values()))


def _pick_truth(one: PickTruth) -> str:
    regret = one.regret.spread
    low_to_high = f", {interval(100 * regret.ci_low, 100 * regret.ci_high, 2)}" if regret.n > 1 else ""
    return f"{over_seeds(one.accuracy, digits=2, scale=100)}\nregret {number(100 * regret.mean, 2)}{low_to_high}"


def _costs(rows: Sequence[ResultRow]) -> list[Block]:
    return [
        Heading("What it cost"),
        TextTable(
            ("method", "scores", "passes", "images seen", "seconds of training", "seconds of scoring", "device"),
            tuple(map(_budget_row, rows)),
        ),
        Paragraph(
            "For one seed: the mean over seeds, and their range where they differ. A pass is forward and backward of "
            "one batch, a forward alone counts a third; images count for each path that saw them. “retrained” "
            "rows include the retraining of the whole sample."
        ),
    ]


def _ranking_row(row: ResultRow) -> tuple[str, ...]:
    tau, n_seed = row.metrics["kendall_tau_b"], len(row.seeds)
    seeds = f"{n_seed}\n{'seed' if n_seed == 1 else 'seeds'} {', '.join(map(str, row.seeds))}"
    return (
        *(row.label, _scores(row), seeds),
        *(over_seeds(one) for one in (tau, row.metrics["spearman_rho"])),
        over_seeds(row.tau_connected, show_n=True),
        over_seeds(row.tau_by_loss),
        estimate(row.tau_of_parameters),
    )


def _scores(row: ResultRow) -> str:
    n = count(row.metrics["kendall_tau_b"].n)
    return f"{row.score_set}\n{f'a sample, n = {n}' if row.is_sample else f'all, n = {n}'}"


def _top_row(row: ResultRow) -> tuple[str, ...]:
    m = row.metrics
    return (
        *(row.label, _scores(row)),
        over_seeds(m["kendall_tau_b_top_10_percent"], show_n=True),
        over_seeds(m["kendall_tau_b_top_1_percent"], show_n=True),
        over_seeds(m["precision_at_top_5_percent"]),
        over_seeds(m["best_rank_at_10"], digits=1) + f"\nof {count(m['best_rank_at_10'].n)}",
        over_seeds(m["regret"], digits=2, scale=100),
        over_seeds(m["accuracy_of_best"], digits=2, scale=100),
    )


def _budget_row(row: ResultRow) -> tuple[str, ...]:
    numbers = ((row.passes, 0), (row.images_seen, 0), (row.train_seconds, 1), (row.score_seconds, 1))
    return (row.label, row.score_set, *(mean_and_range(one, digits) for one, digits in numbers), "\n".join(row.devices))


def _reference_row(row: ReferenceRow) -> tuple[str, ...]:
    tau, rho = row.estimates["kendall_tau_b"], row.estimates["spearman_rho"]
    return f"ceiling: {row.label}" if row.name == "ceiling" else row.label, f"{tau.n:,}", estimate(tau), estimate(rho)


def _differences(results: Results) -> list[Block]:
    heading = Heading("Differences between methods on the same seeds")
    if not results.differences:
        return [heading, Paragraph("None: there is one method only.")]
    few = ""
    if results.compared_with:
        standards = " and ".join(results.compared_with)
        few = f" Of more than {ALL_PAIRS} methods not all pairs are listed, but every method against {standards}."
    rows = []
    for one in results.differences:
        found = one.difference
        cells = [one.reason, NOT_KNOWN]
        if found and one.by_loss:
            cells = [f"{number(e.value)}\n{interval(e.ci_low, e.ci_high)}" for e in (found, one.by_loss)]
        rows.append((one.a, one.b, str(len(one.seeds)), *cells))
    return [
        heading,
        TextTable(("a", "b", "common seeds", "tau-b of a minus tau-b of b", "the same by loss"), tuple(rows)),
        Paragraph(
            "The mean over common seeds with its 95 % t-interval, which is about further seeds on these architectures. "
            "No correction for the number of pairs. Inherited and retrained scores are not set against each other."
            + few
        ),
    ]


def _or_off(one: OverSeeds, scale: float = 1) -> str:
    return over_seeds(one, digits=3 if scale == 1 else 1, scale=scale) if one.spread.n else NOT_KNOWN


def _guided(rows: Sequence[GuidedRow]) -> list[Block]:
    if not rows:
        return []
    return [
        Heading("Students and their teachers"),
        TextTable(
            (
                *("method", "distance to the teacher", "the same after the last round", "entropy then, nats"),
                *("at the cap then, %", "of retrained candidates", "winner to neighbours"),
            ),
            tuple(
                (
                    row.label,
                    *(map(_or_off, (row.loss, row.loss_at_end, row.entropy_at_end))),
                    _or_off(row.at_cap_at_end, 100),
                    *(map(_or_off, (row.retraining_distance, row.perturbation_distance))),
                )
                for row in rows
            ),
        ),
        Paragraph(
            "Means over seeds with their 95 % t-interval. Distances are sums over the stages of the mean squared "
            "difference of normalised features: of the supernet's paths to the combined teacher (the distillation "
            "loss), of the candidates while they are retrained, and of a round's winner to its perturbed neighbours "
            "while they are trained together. A part that was switched off has no number."
        ),
    ]


def _teachers(teachers: Sequence[TeacherRow]) -> list[Block]:
    if not teachers:
        return []
    guided = list(dict.fromkeys(row.label for row in teachers))
    shown, rest = guided, ""
    if len(guided) > 2:
        shown = list(dict.fromkeys(row.label for row in teachers if row.strategy == "mngnas")) or guided[:2]
        rest = f" Of {len(guided)} such methods only {' and '.join(shown)}; results.json has all."
    return [
        Heading("Teachers"),
        TextTable(
            (
                *("method", "round", "spent, %", "architecture", "validation loss at the snapshot"),
                *("true accuracy, % (not seen by the search)", "at the cap afterwards, %", "entropy afterwards, nats"),
            ),
            tuple(_teacher_row(row) for row in teachers if row.label in shown),
        ),
        Paragraph(
            "The first seed of each method that searches teachers while it trains. The number of a round is that of "
            "its teacher, which joins the pool unless better ones fill it. The last two columns are means over the log "
            "of guided training until the next round: the share of steps and stages in which a coefficient meets the "
            "cap, and the entropy of the coefficients, ln K for K teachers that count alike, 0 for one alone." + rest
        ),
    ]


def _teacher_row(row: TeacherRow) -> tuple[str, ...]:
    return (
        *(f"{row.label}\nseed {row.seed}", str(row.round), number(100 * row.spent, 1), row.arch_str),
        *(number(row.loss), percent(row.true_accuracy), number(100 * row.at_cap, 1), number(row.entropy, 2)),
    )


def reading(results: Results) -> list[Block]:
    """What the numbers mean and what they do not."""
    blocks: list[Block] = [
        Heading("How to read this"),
        Paragraph(
            "Kendall's tau-b is the share of architecture pairs in the right order minus the share in the wrong order, "
            "corrected for ties: 1 is the true order, 0 is chance. Every number is computed for each supernet seed and "
            "then averaged. Where it is undefined for a seed (a constant score, too few architectures), the cell says "
            "for how many seeds it is defined."
        ),
        Paragraph(
            "The interval over seeds says where the mean would lie for very many supernet seeds, the architectures "
            "being these. It needs at least two seeds, is wide for two or three, and being a t-interval it may reach "
            "beyond what is possible, such as a negative regret. The interval over architectures "
            "says how far the number would move had the benchmark other architectures of the same kind, the supernets "
            "being these. Neither contains the other, and neither contains the noise of the table itself; the ceiling "
            "shows how large that is."
        ),
        Paragraph(
            "Architectures with the same score stay tied: tau-b and rho take ties into account, and where something "
            "must be selected the number is the expected value for ties broken at random. Architectures that join "
            "input and output nowhere are easy to tell from the rest, so tau-b is shown without them as well."
        ),
    ]
    if any(row.score_set != "inherited" for row in results.rows):
        text = (
            "“inherited” scores are taken with the supernet's weights as they are; “retrained” ones after a few steps "
            "of further training of each architecture of a random sample, from the supernet's weights and by the "
            "method's own loss. The two answer different questions and are never joined."
        )
        blocks.append(Paragraph(text))
    return blocks
