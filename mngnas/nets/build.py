"""Which network belongs to which search space: the one place in `nets` that a new space is added to."""

from threading import Lock

from mngnas.nets.cell_network import CellNetwork
from mngnas.nets.cell_supernet import CellSupernet
from mngnas.nets.many_paths import FairSetStep
from mngnas.nets.network import Network
from mngnas.nets.supernet import Supernet
from mngnas.nets.width_network import WidthNetwork
from mngnas.nets.width_supernet import WidthSupernet
from mngnas.spaces import Arch, Space
from mngnas.spaces.size import SIZE
from mngnas.spaces.skeleton import Skeleton
from mngnas.spaces.topology import TOPOLOGY

_SUPERNETS: dict[str, type[CellSupernet | WidthSupernet]] = {TOPOLOGY.name: CellSupernet, SIZE.name: WidthSupernet}
_NETWORKS: dict[str, type[CellNetwork | WidthNetwork]] = {TOPOLOGY.name: CellNetwork, SIZE.name: WidthNetwork}
_DRAWING = Lock()  # modules draw from the one global generator


def build_supernet(space: Space, skeleton: Skeleton, seed: int) -> Supernet:
    """A supernet with weights drawn by `seed`, on the CPU."""
    return _SUPERNETS[space.name](skeleton, seed)


def build_network(space: Space, arch: Arch, skeleton: Skeleton, seed: int) -> Network:
    """One architecture's own network of ordinary modules, PyTorch's default weights drawn by `seed`, on the CPU."""
    with _DRAWING:
        return _NETWORKS[space.name](arch, skeleton, seed)


def fair_set_step(supernet: Supernet) -> FairSetStep | None:
    """What runs a strictly fair set of paths at once, if the supernet has such a thing."""
    return FairSetStep(supernet) if isinstance(supernet, CellSupernet) else None
