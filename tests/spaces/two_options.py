"""A small space of two options at each of four positions, for what every space can do."""

from mngnas.spaces.base import Space


class TwoOptions(Space):
    """Sixteen architectures."""

    name = label = "two options"
    positions, options = ("a", "b", "c", "d"), (("0", "1"),) * 4

    def parse(self, arch_str):
        return self.from_key(arch_str)

    def to_str(self, arch):
        return self.to_key(arch)

    def parameters(self, archs, skeleton):
        raise NotImplementedError

    def flops(self, archs, skeleton, side):
        raise NotImplementedError

    def traits(self):
        raise NotImplementedError
