"""What a study gives to every method: its pictures, its skeleton, its settings."""

from dataclasses import asdict

import torch

from bench.study.preset import search_scoring
from bench.study.spec import Study
from mngnas.data.datasets import ImageData, load_images
from mngnas.errors import UserError
from mngnas.methods.base import Task
from mngnas.spaces import space_named
from mngnas.spaces.skeleton import Skeleton


def make_task(study: Study, seed: int) -> Task:
    """What a method is given in this study; raises `UserError`, also if the pictures are others than the study's."""
    preset, space = study.preset, space_named(study.space)
    images = prepared_images(study)
    train = images.train
    skeleton = Skeleton(classes=train.classes, in_channels=train.pixels.shape[1], **asdict(preset.supernet))
    side, halvings = train.pixels.shape[-1], 2 ** (skeleton.stages - 1)
    if side % halvings:
        raise UserError(f"supernet.stages = {skeleton.stages} is too many for pictures of {side}x{side}")
    return Task(
        *(space, seed, images, skeleton, preset.training, preset.augmentation),
        *(preset.scoring, search_scoring(preset), preset.retraining),
    )


def prepared_images(study: Study) -> ImageData:
    """The study's pictures at its resolution, on its device."""
    data, device = load_images(study.dataset, study.mirror), torch.device(study.device)
    if data.train.name != study.images:
        raise UserError(f"this study was made with {study.images}, but {data.train.name} is what was found")
    factor = study.preset.images.shrink
    if data.train.pixels.shape[-1] % factor:
        raise UserError(f"images.shrink = {factor} does not divide the side of {data.train.pixels.shape[-1]} pixels")
    return ImageData(*(part.shrunk(factor).to(device) for part in (data.train, data.valid, data.test)))
