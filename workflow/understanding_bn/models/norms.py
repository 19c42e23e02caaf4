"""Normalisation layers. Each public function here is one choice of `norm` in the config.

To add one, write a function from a number of channels to a module and name it in config.yaml (the config writes
hyphens where Python needs underscores). Where a function returns None there is no normalisation, and the
convolution before it gets a bias.
"""

from torch import nn


def none(channels: int) -> None:
    """No normalisation."""


def batch(channels: int) -> nn.Module:
    """Batch normalisation (Ioffe & Szegedy 2015): per channel, over batch and positions."""
    return nn.BatchNorm2d(channels)


def batch_final(channels: int) -> None:
    """One batch normalisation after the last residual block, none elsewhere: see `final`."""


def layer(channels: int) -> nn.Module:
    """Layer normalisation (Ba et al. 2016): per image, over channels and positions."""
    return nn.GroupNorm(1, channels)


def group(channels: int) -> nn.Module:
    """Group normalisation (Wu & He 2018) with eight groups of channels."""
    return nn.GroupNorm(8, channels)


def instance(channels: int) -> nn.Module:
    """Instance normalisation (Ulyanov et al. 2016): per image and channel, over positions."""
    return nn.InstanceNorm2d(channels, affine=True)


# Norms that are applied once, after the last residual block.
_FINAL = {"batch-final": batch}


def final(name: str, channels: int) -> nn.Module | None:
    """The normalisation after the last residual block, or None."""
    return _FINAL[name](channels) if name in _FINAL else None
