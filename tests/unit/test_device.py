"""What torch and the system are told before a job's first tensor."""

import subprocess
import sys

import pytest
import torch

from understanding_bn import device

ROUNDS = """
import resource
import torch
from understanding_bn import device

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [torch.ones(10, 2**20) for _ in range(4)]  # of 40 MB: from 32 MB on, malloc by itself keeps nothing
    del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
for _ in range(2):
    print(*[page_faults() for _ in range(6)])
    device.prepare(1, "cpu")
"""


def faults():
    """Page faults in a fresh process in each of the last rounds of taking and freeing 160 MB, before and after."""
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    return [[int(word) for word in line.split()][-3:] for line in done.stdout.splitlines()]


@pytest.mark.skipif(not hasattr(device.ctypes.CDLL(None), "mallopt"), reason="malloc here takes no options")
def test_what_a_step_frees_stays_for_the_next():
    before, after = faults()
    assert min(before) >= 4 * 20  # 40,960 of 4 KiB, or 80 where pages are of 2 MiB
    assert sorted(after)[1] < 10  # the median: where memory is short, the system takes pages back


def test_malloc_without_options_is_no_error(monkeypatch):
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: object())
    assert device.keep_freed_memory() is False
    assert device.prepare(torch.get_num_threads(), "cpu").type == "cpu"
