"""Normalisation layers. Each public function here is one choice of `norm` in the config.

To add one, write a function from a number of channels to a module and name it in config.yaml (the config writes
hyphens where Python needs underscores). Where a function returns None there is no normalisation, and the
convolution before it gets a bias. A function with a second parameter `place` is asked for every place of
`models.places`; one without is used after every convolution. `ghost` alone has a number in its name.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.errors import UserError
from understanding_bn.models.places import FINAL


def none(channels: int) -> None:
    """No normalisation."""


def batch(channels: int) -> nn.Module:
    """Batch normalisation (Ioffe & Szegedy 2015): per channel, over batch and positions."""
    return nn.BatchNorm2d(channels)


def batch_final(channels: int, place: str) -> nn.Module | None:
    """One batch normalisation after the last residual block, none elsewhere."""
    return batch(channels) if place == FINAL else None


def ghost(channels: int, images: int) -> nn.Module:
    """Ghost batch normalisation (Hoffer et al. 2017): over `images` of the mini-batch at a time. `ghost-16` has 16."""
    return GhostBatchNorm2d(channels, images)


def layer(channels: int) -> nn.Module:
    """Layer normalisation (Ba et al. 2016): per image, over channels and positions."""
    return nn.GroupNorm(1, channels)


def group(channels: int) -> nn.Module:
    """Group normalisation (Wu & He 2018) with eight groups of channels."""
    return GroupNorm2d(8, channels)


def instance(channels: int) -> nn.Module:
    """Instance normalisation (Ulyanov et al. 2016): per image and channel, over positions."""
    return nn.InstanceNorm2d(channels, affine=True)


class GroupNorm2d(nn.GroupNorm):
    """Group norm without the detour that PyTorch makes on a CPU in bfloat16.

    PyTorch's own kernel for bfloat16 and channels-last with several groups takes some ten times as long as one pass in
    float32 over a copy with channels first. Its statistics are in float32 either way.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape, dtype and memory format."""
        if x.dtype != torch.bfloat16 or x.device.type != "cpu":
            return super().forward(x)
        layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        normalised = super().forward(x.to(torch.float32, memory_format=torch.contiguous_format))
        return normalised.to(x.dtype, memory_format=layout)


class GhostBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics in train mode are those of groups of consecutive images, not of the mini-batch.

    All groups share scale and shift. A mini-batch moves the running statistics once, with momentum 0.1, towards the
    mean over its groups (of a variance, with divisor n − 1 as PyTorch has it). So they look as many updates back as
    batch norm's, whatever the size of a group, and each group counts alike. Hoffer et al. move them once for each
    group, in turn: with sixteen groups, that leaves 0.9^16 = 19 % to all earlier mini-batches. Eval mode is batch
    norm's.

    Each group is a call of its own: on all but the smallest maps that takes a CPU less time than copies with the groups
    side by side and one call.
    """

    def __init__(self, channels: int, images: int):
        super().__init__(channels)
        self.images = images

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape; B must be a multiple of the images in a group, unless it is in eval mode."""
        groups, left = divmod(len(x), self.images)
        if not self.training or (groups, left) == (1, 0):
            return super().forward(x)
        if left:
            text = (
                f"{len(x)} images are no whole number of groups of {self.images}; expected a multiple of {self.images}"
            )
            raise UserError(f"norm ghost-{self.images}: {text}")
        assert self.momentum is not None  # which would make running statistics plain averages
        normalised, means, variances = [], [], []
        for group in x.split(self.images):
            mean = variance = None
            if self.track_running_stats:
                assert self.running_mean is not None and self.running_var is not None
                mean, variance = self.running_mean.clone(), self.running_var.clone()
                means.append(mean)
                variances.append(variance)
            normalised.append(
                F.batch_norm(group, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            )
        if self.track_running_stats:
            assert self.running_mean is not None and self.running_var is not None
            self.running_mean.copy_(torch.stack(means).mean(0))
            self.running_var.copy_(torch.stack(variances).mean(0))
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return torch.cat(normalised)
