"""The precision that a network computes in while it trains: a key of the config, and a part of a run's identity."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from understanding_bn.errors import UserError
from understanding_bn.models.resnet import ResNet
from understanding_bn.settings import Precision

BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls them on x86 and ARM


def forward(model: ResNet, precision: Precision) -> Callable[[Tensor], Tensor]:
    """The network as a function from images, (B, C, H, W) float32, to logits, (B, classes) float32.

    In bfloat16 convolutions and norms compute in it, on weights that are kept in float32; pooling, the linear layer and
    whatever is made of the logits stay in float32. TF32 is a setting of the device (`device.prepare`).
    """
    if precision != "bfloat16":
        return model

    def logits(images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16):
            features = model.features(images)
        return model.linear(features.float().mean((2, 3)))

    return logits


def check(precision: Precision, device: torch.device) -> str | None:
    """What to tell a user who trains in this precision on this device; None if there is nothing to say.

    Raises:
        UserError: the device has no such precision.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UserError("config key precision: tf32 is a precision of GPUs, and this job runs on a CPU; set float32")
    if precision == "bfloat16" and device.type == "cpu" and not cpu_has_bfloat16():
        return "this processor has no instructions for bfloat16: training will be slower than in float32"
    return None


def cpu_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether Linux lists instructions for bfloat16 among those of the processor. Elsewhere: no."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return not BFLOAT16_INSTRUCTIONS.isdisjoint(flags.split())
