"""What the paper shows, as numbers: digitised from its figures or recalled. Figures draw them as marks at its scale.

All of it is ResNet-110 on CIFAR-10 with B = 128. Claims carry their own paper values; see `claims`.
"""

import re

import pandas as pd

DATASET, TRAIN_IMAGES, ARCH, BATCH_SIZE = "cifar10", 50_000, "resnet-110", 128


def differences(dataset_tag: str, train_images: int | None, arch: str, batch_size: int) -> dict[str, str]:
    """What is not as in the paper: "data", "network" and "batch size", each with what it is instead.

    This decides what the paper's scale is, wherever that is asked.

    Args:
        dataset_tag: as `data.sources.tag` makes it. The whole of CIFAR-10 is "cifar10" or "cifar10-" and eight hex
            digits; the tag of a subset is longer.
        train_images: how many images there are to train on; None if only the tag is known.
        arch: the architecture's name.
        batch_size: B.
    """
    found = {}
    whole = re.fullmatch(rf"{DATASET}(-[0-9a-f]{{8}})?", dataset_tag) and train_images in (None, TRAIN_IMAGES)
    if not whole:
        dataset, images = dataset_tag.split("-")[0], "some" if train_images is None else f"{train_images:,}"
        found["data"] = f"{dataset}, not CIFAR-10" if dataset != DATASET else f"{images} of CIFAR-10’s training images"
    if arch != ARCH:
        found["network"] = f"{arch}, not {ARCH}"
    if batch_size != BATCH_SIZE:
        found["batch size"] = f"B = {batch_size}, not {BATCH_SIZE}"
    return found


def is_scale(dataset_tag: str, train_images: int | None, arch: str, batch_size: int) -> bool:
    """Whether results are at the paper's scale, so that its numbers can be compared with them; see `differences`."""
    return not differences(dataset_tag, train_images, arch, batch_size)


def is_scale_of(values: pd.DataFrame) -> bool:
    """Whether all rows, with columns dataset, arch and batch_size, are at the paper's scale."""
    facts = values[["dataset", "arch", "batch_size"]].drop_duplicates()
    return all(is_scale(tag, None, arch, size) for tag, arch, size in facts.itertuples(index=False, name=None))


# Fig. 1: final test accuracy, by norm and α; the single final BN's is recalled.
FINAL_TEST_ACCURACY = {
    ("batch", 0.1): 0.9326,
    ("batch", 0.003): 0.9045,
    ("batch", 0.0001): 0.813,
    ("none", 0.0001): 0.820,
    ("batch-final", 0.03): 0.901,
}

# Fig. 3 by norm and mini-batch: (step, minimum) of the relative loss, and at which step it passes a value.
RELATIVE_LOSS_MINIMUM = {
    ("batch", 1): (0.026, 0.86),
    ("batch", 4): (0.038, 0.71),
    ("batch", 7): (0.095, 0.78),
    ("none", 1): (2.3e-4, 0.115),
    ("none", 4): (1.4e-4, 0.93),
}
RELATIVE_LOSS_CROSSINGS: dict[tuple[str, int], dict[float, float]] = {
    ("batch", 1): {1: 0.056},
    ("batch", 4): {1: 0.11},
    ("none", 1): {1: 8e-4, 1e3: 1.8e-3, 1e6: 2.7e-3},
    ("none", 4): {1: 6e-4, 1e3: 2.8e-3, 1e6: 4.5e-3},
    ("none", 7): {1: 6.5e-4, 1e3: 4.2e-3, 1e6: 7.1e-3},
}

# Fig. 5: means over channels, natural logarithms, by norm and statistic.
MOMENT_LAYERS = (6, 18, 30, 42, 54, 66, 78, 90, 102, 110)
CHANNEL_MOMENTS = {
    ("batch", "log_std"): (0.10, 0.62, 0.90, 0.05, 0.64, 0.97, 0.00, 0.57, 0.90, -0.85),
    ("none", "log_std"): (-1.25, -1.15, -0.27, -0.23, 0.13, 0.88, 1.42, 2.2, 3.0, 1.97),
    ("batch", "log_mean"): (-0.95, 0.23, 0.53, -0.85, -0.3, 0.13, -1.1, -0.33, 0.03, -0.63),
    ("none", "log_mean"): (-1.55, -1.45, -0.27, -0.3, -0.37, 0.78, 1.25, 1.9, 2.83, 3.5),
}

# Fig. 6: whether one class takes all images; one network of each kind is shown.
ONE_CLASS_FOR_ALL = {"none": 1.0, "batch": 0.0}

# Table 1: a / b, by norm and layer (shaky; layer 108 with BN unknown).
GRADIENT_SUM_RATIO = {
    ("batch", 18): 251.8,
    ("batch", 54): 112.8,
    ("none", 18): 1.7,
    ("none", 54): 2.6,
    ("none", 108): 1.6,
}

# How the paper ran what it ran; "unknown" where it does not say or nobody remembers.
CONDITIONS = {
    "data": "CIFAR-10, originals",
    "training and test images": "50,000 and 10,000",
    "networks trained": "resnet-110",
    "networks measured at the start": "resnet-110",
    "learning rates": "0.00003 to 0.1",
    "batch sizes": "128",
    "epochs": "165 at 0.1, 1320 at 0.003, 2400 at 0.0001",
    "weight decay": "0.0001 or 0.0005",
    "seeds": "5",
}
