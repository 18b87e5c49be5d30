"""What a study gives to every method: its pictures, its skeleton, its settings."""

import os
from dataclasses import asdict

import torch

from bench.study.preset import search_scoring
from bench.study.spec import Study
from bench.study.work import cores
from mngnas.data.datasets import ImageData, load_images
from mngnas.data.images import ImageSet
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.spaces import space_named
from mngnas.spaces.skeleton import Skeleton


def make_task(study: Study, seed: int) -> Task:
    """What a method is given in this study; raises `UserError`, also if the pictures are others than the study's."""
    preset, space = study.preset, space_named(study.space)
    images = prepared_images(study)
    return Task(
        *(space, seed, images, _skeleton(study, images.train), preset.training, preset.augmentation),
        *(preset.scoring, search_scoring(preset), preset.retraining, cores()),
    )


def prepared_images(study: Study) -> ImageData:
    """The study's pictures at its resolution, on its device."""
    data, device = load_images(study.dataset, study.mirror), torch.device(study.device)
    check_task(study, data)
    factor = study.preset.images.shrink
    return ImageData(*(part.shrunk(factor).to(device) for part in (data.train, data.valid, data.test)))


def check_task(study: Study, images: ImageData) -> None:
    """Raise `UserError` for settings that these pictures, as they are found, or this machine cannot fulfil.

    It is asked before anything starts, and again by every process.
    """
    preset, train = study.preset, images.train
    if train.name != study.images:
        raise UserError(f"this study was made with {study.images}, but {train.name} is what was found")
    side, factor, stages = train.pixels.shape[-1], preset.images.shrink, preset.supernet.stages
    if side % factor:
        raise UserError(f"images.shrink = {factor} does not divide the side of {side} pixels")
    side //= factor
    space_named(study.space).check(_skeleton(study, train))
    if side % 2 ** (stages - 1):
        raise UserError(f"supernet.stages = {stages} is too many for pictures of {side}x{side}")
    scoring, batch_size = preset.scoring, preset.training.batch_size
    if scoring.images > len(images.valid):
        raise UserError(f"scoring.images = {scoring.images} is more than the {len(images.valid)} validation images")
    if scoring.batch_norm == "recalibrated" and scoring.recalibration_images > len(train):
        raise UserError(f"scoring.recalibration_images = {scoring.recalibration_images} is outside 2..{len(train)}")
    if batch_size > len(train):
        raise UserError(f"training.batch_size = {batch_size} is more than the {len(train)} training images")
    for name in ("crop", "cutout"):
        if (value := getattr(preset.augmentation, name)) > side:
            raise UserError(f"augmentation.{name} = {value} is more than the side of {side} pixels")
    if study.device == "cpu":
        _check_memory(study, train, side)


def _check_memory(study: Study, train: ImageSet, side: int) -> None:
    """What the weights with their gradients, and one cell's output a stage, take at the least."""
    space, skeleton = space_named(study.space), _skeleton(study, train)
    weights = int(space.parameters(space.all_archs, skeleton).max())
    outputs = study.preset.training.batch_size * skeleton.channels * side**2 * skeleton.cells
    needed, there = 4 * (3 * weights + outputs), _memory()
    if there and needed > there:
        raise UserError(
            f"supernet.channels = {skeleton.channels} and cells = {skeleton.cells} need at least {needed / 1e9:,.0f} GB"
            f" of memory, and this machine has {there / 1e9:,.0f}"
        )


def _memory() -> int:
    """Bytes of memory of this machine; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _skeleton(study: Study, train: ImageSet) -> Skeleton:
    supernet = asdict(study.preset.supernet)
    return Skeleton(classes=train.classes, in_channels=train.pixels.shape[1], **supernet)
