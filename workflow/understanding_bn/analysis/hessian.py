"""The Hessian of a loss, through products with vectors.

A Hessian-vector product is the derivative of the gradient along the vector, forward over reverse:
Hv = ∂/∂t ∇L(θ + tv) at t = 0 (Pearlmutter 1994). `torch.func.jvp` of `grad` is exact through train-mode batch norm;
`grad` of `jvp` and `jvp` of `jacrev` are silently wrong by per cents through the fused kernel.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.nn import functional as F

from understanding_bn.analysis import tape
from understanding_bn.analysis.context import batch_norms, flat

Loss = Callable[[Tensor, Tensor], Tensor]  # of logits (B, classes) and labels (B,): a mini-batch's mean, a scalar

MODES = ("train", "eval")
MEMORY = 2 << 30  # bytes of tapes that are kept: as much as two jobs side by side can spare on a laptop

# Programs by the structure that they were traced for. Few are ever needed: the seeds of a job share theirs.
_programs: dict[object, tape.Program] = {}


class Objective:
    """Mean loss over a fixed partition of images into mini-batches, and its derivatives.

    L(θ) = Σ_m (b_m / N) · ℓ_m(θ), with ℓ_m the mean loss of the b_m images of mini-batch m, and N = Σ b_m. The
    parameters are one vector, in the order of `model.parameters()`. Vectors are float64 and on the model's device;
    the network computes in its own dtype; sums over mini-batches are in float64.

    Args:
        model: the network. It is copied, so nothing that happens here changes it, its running moments included,
            and training it further does not change the objective.
        batches: images (b, C, H, W) and labels (b,) of each mini-batch, on the model's device.
        bn_mode: "train", where batch norm normalises each mini-batch by its own moments, or "eval", where it uses
            its running ones.
        only: names of parameters, as `named_parameters` has them. All others are constants; vectors then have only
            these parameters' entries, in the network's order, and products are with that block of the Hessian.
        memory: how many bytes may go into keeping forward and backward passes from one product to the next; a
            mini-batch for which there is no room has its passes repeated for each product.
        loss: the mean loss of a mini-batch; cross-entropy (nats) unless another is given.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: list[tuple[Tensor, Tensor]],
        bn_mode: str,
        only: list[str] | None = None,
        memory: int = MEMORY,
        loss: Loss = F.cross_entropy,
    ):
        if bn_mode not in MODES:
            raise ValueError(f"bn_mode: {bn_mode!r}; expected one of {', '.join(MODES)}")
        self.model = frozen_copy(model, bn_mode)
        self.batches = batches
        self.images = sum(len(labels) for _, labels in batches)
        self.memory = memory
        self._loss = loss
        self.device = next(self.model.parameters()).device
        self._constants = {name: tensor.detach() for name, tensor in self.model.named_buffers()}
        self._parameters = {name: tensor.detach() for name, tensor in self.model.named_parameters()}
        self._tapes: dict[int, tuple[Tensor, ...]] = {}
        self._select(only)

    def _select(self, only: list[str] | None) -> None:
        missing = set(only or ()) - self._parameters.keys()
        if missing:
            raise ValueError(f"no such parameters: {', '.join(sorted(missing))}")
        self._chosen = {name for name in self._parameters if only is None or name in only}
        self.size = sum(self._parameters[name].numel() for name in self._chosen)

    def block(self, only: list[str]) -> Objective:
        """The same objective as a function of these parameters alone; it shares the passes that are kept."""
        other = copy.copy(self)
        other._select(only)
        return other

    def loss(self) -> float:
        """L(θ); in nats, if it is the cross-entropy."""
        total = 0.0
        with torch.no_grad():
            for images, labels in self.batches:
                value = self._mean_loss(self._parameters, images, labels, self._constants)
                total += len(labels) * value.item()
        return total / self.images

    def gradient(self) -> Tensor:
        """∇L(θ): (size,) float64."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        for images, labels in self.batches:
            gradient = grad(self._mean_loss)(self._parameters, images, labels, self._constants)
            chosen = [tensor for name, tensor in gradient.items() if name in self._chosen]
            total = total + flat(chosen) * (len(labels) / self.images)
        return total

    def hvp(self, vector: Tensor) -> Tensor:
        """H·vector with H = ∇²L(θ), or its block of the parameters chosen: (size,) float64."""
        along = self._along(vector)
        chosen = [position for position, name in enumerate(self._parameters) if name in self._chosen]
        total = torch.zeros(self.size, dtype=torch.float64, device=vector.device)
        with torch.no_grad():
            for program, kept, share in self._passes():
                derivatives = program.linear(*kept, *along)
                total.add_(flat([derivatives[position] for position in chosen]), alpha=share)
        return total

    @property
    def kept_bytes(self) -> int:
        """Memory of the passes kept."""
        return sum(tape.size(kept) for kept in self._tapes.values())

    def _passes(self) -> Iterator[tuple[tape.Program, tuple[Tensor, ...], float]]:
        """Each mini-batch's program and tape, and its share of all images."""
        for number, (images, labels) in enumerate(self.batches):
            point = [*self._parameters.values(), *self._constants.values(), images, labels]
            program = self._program(point)
            kept = self._tapes.get(number)
            if kept is None:
                kept = program.primal(*point)[1]
                # Inputs are kept anyway, but their size is small beside the rest and safe to count.
                if self.kept_bytes + tape.size(kept) <= self.memory:
                    self._tapes[number] = kept
            yield program, kept, len(labels) / self.images

    def _program(self, point: list[Tensor]) -> tape.Program:
        """The traced gradient and Hessian-vector product of one mini-batch of this shape."""
        key = (self._loss, _structure(self.model), *((t.shape, t.stride(), t.dtype, t.device) for t in point))
        if key not in _programs:
            vector = [torch.zeros_like(parameter) for parameter in self._parameters.values()]
            _programs[key] = tape.trace(self._derivatives, point, vector)
        return _programs[key]

    def _derivatives(self, point: list[Tensor], vector: list[Tensor]) -> list[Tensor]:
        """The mini-batch's gradient, and that gradient's derivative along the vector; lists over all parameters."""
        names = list(self._parameters)
        parameters = dict(zip(names, point[: len(names)], strict=True))
        constants = dict(zip(self._constants, point[len(names) : -2], strict=True))
        images, labels = point[-2], point[-1]

        def gradient(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
            return grad(self._mean_loss)(parameters, images, labels, constants)

        along = dict(zip(names, vector, strict=True))
        value, derivative = jvp(gradient, (parameters,), (along,))[:2]
        return [*(value[name] for name in names), *(derivative[name] for name in names)]

    def _mean_loss(
        self, parameters: dict[str, Tensor], images: Tensor, labels: Tensor, constants: dict[str, Tensor]
    ) -> Tensor:
        """A mini-batch's mean loss, a scalar; `constants` are the network's buffers."""
        return self._loss(functional_call(self.model, parameters | constants, (images,)), labels)

    def _along(self, vector: Tensor) -> list[Tensor]:
        """A vector as one tensor per parameter of the network, zero for those that are constants."""
        parts, start = [], 0
        for name, parameter in self._parameters.items():
            if name not in self._chosen:
                parts.append(torch.zeros_like(parameter))
                continue
            part = vector[start : start + parameter.numel()].to(parameter.dtype).view(parameter.shape)
            # The traced operations expect the parameter's own layout: channels-last for convolutions.
            parts.append(torch.empty_like(parameter).copy_(part))
            start += parameter.numel()
        return parts


def frozen_copy(model: nn.Module, bn_mode: str) -> nn.Module:
    """A copy in this mode that no product changes: in train mode its batch norms keep no running moments."""
    copied = copy.deepcopy(model).train(bn_mode == "train")
    for module in batch_norms(copied) if bn_mode == "train" else ():
        module.track_running_stats = False
        module.running_mean = module.running_var = module.num_batches_tracked = None
    return copied.requires_grad_(False)


def _structure(model: nn.Module) -> tuple:
    """What decides which operations a network does: its modules and their settings, weights and buffers apart."""
    plain = (bool, int, float, str, tuple, type(None))
    return tuple(
        (name, type(module), tuple((k, v) for k, v in sorted(vars(module).items()) if isinstance(v, plain)))
        for name, module in model.named_modules()
    )
