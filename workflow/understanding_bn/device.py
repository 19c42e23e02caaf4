"""The device a job runs on, and torch's settings, made in one place."""

import sys

import torch


def prepare(threads: int, wanted: str = "auto") -> torch.device:
    """Set torch up for exact, repeatable float32 work and return the device to use.

    A GPU is taken where there is one; otherwise the job runs on the CPU and says so. TF32 is off, because cuDNN
    would otherwise round convolutions to 10 bits. Denormals are flushed to zero: networks without normalisation
    are full of them, and they are slow.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
        if wanted == "cpu":
            print("no GPU found: running on the CPU", file=sys.stderr)
    return torch.device(wanted)


def name(device: torch.device) -> str:
    """What run.json calls the device: `cpu`, or the GPU's own name."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
