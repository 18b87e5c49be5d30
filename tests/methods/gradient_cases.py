"""What tests of methods by gradient share: a small method, a step, double precision, an alpha that is not near zero."""

from dataclasses import replace

import numpy as np
import torch

from mngnas.data.images import Batch
from mngnas.methods.supernet_method import Step, StepResult
from mngnas.seeds import Stream, generator
from tests.methods.cases import METHODS, SHORT, make_task


def method_of(name, task=None, **changes):
    """A method that has done nothing yet."""
    found = METHODS[name].load()
    return found(found.Config(**changes), make_task(skeleton=SHORT) if task is None else task)


def step_of(method, number=0, spent=0.5):
    """What a step is given."""
    rng = generator(method.task.seed, Stream.STEP, number)
    return Step(number, method.task.training_batch(number), rng, spent)


def no_step(*_):
    """In the place of a step that does nothing."""
    return StepResult(0, 0, torch.zeros(()))


def set_alpha(method, seed=0, scale=1.0):
    """Architecture parameters that favour something."""
    values = np.random.default_rng(seed).normal(0, scale, tuple(method.alpha.shape))
    with torch.no_grad():
        method.alpha.copy_(torch.as_tensor(values))


def in_double(method):
    """The same method in double precision, before its first step."""
    method.supernet.double()
    for parameter in method.architecture_parameters:
        parameter.data = parameter.data.double()
    return method


def double(batch):
    """A batch in double precision."""
    return Batch(batch.images.double(), batch.labels)


def double_step(method, spent=0.5):
    """A step whose batch is in double precision."""
    step = step_of(method, spent=spent)
    return replace(step, batch=double(step.batch))


def slopes(function, values, step):
    """The gradient of `function` in a tensor of parameters, by central differences."""
    found = torch.zeros_like(values)
    with torch.no_grad():
        for place in np.ndindex(tuple(values.shape)):
            first = values[place].item()
            values[place] = first + step
            above = function()
            values[place] = first - step
            found[place] = (above - function()) / (2 * step)
            values[place] = first
    return found


def gradients(method):
    """Of the weights, nothing as zeros."""
    return torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in method.supernet.parameters()]
    )
