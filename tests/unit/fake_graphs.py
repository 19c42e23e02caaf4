"""A stand-in for CUDA graphs on a CPU: it records the calls of a function's kernels, and replays them without Python.

As with a real graph, what is replayed reads and writes the very tensors of the recording: a number that Python worked
out while recording stays as it was then.
"""

from contextlib import nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class _Calls(TorchDispatchMode):
    """Notes every kernel that is called, with its arguments and what came out."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, kernel, types, args=(), kwargs=None):
        out = kernel(*args, **(kwargs or {}))
        assert kernel not in WAITS, f"{kernel} makes a GPU wait, which a graph cannot hold"
        self.calls.append((kernel, args, kwargs or {}, out))
        return out

    def replay(self):
        with torch.no_grad():
            for kernel, args, kwargs, out in self.calls:
                again = kernel(*args, **kwargs)
                for old, new in zip(tree_flatten(out)[0], tree_flatten(again)[0], strict=True):
                    if isinstance(old, torch.Tensor) and old is not new and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


# What looks at a value on the device.
WAITS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.is_nonzero.default}


class FakeGraphs:
    """A recorder for a lane. `late`: how often it is asked for its arrival before it has arrived."""

    def __init__(self, late=0):
        self.late, self.asked, self.replays = late, 0, 0

    def place(self):
        return nullcontext()

    def record(self, function):
        for _ in range(2):
            function()
        calls = _Calls()
        with calls:
            function()

        def replay():
            self.replays += 1
            calls.replay()

        return replay

    def arrived(self):
        self.asked += 1
        return self.asked % (self.late + 1) == 0
