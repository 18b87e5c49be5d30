"""The ways to train a supernet: one file a paper, listed in `STRATEGIES`, with the ablations of MNGNAS by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

from mngnas.errors import UserError, unknown
from mngnas.strategies.base import Search, StepContext, StepResult, Strategy
from mngnas.strategies.fairnas import FairNas
from mngnas.strategies.mngnas import ABLATIONS, Mngnas, MngnasConfig
from mngnas.strategies.spos import Spos

__all__ = ["STRATEGIES", "Search", "StepContext", "StepResult", "Strategy", "StrategyEntry"]
__all__ += ["make_strategy", "strategy_names"]


@dataclass(frozen=True)
class StrategyEntry:
    """A strategy as lists and reports show it."""

    name: str  # as given on the command line
    label: str  # as shown in tables and figures
    paper: str
    description: str
    make: Callable[[MngnasConfig], Strategy]  # of a preset's section [mngnas], which others have no use for


def _plain(strategy: type[Strategy]) -> StrategyEntry:
    about = strategy.name, strategy.label, strategy.paper, strategy.description
    return StrategyEntry(*about, lambda _config: strategy())


def _ablated(config: MngnasConfig, changes: dict) -> Strategy:
    return Mngnas(replace(config, **changes))


STRATEGIES: dict[str, StrategyEntry] = {entry.name: entry for entry in (_plain(Spos), _plain(FairNas))}
STRATEGIES[Mngnas.name] = StrategyEntry(Mngnas.name, Mngnas.label, Mngnas.paper, Mngnas.description, Mngnas)
for _ablation in ABLATIONS:
    _name = f"{Mngnas.name}-{_ablation.name}"
    STRATEGIES[_name] = StrategyEntry(
        _name,
        f"{Mngnas.label} {_ablation.name}",
        Mngnas.paper,
        f"ablation: {_ablation.description}",
        partial(_ablated, changes=_ablation.changes),
    )


def make_strategy(name: str, config: MngnasConfig | None = None) -> Strategy:
    """A fresh strategy by name; raises `UserError` for an unknown one."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    return STRATEGIES[name].make(config or MngnasConfig())


def strategy_names(patterns: str) -> list[str]:
    """The strategies that shell-style patterns, separated by commas, match; those after a "!" are left out again.

    In the order of the patterns, and of `STRATEGIES` within one; each once. Raises `UserError` for a pattern that
    matches nothing, and if nothing is left.
    """
    names: dict[str, None] = {}
    for pattern in patterns.split(","):
        wanted = pattern.removeprefix("!")
        found = [name for name in STRATEGIES if fnmatchcase(name, wanted)]
        if not found:
            raise unknown("strategy", wanted, STRATEGIES)
        names = names | dict.fromkeys(found) if wanted == pattern else {n: None for n in names if n not in found}
    if not names:
        raise UserError(f"strategy {patterns!r} leaves none; available: {', '.join(STRATEGIES)}")
    return list(names)
