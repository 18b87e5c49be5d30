"""Every random stream of the project by its name: a draw is a function of a seed, a stream and a place in it.

So there is no random state to save: a resumed run draws the same numbers, and other code between two draws changes
nothing. The numbers behind the names are fixed once and for all; another number would change every result.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What is drawn with a run's seed."""

    PICTURE_ORDER = 0  # of an epoch; or the pictures of a step, where a method picks them
    AUGMENTATION = 1  # of a step's batch
    SCORING_NOISE = 2  # added once to the pictures that architectures are scored on
    STEP = 3  # what a method draws in a step, paths for example
    ARCHITECTURE_PARAMETERS = 4  # their first values
    ORACLE = 5  # what a searcher draws
    METHOD = 6  # what a method draws once, not in a step
    ANSWER = 7  # which of its trainings each architecture answers with


class Sample(IntEnum):
    """What is picked at random once, the same in every run and study."""

    CURVE = 0  # architectures scored while a run goes on
    FINAL = 1  # architectures scored at the end, where not all are
    RETRAINED = 2  # architectures that are retrained one by one
    PICTURES = 0  # validation pictures that scores are taken on
    BRIEF = 0  # order of the architectures that are trained alone


BRIEF_TRAINING = 1_000_000_007  # the seed of brief stand-alone training: no run's
_FURTHER = 1_000_003
_RETRAINING = 500_000_003
_VALIDATION = 700_000_001


def generator(seed: int, stream: Stream, *place: int) -> np.random.Generator:
    """The generator at a place of a stream, for example a step."""
    return np.random.default_rng([seed, int(stream), *place])


def sample_generator(sample: Sample) -> np.random.Generator:
    """The generator of something that is picked once."""
    return np.random.default_rng(int(sample))


def further_batches(seed: int, step: int) -> int:
    """The seed of batches that a method takes within a step, besides the step's own; no step's own are among them."""
    return seed + (1 + step) * _FURTHER


def retraining_batches(seed: int) -> int:
    """The seed of the batches of retraining after a supernet's training: unused before, the same for every network."""
    return seed + _RETRAINING


def validation_batches(seed: int) -> int:
    """The seed of validation batches that a method learns from."""
    return seed + _VALIDATION


def stand_alone_weights(seed: int, arch_index: int) -> int:
    """The seed of the first weights of one architecture's own network."""
    return seed * _FURTHER + arch_index
