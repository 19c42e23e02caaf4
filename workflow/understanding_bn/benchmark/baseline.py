"""The script that a user would write without this package. Ours is measured against it.

Plain on purpose, and fair: torchvision's transforms in a DataLoader, torch's own defaults for threads, memory layout
and optimiser, the same network and the same augmentation. Where a choice was open it favours the baseline: images
are PIL images from the start, which spares it the conversion that torchvision's data sets do at every access.
"""

from collections.abc import Iterable

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from understanding_bn.data.store import Store
from understanding_bn.models.resnet import build


class Pictures(Dataset):
    """A store's images as torchvision's data sets give them: a transformed PIL image and its label."""

    def __init__(self, store: Store, transform: transforms.Compose):
        grey = store.channels == 1
        self.pictures = [Image.fromarray(pixels[..., 0] if grey else pixels) for pixels in store.images]
        self.labels = store.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def loader(store: Store, batch_size: int, pad: int) -> DataLoader:
    """Shuffled mini-batches, cropped, mirrored and standardised: images (B, C, H, W) and labels (B,)."""
    steps = [
        transforms.RandomCrop(store.images.shape[1], padding=pad),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(store.info["channel_mean"], store.info["channel_std"]),
    ]
    # Ours drops the last, smaller mini-batch too.
    return DataLoader(Pictures(store, transforms.Compose(steps)), batch_size, shuffle=True, drop_last=True)


def network(arch: str, norm: str, channels: int, classes: int, device: torch.device) -> nn.Module:
    """Our network in torch's default memory layout."""
    model = build(arch, norm, "xavier_uniform", channels, classes, seed=0)
    return model.to(memory_format=torch.contiguous_format).to(device)


def optimiser(model: nn.Module, rate: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Stochastic gradient descent as torch builds it by default."""
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay)


def train(
    model: nn.Module, sgd: torch.optim.SGD, batches: Iterable[tuple[Tensor, Tensor]], device: torch.device
) -> float:
    """One epoch, as tutorials write it. Returns the mean loss (nats)."""
    criterion = nn.CrossEntropyLoss()
    model.train()
    total, count = 0.0, 0
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        sgd.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        sgd.step()
        total += loss.item()
        count += 1
    return total / count
