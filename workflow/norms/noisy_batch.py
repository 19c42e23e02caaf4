"""Batch norm with a covariate shift injected after it: the noisy batch norm of Santurkar et al. (2018), Algorithm 1.

At every update each channel draws a mean µ ~ U(−0.5, 0.5) and a scale σ ~ U(1, 1.25). Each activation y of the channel,
at every image and position, then becomes s·y + m, with s ~ N(σ, 0.1²) and m ~ U(µ − 0.1, µ + 0.1) of its own. The
numbers are recalled. In eval mode, of which the source says nothing, there is no noise but its mean: y becomes 1.125·y.
"""

import torch
from torch import nn

SHIFT, LEAST, MOST, SPREAD = 0.5, 1.0, 1.25, 0.1
CENTRE, REACH = (LEAST + MOST) / 2, (MOST - LEAST) / 2


class NoisyBatchNorm2d(nn.BatchNorm2d):
    """Its noise is a function of two buffers, which checkpoints keep: a key, and how often noise was drawn."""

    def __init__(self, channels):
        super().__init__(channels)
        self.register_buffer("key", torch.zeros((), dtype=torch.int64))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def seed_from(self, generator):
        """Called once, after the generator has given the network its weights."""
        self.key.random_(generator=generator)

    def forward(self, x):
        y = super().forward(x)
        if not self.training:
            return CENTRE * y
        batch, channels, height, width = x.shape
        drawn = self.uniform(channels + x.numel())
        mean, scale = drawn[:, :channels, None, None]
        drawn[1, channels:].erfinv_().mul_(2**0.5)  # N(0, 1)
        m, s = drawn[:, channels:].view(2, batch, height, width, channels).movedim(-1, 2)  # channels-last, as x is
        if self.track_running_stats:  # otherwise the network must stay one function, as where a Hessian is taken
            self.draws += 1
        shift, factor = SHIFT * mean + SPREAD * m, CENTRE + REACH * scale + SPREAD * s
        return torch.addcmul(shift, factor, y)

    def uniform(self, count):
        """(2, count) numbers of U(−1, 1) by SplitMix64 (Steele et al. 2014), the same bits on every device."""
        bits = torch.arange(1, count + 1, device=self.key.device) + (self.draws << 32)
        bits = bits.mul_(-0x61C8864680B583EB).add_(self.key)
        for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1)):
            bits ^= (bits >> shift).bitwise_and_((1 << 64 - shift) - 1)  # >> alone would draw the sign in
            bits *= factor
        return torch.stack([bits >> 41, bits >> 18]).bitwise_and_(0x7FFFFF).add(0.5).div_(2**22).sub_(1)


def norm_noisy_batch(channels):
    return NoisyBatchNorm2d(channels)
