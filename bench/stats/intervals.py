"""Intervals: over architectures by the bootstrap, over seeds by Student's t. They answer different questions.

For a metric a resample is no more than the number of times that each architecture was drawn, and
`bench.stats.bootstrap_kernels` takes many of those at once.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bench.stats.bootstrap_kernels import has_kernel, kernels, linear_in_top
from bench.stats.correlations import finite_pair
from bench.stats.influence import first_order, has_first_order
from bench.stats.metrics import InTop, Metric, MetricFunction
from bench.stats.weighted_scores import Weights
from mngnas.errors import UserError

_CHUNK_NUMBERS = 1_000_000  # counts at once, 4 MB: 64 resamples of all 15,625 architectures, about what a cache holds
MANY_PAIRS = 20  # above which a mean's resamples are computed to first order
FEWEST_LINEAR = 100  # architectures that a metric looks at, so that the first order will do


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; an undefined end is NaN."""

    value: float
    ci_low: float
    ci_high: float
    n: int  # how many things (architectures, seeds) the value is computed from
    level: float = 0.95


@dataclass(frozen=True)
class SeedSpread:
    """How results differ between seeds."""

    mean: float
    sd: float  # of single seeds, n - 1 in the denominator; NaN for one seed
    ci_low: float  # of the mean; NaN for one seed
    ci_high: float
    n: int
    level: float = 0.95


@dataclass(frozen=True)
class OverSeeds:
    """One number per seed and what they say together."""

    values: tuple[float, ...]  # in the order of the seeds, NaN where undefined
    spread: SeedSpread  # over the seeds where it is defined
    n: tuple[int, ...] = ()  # how many architectures each value looks at
    architectures: Estimate | None = None  # bootstrap of the mean over seeds

    @staticmethod
    def of(values: Sequence[float], n: Iterable[int] = (), architectures: Estimate | None = None) -> "OverSeeds":
        """With the spread over the values that are defined."""
        defined = [value for value in values if math.isfinite(value)]
        undefined = SeedSpread(math.nan, math.nan, math.nan, math.nan, 0)
        return OverSeeds(tuple(values), seed_spread(defined) if defined else undefined, tuple(n), architectures)


# ------------------------------------------------------------------------------------------------------- over seeds


def seed_spread(values: ArrayLike, *, level: float = 0.95) -> SeedSpread:
    """Mean, standard deviation and t-interval of the mean of one number per seed, `[n_seed]`.

    The interval says where the mean over all seeds of this method lies (normal spread assumed); it says nothing about
    other architectures. With one seed, sd and interval are NaN: a spread cannot be known from one. Raises `UserError`
    for an empty list or a value that is not finite.
    """
    seeds = np.asarray(values, dtype=np.float64)
    _check_level(level)
    if seeds.ndim != 1 or not len(seeds) or not np.isfinite(seeds).all():
        raise UserError(f"one finite number per seed is needed, not {values!r}")
    n, mean = len(seeds), float(seeds.mean())
    if n == 1:
        return SeedSpread(mean, float("nan"), float("nan"), float("nan"), n, level)
    from scipy.special import stdtrit

    sd = float(seeds.std(ddof=1))
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * sd / n**0.5
    return SeedSpread(mean, sd, mean - half, mean + half, n, level)


def paired_difference(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of a - b over seeds, `[n_seed]` each, with the t-interval of the paired differences.

    Position i of both must come from the same seed. The interval says whether a is better than b for further seeds.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise UserError(f"a paired difference needs the same seeds in both, not {a.size} and {b.size}")
    spread = seed_spread(a - b, level=level)
    return Estimate(spread.mean, spread.ci_low, spread.ci_high, spread.n, level)


# ----------------------------------------------------------------------------------------------- over architectures


def bootstrap(
    predicted: ArrayLike,
    true: ArrayLike,
    metrics: Iterable[Metric],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """Each metric of `predicted` and `true`, both `[n]`, with its percentile bootstrap interval, by metric name.

    Resampled: architectures, n of n with replacement, each with its predicted and its true score; all metrics see the
    same resamples. Meaning: how far the number would move had the benchmark consisted of n other architectures of
    the same kind. It does not contain the spread over supernet seeds, nor over the seeds behind the true accuracies.
    The top fraction of `in_top` is found anew in each resample. For metrics that hang on single architectures (best
    and worst rank, regret, accuracy of the best) the bootstrap shows which architectures the number hangs on; it has
    no guaranteed coverage there. `n` is the number of architectures that the metric looks at.

    Resamples in which a metric is undefined are left out; the interval is NaN if they are more than 1 - level of all,
    or if the value itself is undefined. Raises `UserError` for bad input.
    """
    return bootstrap_each([predicted], true, metrics, resamples=resamples, level=level, rng=rng)[0]


def bootstrap_each(
    predictors: Sequence[ArrayLike],
    true: ArrayLike,
    metrics: Iterable[Metric],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> list[dict[str, Estimate]]:
    """What `bootstrap` gives for each predictor, all of them with the same resamples."""
    pairs, metrics = [finite_pair(predicted, true) for predicted in predictors], list(metrics)
    samplers = [_sampler([m.function for m in metrics], x, y) for x, y in pairs]
    rows = iter(_resampled(lambda part: [row for of in samplers for row in of(part)], len(pairs[0][0]), resamples, rng))
    return [
        {m.name: _percentile(m.function(x, y), next(rows), _looked_at(m.function, y), level) for m in metrics}
        for x, y in pairs
    ]


def bootstrap_difference(
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    true: ArrayLike,
    metric: Metric,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> Estimate:
    """The metric of predictor a minus that of predictor b, all arrays `[n]`, with a paired bootstrap interval.

    Resampled: architectures, the same ones for a and b, so that what both have in common cancels. Meaning and errors
    as in `bootstrap`.
    """
    a, y = finite_pair(predicted_a, true)
    b, _ = finite_pair(predicted_b, true)
    function = metric.function
    of_a, of_b = _sampler([function], a, y), _sampler([function], b, y)
    first, second = _resampled(lambda part: of_a(part) + of_b(part), len(y), resamples, rng)
    return _percentile(function(a, y) - function(b, y), first - second, _looked_at(function, y), level)


def bootstrap_means(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    metrics: Iterable[Metric],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    """The mean of each metric over several pairs of predicted and true scores of the same architectures.

    Every array is `[n]`; where either of a pair is NaN, that pair does without the architecture. Resampled:
    architectures, the same ones for all pairs and metrics. `n` counts the architectures that are in at least one pair.
    Where the pairs differ in their architectures, correlations only (`kendall_tau_b` and the like): a pair's part of a
    resample has no fixed size then. Errors as in `bootstrap`.

    Of more than `MANY_PAIRS` pairs, tau-b (in the top, too) and rho of at least `FEWEST_LINEAR` architectures are
    resampled to first order: the same resamples, and in each the mean plus what `bench.stats.influence` says of the
    architectures that it has more or less often; the border of a top is found anew in each. That leaves out what is
    curved, of the order of 1 / n: docs/protocol.md says how near it is.
    """
    rows = [np.flatnonzero(np.isfinite(x) & np.isfinite(y)) for x, y in pairs]
    used = np.unique(np.concatenate(rows))
    measured = [Measured(np.searchsorted(used, r), x[r], y[r]) for (x, y), r in zip(pairs, rows, strict=True)]
    metrics = list(metrics)
    linear = [m for m in metrics if len(pairs) > MANY_PAIRS and _is_nearly_linear(m.function, measured)]
    counted = [m for m in metrics if m not in linear]
    means = [
        _mean_by_counts(counted, measured, len(used)),
        *(_mean_to_first_order(m, measured, len(used)) for m in linear),
    ]
    resampled = _resampled(lambda part: [row for one in means for row in one.sample(part)], len(used), resamples, rng)
    values = [value for one in means for value in one.values]
    found = {
        m.name: _percentile(value, row, len(used), level)
        for m, value, row in zip((*counted, *linear), values, resampled, strict=True)
    }
    return {m.name: found[m.name] for m in metrics}


@dataclass(frozen=True, eq=False)
class Measured:
    """One of the pairs of a mean, without what is NaN."""

    places: np.ndarray  # int64 [n], of its architectures in a resample
    predicted: np.ndarray  # [n]
    true: np.ndarray  # [n]


@dataclass(frozen=True)
class _Means:
    """Means over pairs of some metrics, and how to find them in resamples."""

    values: tuple[float, ...]
    sample: "Sampler"


def _is_nearly_linear(function: MetricFunction, measured: Sequence[Measured]) -> bool:
    """Whether its first order is known, and near enough because it looks at many architectures in all pairs."""
    if not has_first_order(function) or min(_looked_at(function, one.true) for one in measured) < FEWEST_LINEAR:
        return False
    return not isinstance(function, InTop) or all(np.array_equal(one.true, measured[0].true) for one in measured)


def _mean_by_counts(metrics: Sequence[Metric], measured: Sequence[Measured], n: int) -> _Means:
    """Each metric anew in each resample of n architectures."""
    functions = [metric.function for metric in metrics]
    values = tuple(float(np.mean([function(one.predicted, one.true) for one in measured])) for function in functions)
    of_counts = [(one.places, kernels(functions, one.predicted, one.true)) for one in measured if functions]

    def sample(part: Resamples) -> list[np.ndarray]:
        found = [of(part.weights if len(places) == n else part.counts[places]) for places, of in of_counts]
        return [np.mean(of_pairs, axis=0) for of_pairs in zip(*found, strict=True)]

    return _Means(values, sample)


def _mean_to_first_order(metric: Metric, measured: Sequence[Measured], n: int) -> _Means:
    """A metric as a linear function of the counts, see `bench.stats.influence`."""
    values, slope = list[float](), np.zeros(n)
    for one in measured:
        found = first_order(metric.function, one.predicted, one.true)
        values.append(found.value)
        slope[one.places] += found.influence / len(measured)
    mean = float(np.mean(values))
    if isinstance(metric.function, InTop):  # all pairs have one truth
        inside = linear_in_top(metric.function, slope, measured[0].true)
        return _Means((mean,), lambda part: [mean + inside(part.weights)])
    return _Means((mean,), lambda part: [mean + slope @ part.counts])


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UserError(f"level {level} is not between 0 and 1")


def _looked_at(function: MetricFunction, true: np.ndarray) -> int:
    return int(function.members(true).sum()) if isinstance(function, InTop) else len(true)


def _percentile(value: float, resampled: np.ndarray, n: int, level: float) -> Estimate:
    """The interval between the (1 - level) / 2 and (1 + level) / 2 quantiles of `resampled` `[resamples]`."""
    _check_level(level)
    defined = resampled[np.isfinite(resampled)]
    if not np.isfinite(value) or len(defined) < level * len(resampled):
        return Estimate(value, float("nan"), float("nan"), n, level)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n, level)


@dataclass(frozen=True)
class Resamples:
    """Some resamples of n architectures."""

    drawn: np.ndarray  # int64 [r, n], places of the drawn architectures

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each architecture was drawn, float32 `[n, r]`."""
        r, n = self.drawn.shape
        counts = np.empty((r, n), np.float32)
        for row, drawn in zip(counts, self.drawn, strict=True):
            row[:] = np.bincount(drawn, minlength=n)
        return np.ascontiguousarray(counts.T)

    @cached_property
    def weights(self) -> Weights:
        """The same with their sums, for all predictors."""
        return Weights(self.counts)


Sampler = Callable[[Resamples], list[np.ndarray]]  # resamples -> each metric in each of them, [r]


def _resampled(sample: Sampler, n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """What `sample` gives for `resamples` resamples, `[metric, resamples]`."""
    if resamples < 1:
        raise UserError(f"resamples {resamples} is not a positive count")
    from threadpoolctl import threadpool_limits

    chunk = max(1, _CHUNK_NUMBERS // n)
    found = []
    with threadpool_limits(1):  # the matrix products are small; on a busy machine more threads only wait for each other
        for start in range(0, resamples, chunk):
            part = Resamples(rng.integers(n, size=(min(chunk, resamples - start), n)))
            found.append(np.stack(sample(part)))
    return np.concatenate(found, axis=1)


def _sampler(functions: Sequence[MetricFunction], predicted: np.ndarray, true: np.ndarray) -> Sampler:
    """From counts where a metric has a kernel, else by calling the metric on each resample."""
    with_kernel = [function for function in functions if has_kernel(function)]
    of_counts = kernels(with_kernel, predicted, true)

    def sample(part: Resamples) -> list[np.ndarray]:
        found = iter(of_counts(part.weights) if with_kernel else ())
        return [
            next(found)
            if has_kernel(function)
            else np.array([function(predicted[drawn], true[drawn]) for drawn in part.drawn])
            for function in functions
        ]

    return sample
