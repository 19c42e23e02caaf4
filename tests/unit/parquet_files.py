"""Small data sets in the Parquet layout, for several test modules."""

import io

import numpy as np
import pandas as pd
from PIL import Image


def encode(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_parquet(folder, train=20, test=10, size=9, channels=3, classes=4, column="img", seed=0):
    """A data set in the Parquet layout; returns the images and labels that are in it."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    written = {}
    for name, count in (("train", train), ("test", test)):
        shape = (count, size, size, 3) if channels == 3 else (count, size, size)
        images = rng.integers(0, 256, shape, dtype=np.uint8)
        labels = np.arange(count) % classes
        cells = [{"bytes": encode(i), "path": None} for i in images]
        pd.DataFrame({column: cells, "label": labels}).to_parquet(folder / f"{name}.parquet")
        written[name] = images.reshape(count, size, size, -1), labels
    return written
