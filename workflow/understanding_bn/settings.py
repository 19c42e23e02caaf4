"""Typed settings: what the blocks of the config and the jobs are made of. Imports no torch.

A block is a subclass of `Options`: each field has a type with bounds, a default where there is one, and a docstring
below it, which is its description in the generated reference of keys.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError

from understanding_bn import architecture
from understanding_bn.norm_names import group_size

T = TypeVar("T")
SMALLEST_ALPHA = 1e-30  # α is spelled out in the names of files

ARCH = "^[a-z]+(-[a-z]+)*-[1-9][0-9]{0,4}$"
# What a message says of a pattern.
ALLOWED = {ARCH: "resnet-D, resnet-padded-D or plain-D with depth D = 6n + 2"}


# What networks compute in while they train. TF32 has the range of float32 with 10 bits after the point, bfloat16 has 7.
Precision = Literal["float32", "tf32", "bfloat16"]


class Options(BaseModel):
    """A frozen block of keys. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def check(self, setting: "Setting") -> Iterator["Mistake"]:
        """Mistakes in these options that show only next to the rest of the config. Most blocks have none."""
        yield from ()


@dataclass(frozen=True)
class Setting:
    """What the options of a measurement are checked against.

    Attributes:
        images: the number of training images; infinite where it is not known before the data is read.
        archs: every network that the measurement is made on.
        norms: the names of all norms, as `plugins.names` lists them.
        measured: the norms of the networks that the measurement is made on.
    """

    images: float
    archs: tuple[str, ...]
    norms: tuple[str, ...]
    measured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mistake:
    """A value that the config must not have: its place within the block, and the message about it.

    For example ("layers", 2) and "layer 30 is too deep; expected 1 to 20 in resnet-20".
    """

    place: tuple[str | int, ...]
    text: str


def canonical(alpha: float) -> str:
    """A learning rate as the decimal that names it in paths: 0.1, 0.0001, 3; never with an exponent."""
    text = f"{Decimal(repr(float(alpha))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(value: Any) -> Any:
    """YAML reads 64.0 as a float; where a whole number is meant, it is one. True, to Python equal to 1, is none."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticKnownError("int_type")
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise PydanticCustomError("not_finite", "a finite number")
    return value


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    if any(value in values[:position] for position, value in enumerate(values)):
        raise PydanticCustomError("twice", "each value once")
    return values


def as_list(value: Any) -> Any:
    """A single value where a list may stand."""
    return value if isinstance(value, list | tuple) else [value]


@dataclass(frozen=True)
class InSchema:
    """Marks a type whose JSON schema must say more than pydantic knows of it: `change` adds that."""

    change: Callable[[dict[str, Any]], dict[str, Any]]

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return self.change(handler(core))


# A number. Text is never taken for one: YAML reads 1e-4 as text, and silence would hide that.
Whole = Annotated[int, BeforeValidator(whole), Strict()]
Number = Annotated[float, Strict(), AfterValidator(_finite)]
# Different values, any number of them or at least one.
Distinct = Annotated[tuple[T, ...], AfterValidator(_unique), InSchema(lambda listed: listed | {"uniqueItems": True})]
Several = Annotated[Distinct[T], Field(min_length=1)]
OR_ONE = InSchema(lambda several: {"anyOf": [several["items"], several]})
# One value, or several different ones, of which every combination with those of other factors is taken.
Factor = Annotated[Several[T], BeforeValidator(as_list), OR_ONE]

Alpha = Annotated[Number, Field(gt=0, ge=SMALLEST_ALPHA, le=1000)]
Arch = Annotated[str, Strict(), Field(pattern=ARCH)]
Name = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
BatchSize = Annotated[Whole, Field(ge=2, le=1_000_000)]
Layer = Annotated[Whole, Field(ge=1, le=100_000)]
# Layers of a measurement at initialisation. A default is meant for the paper's ResNet-110: see Initial.for_networks.
LAYERS = ("layer", "layers")
OR_NULL = InSchema(lambda layers: {"anyOf": [layers, {"type": "null"}]})
PaperLayer = Annotated[Layer, OR_NULL]
PaperLayers = Annotated[Several[Layer], OR_NULL]
Share = Annotated[Number, Field(ge=0, le=1)]
InnerShare = Annotated[Number, Field(gt=0, lt=1)]
Loss = Annotated[Number, Field(gt=0, le=100)]
Site = Literal["convolution", "stream"]
BNMode = Literal["train", "eval"]
Channels = Literal["as_found", "grey", "rgb"]


class Optimiser(Options):
    """Stochastic gradient descent."""

    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    """Momentum (paper, shaky: 0.9)."""
    weight_decay: Share = 0.0001
    """Weight decay (paper, shaky: 0.0001, that of He et al.; 0.0005 is another reading)."""


class Augmentation(Options):
    """What is done to training images."""

    pad: Annotated[Whole, Field(ge=0, le=64)] = 4
    """Pixels of the mean colour that are added on every side before a random crop (paper, shaky: 4)."""
    flip: Flag = True
    """Whether half of the images are mirrored. Must be false for `digits`."""


class Initial(Options):
    """Options of a measurement at initialisation or in the first steps."""

    @classmethod
    def on_readings(cls) -> bool:
        """Whether it is also made on every other reading of the paper (config key initialization.readings)."""
        return False

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, value: Any) -> Any:
        """Layers that are null are as if left out."""
        if not isinstance(value, dict):
            return value
        return {key: below for key, below in value.items() if below is not None or key not in LAYERS}

    def for_networks(self, archs: Sequence[str]) -> Self:
        """The same with layers in place of those left out: the defaults' counterparts in the shallowest network."""
        shallowest = min(archs, key=architecture.depth)
        left_out = [key for key in LAYERS if key in type(self).model_fields and key not in self.model_fields_set]
        layers = {key: _counterparts(getattr(self, key), shallowest) for key in left_out}
        return self.model_copy(update=layers) if layers else self

    def made_on(self, arch: str, init: str, norm: str) -> list[tuple[str, str]]:
        """The (arch, init) that it is made on, one job each; `arch` and `init` are the preset's own."""
        return [(arch, init)]

    def for_one(self) -> "Initial":
        """What one of these jobs needs to know: the options without those that choose its network."""
        return self

    def other_inits(self) -> tuple[str, ...]:
        """The initialisations that one job uses in addition to that of its own network."""
        return ()


class Networks(Options):
    """Networks: every `arch` with every `init`."""

    archs: Several[Arch]
    """Networks."""
    inits: Several[Name]
    """Weight initialisations."""


class OnNetworks(Initial):
    """Options of a measurement on networks of its own, all of a norm in one job."""

    networks: Networks
    """The networks that are measured, instead of the preset's own. One job does all of a norm."""
    batch_size: BatchSize
    """Images in a mini-batch."""

    def other_inits(self) -> tuple[str, ...]:
        return self.networks.inits

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from unfit(("batch_size",), self.batch_size, setting)


class Where(Options):
    """The cells of the grid in which a measurement is made. A factor that is not listed may have any value."""

    arch: Several[Arch] | None = None
    """Only these networks."""
    init: Several[Name] | None = None
    """Only these initialisations."""
    norm: Several[Name] | None = None
    """Only these norms."""
    batch_size: Several[BatchSize] | None = None
    """Only these batch sizes."""

    @model_serializer(mode="wrap")
    def _named_factors(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {factor: values for factor, values in serialise(self).items() if values is not None}


class Trained(Options):
    """Options of a measurement on the networks of the grid."""

    at: Distinct[Share]
    """Shares of training: 0 is initialisation, 1 the end, others must be `snapshots`. May be []."""
    at_losses: Distinct[Loss] = ()
    """Training losses of `snapshot_losses`; it is made where a run first reached each, and not where one never did."""
    where: Where = Where()
    """The cells of the grid in which it is made. Without it, all of them."""


def layers_too_deep(layers: dict[tuple[str | int, ...], int], archs: tuple[str, ...], last: bool) -> Iterator[Mistake]:
    """A mistake for each layer, {its place: its number}, that the shallowest of some networks does not have.

    `last`: whether the linear layer counts; it has no kernel.
    """
    shallowest = min(archs, key=architecture.depth, default=None)
    if shallowest is None:
        return
    top = architecture.depth(shallowest) - (not last)
    for place, layer in layers.items():
        if layer > top:
            yield Mistake(place, f"layer {layer} is too deep; expected 1 to {top} in {shallowest}")


def too_many(place: tuple[str | int, ...], wanted: int, setting: Setting) -> Iterator[Mistake]:
    """A mistake if so many different images are wanted, and there are fewer to train on."""
    if wanted > setting.images:
        text = f"{wanted} is more than the {setting.images} training images; expected at most {setting.images}"
        yield Mistake(place, text)


def ungrouped(place: tuple[str | int, ...], batch_size: int, norms: Iterable[str]) -> Iterator[Mistake]:
    """A mistake for each norm `ghost-M` whose groups of M images do not make up a mini-batch of this size."""
    for norm in norms:
        size = group_size(norm)
        if size and batch_size % size:
            text = f"{batch_size} images are no whole number of groups of {size}, the images of norm {norm!r}"
            yield Mistake(place, f"{text}; expected a multiple of {size}")


def unfit(place: tuple[str | int, ...], batch_size: int, setting: Setting) -> Iterator[Mistake]:
    """The mistakes of a measurement's own batch size: too many images, or no whole number of a ghost norm's groups."""
    yield from too_many(place, batch_size, setting)
    yield from ungrouped(place, batch_size, setting.measured)


def _counterparts(layers: int | tuple[int, ...], arch: str) -> int | tuple[int, ...]:
    """A default layer of ResNet-110, or several of them, in another network, each once."""
    if isinstance(layers, int):
        return architecture.counterpart(layers, arch)
    return tuple(dict.fromkeys(architecture.counterpart(layer, arch) for layer in layers))


def numbered(layers: tuple[int, ...]) -> dict[tuple[str | int, ...], int]:
    """The layers of a key `layers`, by their places."""
    return {("layers", position): layer for position, layer in enumerate(layers)}
