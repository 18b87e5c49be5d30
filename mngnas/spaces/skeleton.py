"""The fixed part of a network around what a search space varies."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """Width, depth and shape of the network; the default is NAS-Bench-201's own (Dong & Yang, ICLR 2020, figure 1)."""

    channels: int = 16  # width of the first stage; it doubles from stage to stage
    cells: int = 5  # cells a stage
    classes: int = 10
    in_channels: int = 3
    stages: int = 3
    residual_reduction: bool = True  # False: 2x2 average pool + 1x1 convolution, for small pictures (digits201)
    affine: bool = False  # learnt scale and shift in the cells' BatchNorm

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.channels * 2**stage for stage in range(self.stages))

    @property
    def stage_of_cell(self) -> tuple[int, ...]:
        """The stage of each cell, first to last."""
        return tuple(stage for stage in range(self.stages) for _ in range(self.cells))
