"""A data set of noise: a benchmark needs shapes, not meaning, and no download."""

import numpy as np

from understanding_bn.data.store import Store

CLASSES = 10
CHANNELS = 3


def store(images: int, size: int) -> Store:
    """`images` random RGB images of `size`×`size` pixels with random labels, all of them for training."""
    generator = np.random.Generator(np.random.PCG64(0))
    pixels = generator.integers(0, 256, (images, size, size, CHANNELS), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, images)
    scaled = pixels / 255
    info = {
        "dataset": "noise",
        "classes": CLASSES,
        "channel_mean": scaled.mean((0, 1, 2)).tolist(),
        "channel_std": scaled.std((0, 1, 2)).tolist(),
        "flip": True,
    }
    return Store(pixels, labels, np.zeros(images, dtype=np.uint8), info)


def padding(size: int) -> int:
    """Pixels around an image before a random crop, as the presets choose them: 4 at 32×32, 1 at 8×8."""
    return max(1, size // 8)
