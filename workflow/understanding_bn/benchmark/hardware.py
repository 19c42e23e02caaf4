"""The machine under a benchmark: its cores, its device, its memory and its limit in matrix products."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from understanding_bn import device as devices
from understanding_bn import provenance
from understanding_bn.errors import UserError

# Sides of the square matrices whose product measures a machine's limit: large enough to reach it.
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
PRODUCTS = 8

# A busy process; it ends with the one that started it, however that ends.
RESTLESS = """
import os
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    sum(range(100000))
"""


def cores() -> int:
    """The cores that this process may use, as Snakemake's `--cores all` counts them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_before() -> float | None:
    """How many processes wanted a core in the last minute. Warns on stderr if other processes are at work.

    Neighbours fall harder on a side whose threads wait for each other than on single threads.
    """
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): ratios will favour single threads", file=sys.stderr)
    return load


def device(threads: int, wanted: str) -> torch.device:
    """The device that a training job would use, set up as it would be.

    Raises:
        UserError: a GPU is asked for by name and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: cuda, but torch finds no GPU here; use --device cpu or run on a machine with one")
    return devices.prepare(threads, wanted)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """While the block runs, keep `count` other processes busy all the time, each with one thread."""
    processes = [subprocess.Popen([sys.executable, "-c", RESTLESS], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it has begun
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its queue; a CPU has none."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak_memory(device: torch.device) -> None:
    """Forget what was used so far, where that can be done: on a GPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mib(device: torch.device) -> float:
    """The most memory used, in MiB: on a GPU what torch allocated there, else this process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return provenance.peak_memory_mib()


def matrix_products(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Do some matrix products with the threads that torch now has. Returns the GFLOP that were done."""
    side = MATRIX_SIDE[device.type]
    left, right, result = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(3))
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=result)
    synchronise(device)
    return PRODUCTS * 2 * side**3 / 1e9
