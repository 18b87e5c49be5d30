"""The ways to train a supernet: one file a paper, listed in `STRATEGIES`."""

from mngnas.errors import unknown
from mngnas.strategies.base import StepContext, StepResult, Strategy
from mngnas.strategies.fairnas import FairNas
from mngnas.strategies.spos import Spos

__all__ = ["STRATEGIES", "StepContext", "StepResult", "Strategy", "make_strategy"]

STRATEGIES: dict[str, type[Strategy]] = {strategy.name: strategy for strategy in (Spos, FairNas)}


def make_strategy(name: str) -> Strategy:
    """A fresh strategy by name; raises `UserError` for an unknown one."""
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    return STRATEGIES[name]()
