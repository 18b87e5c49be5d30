from itertools import chain

import numpy as np
import pytest
import torch

from mngnas.data.images import ImageSet, scoring_batch, training_batch
from mngnas.settings import Augmentation

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CPU = torch.device("cpu")


def image_set(n: int = 23, height: int = 8, width: int = 6) -> ImageSet:
    """Random pictures; the label is the picture's number, so that a batch tells which pictures it holds."""
    pixels = np.random.default_rng(n).integers(0, 256, (n, 3, height, width)).astype(np.uint8)
    return ImageSet("made up", torch.from_numpy(pixels), torch.arange(n), n, MEAN, STD)


def order_of(images: ImageSet, steps: range, size: int, seed: int = 0) -> list[list[int]]:
    return [training_batch(images, step, size, Augmentation(), seed).labels.tolist() for step in steps]


def normalised(pixels: np.ndarray) -> np.ndarray:
    """Pictures `[c, h, w]` as a network sees them."""
    return (pixels / 255 - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]


def augmented(pixels: np.ndarray, crop: int, flip: bool, cutout: int, rng: np.random.Generator) -> np.ndarray:
    """The readable twin: pictures `[n, c, h, w]`, one after the other, from the same random numbers."""
    n, _, height, width = pixels.shape
    top = left = mirrored = np.zeros(n, int)
    if crop or flip:
        top, left = rng.integers(0, 2 * crop + 1, n), rng.integers(0, 2 * crop + 1, n)
    if flip:
        mirrored = rng.integers(0, 2, n)
    if cutout:
        middle = list(zip(rng.integers(0, height, n), rng.integers(0, width, n), strict=True))
    result = []
    for i, picture in enumerate(pixels):
        padded = np.pad(picture, ((0, 0), (crop, crop), (crop, crop)))
        one = padded[:, top[i] : top[i] + height, left[i] : left[i] + width]
        one = normalised(one[:, :, ::-1] if mirrored[i] else one)
        if cutout:
            y, x = middle[i]
            half = cutout // 2
            one[:, max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0
        result.append(one)
    return np.array(result)


@pytest.mark.parametrize("size", [1, 5, 23, 100])
def test_an_epoch_is_a_permutation(size):
    images = image_set()
    size_used = min(size, 23)
    per_epoch = 23 // size_used
    batches = order_of(images, range(3 * per_epoch), size)
    assert {len(batch) for batch in batches} == {size_used}
    epochs = [list(chain(*batches[e * per_epoch : (e + 1) * per_epoch])) for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == size_used * per_epoch
    assert epochs[0] != epochs[1] != epochs[2]
    if size == 1:
        assert sorted(epochs[0]) == list(range(23))


def test_the_order_depends_on_the_seed_alone():
    images = image_set()
    forwards = order_of(images, range(9), 5)
    backwards = order_of(images, range(9)[::-1], 5)
    assert forwards == backwards[::-1]
    assert forwards != order_of(images, range(9), 5, seed=1)


def test_labels_belong_to_their_pictures():
    images = image_set()
    for batch in (training_batch(images, 1, 9, Augmentation(), 3), scoring_batch(images)):
        expected = [normalised(images.pixels[i].numpy()) for i in batch.labels.tolist()]
        np.testing.assert_allclose(batch.images.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cutout", [0, 1, 4, 5])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("crop", [0, 1, 4])
def test_augmentation_equals_the_readable_twin(crop, flip, cutout):
    images = image_set()
    for step in range(4):
        batch = training_batch(images, step, 11, Augmentation(crop, flip, cutout), seed=7)
        pixels = images.pixels[batch.labels].numpy()
        expected = augmented(pixels, crop, flip, cutout, np.random.default_rng([7, 1, step]))
        np.testing.assert_allclose(batch.images.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_every_shift_and_both_directions_occur():
    """One bright pixel tells where a picture went."""
    pixels = torch.zeros(512, 1, 7, 7, dtype=torch.uint8)
    pixels[:, :, 3, 2] = 255
    images = ImageSet("one pixel", pixels, torch.arange(512), 512, (0.0,), (1.0,))
    seen = training_batch(images, 0, 512, Augmentation(crop=1, flip=True), 0).images.nonzero()[:, 2:]
    counts = dict.fromkeys([(y, x) for y in (2, 3, 4) for x in (1, 2, 3, 4, 5)], 0)
    for place in seen.tolist():
        counts[tuple(place)] += 1
    assert len(seen) == 512
    # x is 1, 2, 3 as it is and 5, 4, 3 mirrored: 512 / 18 pictures each, 512 / 9 for x = 3; 4.5 standard deviations
    for (_, x), count in counts.items():
        expected = 512 / (9 if x == 3 else 18)
        assert abs(count - expected) < 4.5 * expected**0.5


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(2, True, 4, 0.1)])
def test_same_arguments_same_bits(augmentation):
    images = image_set()
    one, two = (training_batch(images, 5, 8, augmentation, seed=2) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.labels, two.labels)
    torch.rand(1)
    np.random.default_rng().random()
    assert torch.equal(training_batch(images, 5, 8, augmentation, seed=2).images, one.images)
    if augmentation.crop:
        assert not torch.equal(training_batch(images, 5, 8, augmentation, seed=3).images, one.images)


def test_global_generators_are_left_alone():
    before = torch.get_rng_state()
    training_batch(image_set(), 0, 8, Augmentation(2, True, 4, 0.1), 0)
    scoring_batch(image_set(), noise=0.1)
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_has_its_deviation_in_units_of_the_range():
    images = image_set(400)
    noise = (scoring_batch(images, noise=0.1).images - scoring_batch(images).images) * torch.tensor(STD)[:, None, None]
    n = noise.numel()
    assert abs(noise.mean().item()) < 5 * 0.1 / n**0.5
    assert abs(noise.std().item() - 0.1) < 5 * 0.1 / (2 * n) ** 0.5
    assert torch.equal(scoring_batch(images, noise=0.1).images, scoring_batch(images, noise=0.1).images)
    assert not torch.equal(scoring_batch(images, noise=0.1).images, scoring_batch(images, noise=0.1, seed=1).images)


def test_normalisation_with_own_moments_gives_zero_and_one():
    images = image_set(200)
    x = images.pixels.double() / 255
    own = ImageSet("own", images.pixels, images.labels, 200, *((f((0, 2, 3)).tolist()) for f in (x.mean, x.std)))
    batch = scoring_batch(own).images
    np.testing.assert_allclose(batch.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(batch.std((0, 2, 3)), 1, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layout_and_type(dtype):
    images = image_set()
    for batch in (
        training_batch(images, 0, 8, Augmentation(2, True, 4, 0.1), 0, dtype),
        scoring_batch(images, dtype=dtype),
    ):
        assert batch.images.dtype == dtype
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert images.pixels.dtype == torch.uint8
    assert torch.equal(images.pixels, image_set().pixels)  # the set itself is left as it was


def test_subset_and_device():
    images = image_set()
    where = np.array([4, 4, 0])
    part = images.subset(where).to(CPU)
    assert torch.equal(part.pixels, images.pixels[[4, 4, 0]])
    assert part.labels.tolist() == [4, 4, 0]
    assert (len(part), part.name, part.classes, part.mean) == (3, images.name, images.classes, images.mean)


@pytest.mark.parametrize("factor", [1, 2])
def test_shrunk(factor):
    images = image_set()
    small = images.shrunk(factor)
    n, c, height, width = images.pixels.shape
    blocks = images.pixels.numpy().reshape(n, c, height // factor, factor, width // factor, factor)
    np.testing.assert_array_equal(small.pixels.numpy(), np.round(blocks.astype(float).mean(axis=(3, 5))))
    assert small.pixels.dtype == torch.uint8
    assert torch.equal(small.labels, images.labels)
