"""The config as typed models, one for each block.

A key is a field: its type, bounds, default and description stand here, or in the measurement's own file, and nowhere
else. A block's description is that of its model. `workflow/schemas/config.schema.yaml` and docs/config.md are generated
from them.
"""

import math
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from understanding_bn import architecture
from understanding_bn.measurements.branch_variance import BranchVariance
from understanding_bn.measurements.channel_moments import ChannelMoments
from understanding_bn.measurements.covariate_shift import CovariateShift
from understanding_bn.measurements.divergence_path import DivergencePath
from understanding_bn.measurements.edge_of_stability import EdgeOfStability
from understanding_bn.measurements.effective_learning_rate import EffectiveLearningRate
from understanding_bn.measurements.equivalent_schedule import EquivalentSchedule
from understanding_bn.measurements.feature_rank import FeatureRank
from understanding_bn.measurements.gradient_correlation import GradientCorrelation
from understanding_bn.measurements.gradient_histogram import GradientHistogram
from understanding_bn.measurements.gradient_noise import GradientNoise
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.measurements.gradient_sums import GradientSums
from understanding_bn.measurements.hessian_spectrum import HessianSpectrum
from understanding_bn.measurements.initial_sharpness import InitialSharpness
from understanding_bn.measurements.input_mean_correlation import InputMeanCorrelation
from understanding_bn.measurements.jacobian_conditioning import JacobianConditioning
from understanding_bn.measurements.kernel_gradients import KernelGradients
from understanding_bn.measurements.landscape_smoothness import LandscapeSmoothness
from understanding_bn.measurements.logit_gradients import LogitGradients
from understanding_bn.measurements.max_learning_rate import MaxLearningRate
from understanding_bn.measurements.noise_by_depth import NoiseByDepth
from understanding_bn.measurements.relative_loss import RelativeLoss
from understanding_bn.messages import kind_of, shown
from understanding_bn.settings import (
    ALLOWED,
    OR_ONE,
    Alpha,
    Arch,
    Augmentation,
    BatchSize,
    Channels,
    Distinct,
    Factor,
    Flag,
    Initial,
    InnerShare,
    InSchema,
    Loss,
    Name,
    Number,
    Optimiser,
    Options,
    Precision,
    Several,
    Whole,
    as_list,
)

# How many images there are in each split, where that is known before the data is read.
IMAGES = {"digits": {"train": 1437, "test": 360}, "cifar10": {"train": 50_000, "test": 10_000}}
SIDES = {"digits": 8, "cifar10": 32}  # of their images, in pixels
MOST_SEEDS = 1000  # where they are counted
RESERVED = ("data", "reference", "rebuilt", "benchmark")  # folders in results/ that are no preset's

PRESET = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
FOLDER = "^[^{}\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029]*$"
ALLOWED[PRESET] = "letters, digits, '.', '_' and '-', the first a letter or a digit"
ALLOWED[FOLDER] = "a folder whose path has no line breaks, other control characters or (Snakemake's own) braces"


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise PydanticCustomError("reserved", "none of {names}", {"names": ", ".join(RESERVED)})
    return name


def _without_reserved(names: dict[str, Any]) -> dict[str, Any]:
    return names | {"not": {"enum": [*RESERVED]}}


def _encodable(path: Any) -> Any:
    """Refuse half of a surrogate pair, which no file system takes and no pattern can match."""
    if isinstance(path, str) and any("\ud800" <= character <= "\udfff" for character in path):
        raise PydanticCustomError("not_allowed", ALLOWED[FOLDER])
    return path


def _counted(seeds: Any) -> Any:
    """A number of seeds as the list of them."""
    if isinstance(seeds, bool) or not isinstance(seeds, int | list | tuple):
        raise PydanticCustomError("not_a_list", "a list of whole numbers, or how many")
    if isinstance(seeds, int):
        if not 1 <= seeds <= MOST_SEEDS:
            size, bound = ("few", "at least 1") if seeds < 1 else ("many", f"at most {MOST_SEEDS}")
            raise PydanticCustomError(
                "count", "{size}; give {bound}, or a list such as [0, 1, 2]", {"size": size, "bound": bound}
            )
        return tuple(range(seeds))
    return tuple(seeds)


def _file_names(names: Any) -> Any:
    if not isinstance(names, str | list | tuple):
        raise PydanticCustomError("not_a_list", "a list of file names")
    return as_list(names)


COUNTED = {"type": "integer", "minimum": 1, "maximum": MOST_SEEDS}
PresetName = Annotated[str, Strict(), Field(pattern=PRESET, max_length=100)]
FileName = Annotated[Name, Field(min_length=1)]
Seed = Annotated[Whole, Field(ge=0, le=2**31 - 1)]
Seeds = Annotated[Several[Seed], BeforeValidator(_counted), InSchema(lambda seeds: {"anyOf": [COUNTED, seeds]})]
Count = Annotated[Whole, Field(ge=0, le=1_000_000_000)]


class Subset(Options):
    """Use only part of the images. Every class keeps its share, and all seeds have the same images."""

    train: Count = 0
    """How many training images; 0 means all."""
    test: Count = 0
    """How many test images; 0 means all."""
    validation: Count = 0
    """How many training images are kept from training, to choose α by; with `train` = 0 all others are for training."""


class Schedule(Options):
    """How the learning rate falls."""

    milestones: Distinct[InnerShare] = (0.5, 0.75)
    """Shares of training at which it is divided by 10 (paper, digitised: 0.5 and 0.75)."""


class GridEntry(Options):
    """Training runs, one for every combination of the values listed."""

    arch: Factor[Arch] = ("resnet-110",)
    """Networks."""
    init: Factor[Name] = ("xavier_uniform",)
    """Weight initialisations."""
    norm: Factor[Name]
    """Norms."""
    alpha: Factor[Alpha]
    """Learning rates α."""
    batch_size: Factor[BatchSize] = (128,)
    """Images in a mini-batch."""
    epochs: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """Passes over the training images."""
    updates: Annotated[Whole, Field(ge=1, le=1_000_000_000)] | None = None
    """Instead of `epochs`: updates, equally many at every batch size. Each needs whole epochs for them."""

    @model_validator(mode="after")
    def _has_a_length(self) -> "GridEntry":
        """One of the two says how long training is."""
        if (self.epochs is None) == (self.updates is None):
            given = "key 'epochs' is missing" if self.epochs is None else "epochs and updates are both given"
            raise PydanticCustomError("length", "{given}; expected either epochs or updates", {"given": given})
        return self

    def epochs_of(self, batch_size: int, images: float, fraction: float = 1.0) -> int | Fraction:
        """How many epochs a share of its training takes; a fraction where its updates do not fill whole ones.

        Args:
            batch_size: images in a mini-batch, of which an epoch has as many as are whole.
            images: the number of training images; finite where the entry is in updates.
            fraction: the config's epochs_fraction.
        """
        if self.updates is None:
            assert self.epochs is not None
            return max(1, round(self.epochs * fraction))
        epochs = Fraction(self.updates) * Fraction(repr(fraction)) / (int(images) // batch_size)
        return int(epochs) if epochs.denominator == 1 else epochs


class Reading(Options):
    """Another reading of the paper: a network that differs in `arch`, `init` or both."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    arch: Arch | None = None
    """Another network."""
    init: Name | None = None
    """Another weight initialisation."""

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, value: Any) -> Any:
        if value == {}:
            raise PydanticCustomError("empty_block", "arch or init in it")
        return value


def as_block(measurements: Any) -> Any:
    """A list of measurements, each a name or a block of one name and its options, as one block; all else as it is."""
    if not isinstance(measurements, list | tuple):
        return measurements
    block: dict[str, Any] = {}
    for entry in measurements:
        named = {entry: {}} if isinstance(entry, str) else entry
        if not isinstance(named, dict) or len(named) != 1:
            said = f"{shown(entry)} is {kind_of(entry)}, expected a name, or one name with its options"
            raise PydanticCustomError("in_list", "{said}", {"said": said})
        ((name, options),) = named.items()
        if name in block:
            raise PydanticCustomError("in_list", "{said}", {"said": f"{shown(name)} stands twice; expected it once"})
        block[name] = {} if options is None else options
    return block


def or_named(model: type[Options]) -> tuple[Any, ...]:
    """Marks the type of a block of measurements that may be a list, too."""
    names = {"type": "string", "enum": [*model.model_fields]}

    def change(block: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [block, {"type": "array", "items": {"anyOf": [names, block]}}]}

    return BeforeValidator(as_block), InSchema(change)


class InitialMeasurements(Options):
    """Measurements at initialisation. A block changes what the base measures, a list replaces it."""

    gradient_histogram: GradientHistogram | None = None
    relative_loss: RelativeLoss | None = None
    divergence_path: DivergencePath | None = None
    channel_moments: ChannelMoments | None = None
    logit_gradients: LogitGradients | None = None
    gradient_sums: GradientSums | None = None
    kernel_gradients: KernelGradients | None = None
    input_mean_correlation: InputMeanCorrelation | None = None
    gradient_noise: GradientNoise | None = None
    max_learning_rate: MaxLearningRate | None = None
    jacobian_conditioning: JacobianConditioning | None = None
    edge_of_stability: EdgeOfStability | None = None
    noise_by_depth: NoiseByDepth | None = None
    branch_variance: BranchVariance | None = None
    feature_rank: FeatureRank | None = None
    gradient_correlation: GradientCorrelation | None = None
    initial_sharpness: InitialSharpness | None = None
    equivalent_schedule: EquivalentSchedule | None = None
    effective_learning_rate: EffectiveLearningRate | None = None


class TrainedMeasurements(Options):
    """Measurements on trained networks. A block changes what the base measures, a list replaces it."""

    gradient_structure: GradientStructure | None = None
    hessian_spectrum: HessianSpectrum | None = None
    covariate_shift: CovariateShift | None = None
    landscape_smoothness: LandscapeSmoothness | None = None


class Initialization(Options):
    """What is measured at initialisation and in the first steps, without a training run."""

    arch: Arch = "resnet-110"
    """The network that is measured."""
    init: Name = "xavier_uniform"
    """Its weight initialisation."""
    norms: Several[Name] = ("batch", "none")
    """Its norms, measured one by one."""
    batch_size: BatchSize = 128
    """Images in a mini-batch."""
    readings: tuple[Reading, ...] = ()
    """Other readings of the paper. Their Figs. 5 and 6 and Table 1 are compared with those of `arch` and `init`."""
    measurements: Annotated[InitialMeasurements, *or_named(InitialMeasurements)]
    """What is measured, with the options of each measurement."""

    def archs(self, options: Initial) -> tuple[str, ...]:
        """The networks whose layers a measurement must find: the preset's own, and readings if it is made on them."""
        return (self.arch, *(reading.arch for reading in self.readings if reading.arch and options.on_readings()))

    @model_validator(mode="after")
    def _with_layers(self) -> "Initialization":
        """Records must say which layers were measured, so none is left out of a resolved config."""
        measured = self.measurements
        filled = {}
        for name in type(measured).model_fields:
            options = getattr(measured, name)
            archs = () if options is None else self.archs(options)
            if archs and all(map(architecture.exists, archs)):  # a name that is unknown is reported with the others
                filled[name] = options.for_networks(archs)
        return self.model_copy(update={"measurements": measured.model_copy(update=filled)})


class TrainedNetworks(Options):
    """What is measured on the networks of the grid."""

    measurements: Annotated[TrainedMeasurements, *or_named(TrainedMeasurements)] = TrainedMeasurements()
    """What is measured, with the options of each measurement."""


class RandomMatrices(Options):
    """Products of Gaussian matrices (Figs. 8 and 9)."""

    size: Annotated[Whole, Field(ge=2, le=20_000)] = 1000
    """N, for matrices of N×N."""
    factors: Several[Annotated[Whole, Field(ge=1, le=20)]] = (1, 2, 3, 5)
    """How many matrices are multiplied."""
    draws: Annotated[Whole, Field(ge=1, le=1000)] = 10
    """How many independent products there are of each number of factors."""


class Config(Options):
    """A complete config. What a preset leaves out comes from the presets that it builds on, config.yaml or defaults."""

    extends: PresetName | None = None
    """The preset that this one builds on, a file in workflow/presets/ without its .yaml."""
    preset: Annotated[PresetName, AfterValidator(_not_reserved), InSchema(_without_reserved)]
    """The name of the folder for results, results/PRESET."""
    dataset: Literal["digits", "cifar10", "parquet", "folder"] = "digits"
    """`digits` is embedded, `cifar10` is downloaded or in `data_dir`, `parquet` and `folder` are in `data_dir`."""
    data_dir: Annotated[str, Strict(), Field(min_length=1, pattern=FOLDER), BeforeValidator(_encodable)] | None = None
    """A folder with train.parquet and test.parquet, with cifar-10-batches-py, or with train/CLASS/ and test/CLASS/."""
    channels: Channels = "as_found"
    """`grey` or `rgb` converts the images of `parquet` and `folder`. `as_found`: they must be all grey or all RGB."""
    image_size: Annotated[Whole, Field(ge=0, le=4096)] = 0
    """Side in pixels that images are shrunk to, by area averages. It must divide theirs; 0 leaves them as they are."""
    subset: Subset = Subset()
    plugins: Annotated[Distinct[FileName], BeforeValidator(_file_names), OR_ONE] = ()
    """Python files with norm_NAME(channels) or init_NAME(model, generator): your own, or those of workflow/norms."""
    seeds: Seeds = (0, 1, 2, 3, 4)
    """How many seeds there are (0, 1, …), or which ones."""
    seeds_per_job: Annotated[Whole, Field(ge=1)] = 1
    """How many seeds of a cell one job trains or measures, one after another; on a GPU, see `lanes`."""
    lanes: Annotated[Whole, Field(ge=1, le=64)] | None = None
    """How many of its seeds a job trains side by side; by default as many as a GPU's memory holds, on a CPU one."""
    precision: Precision = "float32"
    """What networks compute in while they train. What is measured of them stays in float32 or float64."""
    compiled: Flag = False
    """Whether torch.compile compiles the blocks of the networks that are trained. This changes rounding."""
    tensorboard: Flag = False
    """Whether training writes curves for TensorBoard to results/PRESET/tensorboard. This changes no result."""
    augmentation: Augmentation = Augmentation()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    snapshots: Distinct[InnerShare] = ()
    """Shares of training after which weights are kept, in addition to the end. Changing them trains again."""
    snapshot_losses: Distinct[Loss] = ()
    """Mean training losses (nats); weights are kept after the first epoch at or below each. A change trains again."""
    evaluations: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """How often a run passes the test and validation images, evenly and at its end; by default after every epoch."""
    epochs_fraction: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """The share of each entry's epochs that is run. The schedule shrinks with it."""
    grid: tuple[GridEntry, ...] = ()
    """The training runs."""
    initialization: Initialization
    trained: TrainedNetworks = TrainedNetworks()
    random_matrices: RandomMatrices = RandomMatrices()

    def images(self, split: Literal["train", "test"]) -> float:
        """The number of images in a split; infinite where it is not known before the data is read."""
        whole = IMAGES.get(self.dataset, {}).get(split, math.inf)
        return getattr(self.subset, split) or whole - (self.subset.validation if split == "train" else 0)
