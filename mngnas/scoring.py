"""One-shot accuracy and loss of many architectures with a supernet's inherited weights.

Two savings make scoring the whole space routine. Architectures with the same live graph give the same output, so 9,445
forward passes serve all 15,625. And in order of rank, consecutive architectures agree in the first cell's early edges:
the stem and each node of the first cell are computed once and kept while they are the same. A GPU would be idle between
the small operations of a single path; there many paths are run at once instead (`mngnas.paths`).
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mngnas.errors import UserError, unknown
from mngnas.images import Batch, ImageSet, scoring_batch
from mngnas.paths import forward_paths, route
from mngnas.space import EDGES, NONE, Arch, live_graph, to_rank
from mngnas.supernet import Cell, RecordingNorm, ReplayNorm, Supernet, batch_norm

_Logits = Iterator[tuple[int, Batch, Tensor]]  # place among the distinct live graphs, batch, logits [b, classes]

BATCH_NORM_MODES = ("batch", "recalibrated")
_PATHS_ON_A_GPU = 128


@dataclass(frozen=True)
class ScoringConfig:
    """By which images and which BatchNorm statistics architectures are scored."""

    images: int = 1000  # validation images, picked once for all runs
    batch_size: int = 125  # with "batch" statistics the size matters to the result
    batch_norm: str = "batch"  # or "recalibrated": statistics of each path on `recalibration_images` training images
    recalibration_images: int = 500
    noise: float = 0.0  # standard deviation of the noise added to the images, in units of the full range

    def __post_init__(self) -> None:
        if self.batch_norm not in BATCH_NORM_MODES:
            raise unknown("batch_norm", self.batch_norm, BATCH_NORM_MODES)
        if self.batch_size < 1 or self.images < 1 or self.images % self.batch_size:
            raise UserError(
                f"scoring.images = {self.images} is not a positive multiple of batch_size = {self.batch_size}"
            )


@dataclass(frozen=True)
class Scores:
    """Results of `n` architectures."""

    accuracy: np.ndarray  # float64 [n], fraction
    loss: np.ndarray  # float64 [n], mean cross-entropy in nats


class Scorer:
    """Scores architectures of one supernet on fixed images, which are prepared once."""

    def __init__(
        self,
        supernet: Supernet,
        config: ScoringConfig,
        valid: ImageSet,
        train: ImageSet,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Scores are by `valid`; `train` serves to recalibrate BatchNorm only. Both lie on the supernet's device."""
        if config.images > len(valid):
            raise UserError(f"scoring.images = {config.images} is more than the {len(valid)} validation images")
        self.supernet, self.config = supernet, config
        self.paths_at_once = _PATHS_ON_A_GPU if valid.pixels.device.type == "cuda" else 1  # changes no result
        whole = scoring_batch(_pick(valid, config.images), config.noise, dtype=dtype)
        parts = zip(whole.images.split(config.batch_size), whole.labels.split(config.batch_size), strict=True)
        self.batches = [Batch(images, labels) for images, labels in parts]
        self.calibration: Tensor | None = None
        if config.batch_norm == "recalibrated":
            if not 1 < config.recalibration_images <= len(train):
                raise UserError(
                    f"scoring.recalibration_images = {config.recalibration_images} is outside 2..{len(train)}"
                )
            picked = _pick(train, config.recalibration_images)
            self.calibration = scoring_batch(picked, config.noise, seed=1, dtype=dtype).images

    @torch.inference_mode()
    def __call__(self, archs: Sequence[Arch], supernet: Supernet | None = None) -> Scores:
        """Accuracy and loss of each architecture, in the order given; equal live graphs are computed once.

        `supernet` is another one of the same skeleton to be scored on the same images.
        """
        net = supernet or self.supernet
        lives = [live_graph(arch) for arch in archs]
        distinct = sorted(set(lives), key=to_rank)
        if self.calibration is not None:
            logits = self._recalibrated_logits
        else:
            logits = self._shared_logits if self.paths_at_once == 1 else self._joint_logits
        n, device = len(distinct), self.batches[0].labels.device
        right = torch.zeros(n, dtype=torch.int64, device=device)
        loss = torch.zeros(n, dtype=torch.float64, device=device)
        for place, batch, found in logits(net, distinct):
            right[place] += (found.argmax(1) == batch.labels).sum()
            loss[place] += F.cross_entropy(found, batch.labels, reduction="sum")
        where = {live: i for i, live in enumerate(distinct)}
        order = [where[live] for live in lives]
        return Scores(right.cpu().numpy()[order] / self.config.images, loss.cpu().numpy()[order] / self.config.images)

    def _shared_logits(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Batch by batch, with statistics of the batch."""
        for batch in self.batches:
            first = _FirstCell(net.first_cell, net.stem(batch.images, batch_norm))
            for place, live in enumerate(distinct):
                yield place, batch, net.after_first_cell(first.output(live), live).logits

    def _joint_logits(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Many paths at a time, with statistics of the batch and the path; fewer once memory has not sufficed."""
        start = 0
        while start < len(distinct):
            chunk = distinct[start : start + self.paths_at_once]
            try:
                paths = route(chunk, self.batches[0].labels.device)
                found = [forward_paths(net, batch.images, paths).logits for batch in self.batches]
            except torch.OutOfMemoryError:
                if self.paths_at_once == 1:
                    raise
                self.paths_at_once //= 2
                torch.cuda.empty_cache()
                warnings.warn(f"out of memory: scoring {self.paths_at_once} architectures at once", stacklevel=2)
                continue
            for batch, logits in zip(self.batches, found, strict=True):
                for place, one in enumerate(logits, start):
                    yield place, batch, one
            start += len(chunk)

    def _recalibrated_logits(self, net: Supernet, distinct: Sequence[Arch]) -> _Logits:
        """Architecture by architecture, with fixed statistics of its own path."""
        assert self.calibration is not None
        for place, live in enumerate(distinct):
            recording = RecordingNorm()
            net(self.calibration, live, recording)
            for batch in self.batches:
                yield place, batch, net(batch.images, live, ReplayNorm(recording.statistics)).logits


class _FirstCell:
    """The first cell's nodes for architectures that come in order of rank: each is computed once while it lasts."""

    # Node 1 depends on the first operation, node 2 on the first three: edges are listed by target node.
    _DEPENDS_ON = (0, 1, 3)

    def __init__(self, cell: Cell, x: Tensor) -> None:
        self.cell, self.x = cell, x
        self.kept: dict[str | int, tuple[Arch, dict]] = {}

    def output(self, live: Arch) -> Tensor:
        """The cell's output for an architecture without dead edges."""
        found = self._sum(live, (3, 4, 5))
        return torch.zeros_like(self.x) if found is None else found

    def _node(self, node: int, live: Arch) -> Tensor | None:
        if node == 0:
            return self.x
        edges = (0,) if node == 1 else (1, 2)
        return self._remember(f"node {node}", live[: self._DEPENDS_ON[node]], None, lambda: self._sum(live, edges))

    def _sum(self, live: Arch, edges: tuple[int, ...]) -> Tensor | None:
        total = None
        for edge in edges:
            value = self._edge(edge, live)
            if value is not None:
                total = value if total is None else total + value
        return total

    def _edge(self, edge: int, live: Arch) -> Tensor | None:
        op, source = live[edge], EDGES[edge][0]
        x = self._node(source, live)
        if op == NONE or x is None:
            return None
        prefix = live[: self._DEPENDS_ON[source]]
        return self._remember(edge, prefix, op, lambda: self.cell.operate(edge, op, x, None, batch_norm))

    def _remember(
        self, what: str | int, prefix: Arch, key: int | None, compute: Callable[[], Tensor | None]
    ) -> Tensor | None:
        """What was computed for this prefix, or compute it and forget what other prefixes gave."""
        known, values = self.kept.get(what, (None, {}))
        if known != prefix:
            values = {}
            self.kept[what] = (prefix, values)
        if key not in values:
            values[key] = compute()
        return values[key]


def _pick(images: ImageSet, n: int) -> ImageSet:
    """A fixed random sample of a set, the same in every run; in the set's own order, classes may be sorted."""
    return images.subset(np.random.default_rng(0).permutation(len(images))[:n])
