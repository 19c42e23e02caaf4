"""The device a job runs on, and torch's settings, made in one place."""

import ctypes

import torch

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def prepare(threads: int, wanted: str = "auto", tf32: bool = False) -> torch.device:
    """Set torch up for exact, repeatable float32 work and return the device to use.

    A GPU is taken where there is one; otherwise the job runs on the CPU. TF32 is off unless it is asked for, because
    cuDNN would otherwise round convolutions to 10 bits. Denormals are flushed to zero: networks without normalisation
    are full of them, and they are slow.
    """
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed for the next step. Returns whether that worked; without glibc it may not.

    By default glibc returns activations to the system in every backward pass, and the next forward pass maps each page
    again: 5,000 to 70,000 page faults in a step of a ResNet-20 at 32×32, 2 to 10 % of its time. This changes no result,
    and hardly the peak of memory: one step needs what the step before it freed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, -1)) and bool(mallopt(M_MMAP_MAX, 0))


def name(device: torch.device) -> str:
    """What run.json calls the device: `cpu`, or the GPU's own name."""
    return "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
