"""CUDA graphs: a function that works on tensors at fixed places, recorded once and replayed without Python."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import nn

WARM_UP = 3  # calls before the recording, in which libraries choose kernels and allocate


class Recorder(Protocol):
    """What records and replays the steps of one lane."""

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Call the function a few times, and return what does the same again."""
        ...

    def place(self) -> AbstractContextManager[object]:
        """Where all work of the lane belongs, that which is not recorded too."""
        ...

    def arrived(self) -> bool:
        """Whether all work that was given to the device is done."""
        ...


class CudaGraphs:
    """Records on a stream of its own, so that the graphs of several lanes run side by side.

    The lane's graphs share their memory, because only one of them runs at a time.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.stream.wait_stream(torch.cuda.current_stream(device))  # the network and the data were made there
        self.pool = torch.cuda.graph_pool_handle()
        self.event: torch.cuda.Event | None = None

    def place(self) -> AbstractContextManager[object]:
        """The lane's stream."""
        return torch.cuda.stream(self.stream)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record what the function launches."""
        with self.place():
            for _ in range(WARM_UP):
                function()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
            function()
        torch.cuda.synchronize()
        return graph.replay

    def arrived(self) -> bool:
        """Whether the stream has come to where it was when this was first asked since the last time it had."""
        if self.event is None:
            self.event = torch.cuda.Event()
            self.event.record(self.stream)
        done = self.event.query()
        if done:
            self.event = None
        return done


@contextmanager
def uncounted(model: nn.Module) -> Iterator[None]:
    """While the block runs, batch norm doesn't count mini-batches: on a GPU that is a kernel a layer, for nothing.

    Running averages with a momentum of their own do not use the count; see `count`.
    """
    counters = {layer: layer.num_batches_tracked for layer in _counting(model)}
    for layer in counters:
        layer.num_batches_tracked = None
    try:
        yield
    finally:
        for layer, counter in counters.items():
            layer.num_batches_tracked = counter


def count(model: nn.Module, minibatches: int) -> None:
    """Say how many mini-batches batch norm has seen, as if it had counted them."""
    for layer in _counting(model):
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.fill_(minibatches)


def _counting(model: nn.Module) -> list[nn.BatchNorm2d]:
    """The layers that count mini-batches and do not use the count."""
    found = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    return [layer for layer in found if layer.num_batches_tracked is not None and layer.momentum is not None]
