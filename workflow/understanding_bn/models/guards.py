"""Norms and initialisations of the user's own, with what is expected of them checked, so that a mistake is one line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn.parameter import is_lazy

from understanding_bn import plugins
from understanding_bn.models import places


def norm(function: Callable[..., object], name: str, path: Path) -> places.Norm:
    """A plug-in's function of channels and perhaps a place, to a module or None; it raises nothing but UserError."""

    def made(channels: int, place: str) -> nn.Module | None:
        with plugins.blamed(path, f"norm {name!r} for {channels} channels", function):
            module: object = places.placed(function)(channels, place)
        if module is None:
            return None
        if not isinstance(module, nn.Module):
            kind = f"the class {module.__name__}" if isinstance(module, type) else type(module).__name__
            text = f"norm {name!r} is {kind}; expected a torch.nn.Module, or None for no norm"
            raise plugins.mistake(path, function, text)
        if any(map(is_lazy, module.parameters())):
            text = f"norm {name!r} has parameters without a shape; expected a module for {channels} channels"
            raise plugins.mistake(path, function, text)
        setattr(module, plugins.TAG, plugins.Tag(path, name, function))
        return module

    return made


def init(
    function: Callable[[nn.Module, Generator], object], name: str, path: Path
) -> Callable[[nn.Module, Generator], None]:
    """A plug-in's function that sets a network's parameters in place, which raises nothing but UserError."""

    def initialise(model: nn.Module, generator: Generator) -> None:
        before = _kinds(model)
        drawn = {key: weight.detach().clone() for key, weight in _weights(model).items()}
        with plugins.blamed(path, f"init {name!r}", function):
            returned = function(model, generator)
        if returned is not None and returned is not model:
            text = (
                f"init {name!r} returns {type(returned).__name__}; expected it to set the network's parameters in place"
            )
            raise plugins.mistake(path, function, text)
        after = _kinds(model)
        for parameter, kind in before.items():
            if after.get(parameter) != kind:
                text = (
                    f"init {name!r} leaves {parameter} as {after.get(parameter, 'nothing')}; expected {kind}, as it was"
                )
                raise plugins.mistake(path, function, text)
        for parameter, values in model.named_parameters():
            if not torch.isfinite(values).all():
                text = f"init {name!r} leaves values in {parameter} that are not finite; expected numbers"
                raise plugins.mistake(path, function, text)

        weights = _weights(model)
        for weight, untouched in drawn.items():  # PyTorch drew these, not from the seed
            if weight in weights and torch.equal(untouched, weights[weight]):
                text = f"init {name!r} leaves {weight} as PyTorch drew it; expected it to be set, from the generator"
                raise plugins.mistake(path, function, text)

    return initialise


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Every kernel and matrix."""
    return {
        f"{name}.weight": layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


def _kinds(model: nn.Module) -> dict[str, str]:
    """Shape and type of every parameter."""
    return {name: _kind(parameter) for name, parameter in model.named_parameters()}


def _kind(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def try_norm(
    name: str, plugged: Sequence[Path], widths: Sequence[int], batch_size: int, side: int, dtype: torch.dtype
) -> None:
    """Pass a mini-batch of random images through a plug-in's norm and back, in every place and shape of networks.

    The norms of the package need no trial. No random number of anyone else's is used up.

    Args:
        widths: the channels of the stages, each of half the height and width of the one before.
        side: the images' height and width.
        dtype: what networks compute in. In bfloat16 a norm's parameters stay in float32, as in training.

    Raises:
        UserError: it fails, or its output has another shape or type than its input, or does not depend on it.
    """
    path = plugins.source("norm", name, plugged)
    if path is None:
        return
    make = plugins.make("norm", name, plugged)
    with torch.random.fork_rng(devices=[]):
        for place, stage, channels in places.in_network(widths):
            length = -(-side // 2**stage)
            module = make(channels, place)
            if module is None:
                continue
            tag = getattr(module, plugins.TAG)
            images = torch.randn(batch_size, channels, length, length, dtype=dtype)
            for training in (True, False):
                mixed = dtype is torch.bfloat16
                with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                    _pass((module if mixed else module.to(dtype)).train(training), images, tag)


def _pass(module: nn.Module, images: Tensor, tag: plugins.Tag) -> None:
    """Forward and back, once."""
    leaf = images.to(memory_format=torch.channels_last).requires_grad_()
    what = f"norm {tag.name!r} on images of shape {tuple(images.shape)}"
    mode = "training" if module.training else "eval mode"
    with plugins.blamed(tag.path, f"{what} in {mode}", tag.function):
        output = module(leaf.clone())  # a norm may change its input in place, but not a leaf
    if not isinstance(output, Tensor):
        text = f"{what} returns {type(output).__name__}; expected a tensor"
        raise plugins.mistake(tag.path, tag.function, text)
    expected = {_kind(images), _kind(images.float())} if torch.is_autocast_enabled("cpu") else {_kind(images)}
    if _kind(output) not in expected:
        text = f"{what} returns {_kind(output)}; expected {_kind(images)}, as its input"
        raise plugins.mistake(tag.path, tag.function, text)
    with plugins.blamed(tag.path, f"the gradient of {what} in {mode}", tag.function):
        gradient = torch.autograd.grad(output.sum(), leaf, allow_unused=True)[0] if output.requires_grad else None
    if gradient is None:
        text = f"{what} passes no gradient back; expected an output that depends on its input"
        raise plugins.mistake(tag.path, tag.function, text)
