"""What the paper says and shows, each with its origin: how we know it. Figures show it at its scale only.

All of it is ResNet-110 on CIFAR-10 with B = 128. Claims carry their own paper values; see `claims`. Numbers that we
computed ourselves do not belong here. We had no full text: most numbers are measured off the published figures.
"""

import functools
import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd

DATASET, TRAIN_IMAGES, ARCH, BATCH_SIZE = "cifar10", 50_000, "resnet-110", 128
CURVES = Path(__file__).with_name("paper_fig1.csv")

T = TypeVar("T")


class Origin(StrEnum):
    """How we know what a source says. "ours" is no origin: what we computed never stands in a source's column."""

    READ = "read"  # in a source's own text
    DIGITISED = "digitised"  # measured off a published figure, or taken between two such numbers
    RECALLED = "recalled"  # from memory, firm
    SHAKY = "shaky"  # from memory, unsure


@dataclass(frozen=True)
class Published(Generic[T]):
    """Something that a source says or shows, be it a text, a number or a table, and its origin."""

    value: T
    origin: Origin


Said = Published[str] | tuple[Published[str], ...]  # in parts where their origins differ


def read(value: T) -> Published[T]:
    """Read in a source."""
    return Published(value, Origin.READ)


def digitised(value: T) -> Published[T]:
    """Measured off a published figure."""
    return Published(value, Origin.DIGITISED)


def recalled(value: T) -> Published[T]:
    """Recalled, firmly."""
    return Published(value, Origin.RECALLED)


def shaky(value: T) -> Published[T]:
    """Recalled, unsurely."""
    return Published(value, Origin.SHAKY)


def text(said: Said) -> str:
    """What a source says, without its origin."""
    return "; ".join(part.value for part in _parts(said))


def origin(said: Said) -> str:
    """The origins of the parts, in order and each once."""
    return "; ".join(dict.fromkeys(part.origin for part in _parts(said)))


def shown(said: Said) -> str:
    """What a source says, each part followed by its origin."""
    return "; ".join(f"{part.value} ({part.origin})" for part in _parts(said))


def _parts(said: Said) -> tuple[Published[str], ...]:
    return said if isinstance(said, tuple) else (said,)


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
        side = re.search(r"-(\d+)px", dataset_tag)
        smaller = f", at {side[1]}×{side[1]} pixels" if side else ""
        own = f"{images} of CIFAR-10’s training images{smaller}"
        found["data"] = own if dataset == DATASET else f"{dataset}, not CIFAR-10"
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


@functools.cache
def accuracy_curves() -> Published[pd.DataFrame]:
    """Fig. 1: split ("train" or "test"), norm, alpha, percent of training, accuracy in percent, about ±0.3 points.

    A curve has a row every 2 % of training, but where others hide it in print. Do not change the table: it is cached.
    """
    return digitised(pd.read_csv(CURVES, comment="#", keep_default_na=False))  # the norm "none" is a text


# Fig. 1: final test accuracy, by norm and α. That of the single final BN is in no figure.
FINAL_TEST_ACCURACY = {
    ("batch", 0.1): digitised(0.9326),
    ("batch", 0.003): digitised(0.9045),
    ("batch", 0.0001): digitised(0.813),
    ("none", 0.0001): digitised(0.820),
    ("batch-final", 0.03): recalled(0.901),
}

# Test accuracy of ResNet-110 with batch norm at α = 0.1, in percent: whose, accuracy, epochs, seeds.
RESNET_110 = (
    ("He et al. (2015), best run", recalled("93.57 %"), None, recalled("5")),
    ("He et al. (2015), mean and sd", shaky("93.39 ± 0.16 %"), None, recalled("5")),
    ("the paper", digitised("93.26 %"), recalled("165"), recalled("5")),
)

# Fig. 3 by norm and mini-batch: (step, minimum) of the relative loss, and at which step it passes a value. Of
# mini-batch 4 with batch norm, the printed tick labels 10^0.065 and 10^0.19 are swapped; here they are put right.
RELATIVE_LOSS_MINIMUM = digitised(
    {
        ("batch", 1): (0.026, 0.86),
        ("batch", 4): (0.038, 0.71),
        ("batch", 7): (0.095, 0.78),
        ("none", 1): (2.3e-4, 0.115),
        ("none", 4): (1.4e-4, 0.93),
        ("none", 7): (math.nan, 1.0),  # it hardly falls below 1, so that its place cannot be told
    }
)
RELATIVE_LOSS_CROSSINGS: Published[dict[tuple[str, int], dict[float, float]]] = digitised(
    {
        ("batch", 1): {1: 0.056},
        ("batch", 4): {1: 0.11},
        ("none", 1): {1: 8e-4, 1e3: 1.8e-3, 1e6: 2.7e-3},
        ("none", 4): {1: 6e-4, 1e3: 2.8e-3, 1e6: 4.5e-3},
        ("none", 7): {1: 6.5e-4, 1e3: 4.2e-3, 1e6: 7.1e-3},
    }
)
# The largest step shown, for curves that have not come back to 1 by then.
RELATIVE_LOSS_BELOW_1_UP_TO = digitised({("batch", 7): 0.2})

# Fig. 5: means over channels, natural logarithms, by norm and statistic.
MOMENT_LAYERS = (6, 18, 30, 42, 54, 66, 78, 90, 102, 110)
CHANNEL_MOMENTS = digitised(
    {
        ("batch", "log_std"): (0.10, 0.62, 0.90, 0.05, 0.64, 0.97, 0.00, 0.57, 0.90, -0.85),
        ("none", "log_std"): (-1.25, -1.15, -0.27, -0.23, 0.13, 0.88, 1.42, 2.2, 3.0, 1.97),
        ("batch", "log_mean"): (-0.95, 0.23, 0.53, -0.85, -0.3, 0.13, -1.1, -0.33, 0.03, -0.63),
        ("none", "log_mean"): (-1.55, -1.45, -0.27, -0.3, -0.37, 0.78, 1.25, 1.9, 2.83, 3.5),
    }
)

# Fig. 6: whether one class takes all images. One network of each kind is shown; with batch norm one class is faintly
# ahead (about a third of the softmax), but far from all.
ONE_CLASS_FOR_ALL = digitised({"none": 1.0, "batch": 0.0})

# Table 1: a / b, by norm and layer. That of layer 108 with batch norm is unknown.
GRADIENT_SUM_RATIO = shaky(
    {
        ("batch", 18): 251.8,
        ("batch", 54): 112.8,
        ("none", 18): 1.7,
        ("none", 54): 2.6,
        ("none", 108): 1.6,
    }
)

# How the paper ran what it ran; what is not here is "unknown", as it does not say or nobody remembers.
CONDITIONS: dict[str, Published[str]] = {
    "data": read("CIFAR-10, originals"),
    "images": read("50,000 training and 10,000 test images"),
    "networks trained": recalled("resnet-110"),
    "networks measured at the start": recalled("resnet-110"),
    "learning rates": recalled("0.00003 to 0.1"),
    "batch sizes": digitised("128"),
    "epochs": recalled("165 at 0.1, 1320 at 0.003, 2400 at 0.0001"),
    "weight decay": shaky("0.0001, less likely 0.0005"),
    "seeds": recalled("5"),
}
