"""How to read the numbers: what they mean and what they do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.page import Block, Heading, Paragraph, Section
from bench.report.runs import StudyRuns

_RETRAINED = "retrained"


@dataclass(frozen=True)
class Reading:
    """What there is to explain."""

    rankings: tuple[str, ...]  # names, in the order of the methods


def reading(study: StudyRuns) -> Reading | None:
    """Nothing where nothing is ranked."""
    names = tuple(dict.fromkeys(method.scores for method in study.methods))
    return Reading(names) if names else None


def blocks(numbers: Reading) -> Sequence[Block]:
    """Running text."""
    found: list[Block] = [Heading("How to read this"), *map(Paragraph, _TEXTS)]
    if _RETRAINED in numbers.rankings:
        found.append(Paragraph(_INHERITED_AND_RETRAINED))
    return found


_TEXTS = (
    "Kendall's tau-b is the share of architecture pairs in the right order minus the share in the wrong order, "
    "corrected for ties: 1 is the true order, 0 is chance. Every number is computed for each seed and then averaged. "
    "Where it is undefined for a seed (a constant score, too few architectures), the cell says for how many seeds it "
    "is defined.",
    "The interval over seeds says where the mean would lie for very many seeds of a method, the architectures being "
    "these. It needs at least two seeds, is wide for two or three, and being a t-interval it may reach beyond what is "
    "possible, such as a negative regret. The interval over architectures says how far the number would move had the "
    "benchmark other architectures of the same kind, the seeds being these. Neither contains the other, and neither "
    "contains the noise of the table itself; the ceiling shows how large that is.",
    "Architectures with the same score stay tied: tau-b and rho take ties into account, and where something must be "
    "selected the number is the expected value for ties broken at random. Architectures that join input and output "
    "nowhere are easy to tell from the rest, so tau-b is shown without them as well.",
)
_INHERITED_AND_RETRAINED = (
    "“inherited” scores are taken with the supernet's weights as they are; “retrained” ones after a few steps of "
    "further training of each architecture of a random sample, from the supernet's weights and by the method's own "
    "loss. The two answer different questions and are never joined."
)

SECTION = Section("reading", reading, blocks)
