"""Mini-batches as whole-batch tensor operations on the device.

The order of an epoch and its augmentation depend on (seed, epoch) alone. So a resumed run sees the mini-batches of
an uninterrupted one, and neither the other seeds of a job nor the device make a difference.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from understanding_bn.data.store import Store
from understanding_bn.errors import UserError
from understanding_bn.settings import Augmentation

EVALUATION_BATCH = 500


class Split:
    """One split of a data set on a device: standardised float32 images, padded and laid out for one gather.

    Pixels are rows of a (N·H'·W', C) table, where H' = H + 2·pad and W' = W + 2·pad. A row of a crop is W
    consecutive pixels, so a batch of crops is one `index_select` of overlapping rows. Its result is channels-last
    without a copy.
    """

    def __init__(self, store: Store, split: str, pad: int, device: torch.device):
        in_split = store.rows(split)
        images = torch.from_numpy(store.images[in_split])
        self.labels = torch.from_numpy(store.labels[in_split]).to(device)
        self.count, self.height, self.width, self.channels = images.shape
        self.pad = pad
        mean = torch.tensor(store.info["channel_mean"], dtype=torch.float32)
        std = torch.tensor(store.info["channel_std"], dtype=torch.float32)
        # Padding is zero after standardisation, the mean colour, as He et al. do.
        padded = torch.zeros(self.count, self.height + 2 * pad, self.width + 2 * pad, self.channels)
        inside = padded[:, pad : pad + self.height, pad : pad + self.width]
        for start in range(0, self.count, 4096):  # in pieces: no second float copy of the data set
            piece = images[start : start + 4096].to(torch.float32)
            inside[start : start + 4096] = (piece / 255 - mean) / std
        self.pixels = padded.view(-1, self.channels).to(device)
        self._row_stride = self.width + 2 * pad
        self._image_stride = (self.height + 2 * pad) * self._row_stride
        self._rows = torch.arange(self.height, device=device) * self._row_stride
        starts = len(self.pixels) - self.width + 1
        self._from = self.pixels.as_strided((starts, self.width * self.channels), (self.channels, 1))

    def gather(self, index: Tensor, top: Tensor, left: Tensor, mirror: Tensor | None = None) -> Tensor:
        """Crops of the images `index` at (top, left), mirrored where `mirror` is true: (B, C, H, W), channels-last."""
        start = index * self._image_stride + top * self._row_stride + left
        rows = self._from.index_select(0, (start[:, None] + self._rows).flatten())
        images = rows.view(len(index), self.height, self.width, self.channels)
        if mirror is not None:  # lerp is exact at weights 0 and 1, and unlike `where` vectorised over a broadcast mask
            images = images.lerp(images.flip(2), mirror.to(images.dtype)[:, None, None, None])
        return images.permute(0, 3, 1, 2)

    def plan(self, seed: int, epoch: int, augmentation: Augmentation) -> list[Tensor]:
        """The images of one epoch in their order, where each is cropped and, with flips, whether it is mirrored.

        Three or four tensors on the CPU, (N,) each, as `minibatch` takes them.
        """
        generator = torch.Generator().manual_seed(stream(seed, epoch))
        order = torch.randperm(self.count, generator=generator)
        offsets = torch.randint(0, 2 * self.pad + 1, (2, self.count), generator=generator)
        mirror = torch.randint(0, 2, (self.count,), generator=generator).bool()  # drawn even without flips: one stream
        return [order, offsets[0], offsets[1], *([mirror] if augmentation.flip else [])]

    def minibatch(self, plan: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The images (B, C, H, W) and labels (B,) of B entries of a plan, on the device."""
        index, *where = plan
        return self.gather(index, *where), self.labels.index_select(0, index)

    def per_epoch(self, batch_size: int) -> int:
        """How many mini-batches an epoch has: ⌊N/B⌋.

        Raises:
            UserError: it has none.
        """
        self.must_have("batch_size", batch_size)
        return self.count // batch_size

    def epoch(
        self, seed: int, epoch: int, batch_size: int, augmentation: Augmentation
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The ⌊N/B⌋ mini-batches of one epoch, without replacement: images (B, C, H, W) and labels (B,).

        The N mod B images left over differ from epoch to epoch. Every mini-batch has the same size, because the
        noise of SGD and batch statistics depend on it.
        """
        count = self.per_epoch(batch_size)
        plan = [drawn.to(self.pixels.device) for drawn in self.plan(seed, epoch, augmentation)]
        for start in range(0, count * batch_size, batch_size):
            yield self.minibatch([drawn[start : start + batch_size] for drawn in plan])

    def must_have(self, key: str, images: int) -> None:
        """Raise UserError, which names `key`, if the split has fewer images than that."""
        if images > self.count:
            text = f"{images} is more than the {self.count} training images; expected at most {self.count}"
            raise UserError(f"{key}: {text}")

    def augmented(self, index: Tensor, augmentation: Augmentation, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The images `index`, (B,) on the CPU, with augmentation as in training, and their labels."""
        offsets = torch.randint(0, 2 * self.pad + 1, (2, len(index)), generator=generator)
        mirror = torch.randint(0, 2, (len(index),), generator=generator).bool()
        drawn = (index, offsets[0], offsets[1], *([mirror] if augmentation.flip else []))
        return self.minibatch([each.to(self.pixels.device) for each in drawn])

    def in_order(self, batch_size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """All images once, in the store's order, neither cropped nor mirrored."""
        for start in range(0, self.count, batch_size):
            index = torch.arange(start, min(start + batch_size, self.count), device=self.pixels.device)
            centre = torch.full_like(index, self.pad)
            yield self.gather(index, centre, centre), self.labels[index]


def stream(*key: int) -> int:
    """A 32-bit generator seed from non-negative integers, such as (seed, epoch).

    Hashed by NumPy's SeedSequence, because torch's CPU generator keeps only the low 32 bits of a seed.
    """
    return int(np.random.SeedSequence(key).generate_state(1)[0])
