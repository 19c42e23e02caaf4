"""What measurements are made on, for several test modules."""

import torch

from understanding_bn.analysis.context import Context
from understanding_bn.data.batches import Split
from understanding_bn.settings import Augmentation, Optimiser


def context_of(store, arch="resnet-8", batch_size=64, pad=1):
    """A store's images and a network at initialisation, with training's optimiser and α = 0.1, on the CPU."""
    split = Split(store, "train", pad, torch.device("cpu"))
    optimiser = Optimiser(momentum=0.9, weight_decay=5e-4)
    augmentation = Augmentation(pad=pad, flip=False)
    return Context(split, 10, arch, "xavier_uniform", batch_size, augmentation, optimiser, alpha=0.1)
