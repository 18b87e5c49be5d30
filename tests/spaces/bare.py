"""Spaces without costs and traits, for what every space can do: the text is the key."""

from mngnas.spaces.base import Space


class Bare(Space):
    """What an abstract space must have, so that a subclass says its positions and options alone."""

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


class TwoOptions(Bare):
    """Sixteen architectures."""

    name = label = "two options"
    positions, options = ("a", "b", "c", "d"), (("0", "1"),) * 4
