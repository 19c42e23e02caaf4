"""The jobs of an experiment, as values: each knows its folder, what its command needs to know, and its code.

A job's `spec` is all that its command needs to know about the science, as JSON. So the command can be run anywhere;
other arguments say where files are. Paths are relative to results/PRESET.
"""

from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, SerializeAsAny, field_validator

from understanding_bn import fingerprint, plugin_files
from understanding_bn.cell import Cell, Network
from understanding_bn.experiment.config import InitialMeasurements, TrainedMeasurements
from understanding_bn.settings import Augmentation, Channels, Initial, InnerShare, Loss, Optimiser, Options, Precision

# Every measurement, by its name in the config.
MEASUREMENTS: dict[str, type[Options]] = {
    name: next(part for part in get_args(field.annotation) if part is not type(None))
    for block in (InitialMeasurements, TrainedMeasurements)
    for name, field in block.model_fields.items()
}


class Job(Options):
    """One job."""

    rule: ClassVar[str]  # of Snakemake

    @property
    def spec(self) -> str:
        """What its command needs to know, as JSON on one line."""
        return self.model_dump_json()

    @property
    def modules(self) -> list[str]:
        """The modules that its code begins with."""
        raise NotImplementedError

    @property
    def code(self) -> str:
        """The fingerprint of the code behind it."""
        return fingerprint.numeric(self.modules, plugin_files.paths(getattr(self, "plugins", ())))


class Prepare(Job):
    """Read a data set once and keep it ready."""

    rule: ClassVar[str] = "data"
    dataset: Literal["digits", "cifar10", "parquet", "folder"]
    data_dir: str | None = None
    train: int = 0
    test: int = 0
    validation: int = 0
    channels: Channels = "as_found"
    image_size: int = 0

    @property
    def modules(self) -> list[str]:
        return ["data.store"]


class Train(Job):
    """Train one cell of the grid for a block of seeds."""

    rule: ClassVar[str] = "train"
    PATTERN: ClassVar[str] = f"train/{Cell.PATTERN}/seeds-{{seeds}}"
    OUTPUTS: ClassVar[tuple[str, ...]] = ("history.parquet", "weights.pt")

    cell: Cell
    seeds: tuple[int, ...] = Field(min_length=1)
    optimiser: Optimiser
    augmentation: Augmentation
    milestones: tuple[InnerShare, ...]
    snapshots: tuple[InnerShare, ...] = ()
    snapshot_losses: tuple[Loss, ...] = ()
    evaluations: int | None = None
    precision: Precision = "float32"
    compiled: bool = False
    plugins: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Where it leaves its results."""
        return f"train/{self.cell.path}/seeds-{'-'.join(map(str, self.seeds))}"

    @property
    def table(self) -> str:
        """The name of the table that it makes a part of."""
        return "histories"

    @property
    def values(self) -> str:
        """That part of the table."""
        return f"{self.folder}/history.parquet"

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that it works on."""
        return (self.cell,)

    @property
    def modules(self) -> list[str]:
        return ["stages.train"]


class Measure(Job):
    """Make one measurement on the networks of some seeds: at initialisation, or at shares of a cell's training.

    The network is a `Cell` where it was trained; `options.at` and `options.at_losses` then say when it is measured.
    """

    INITIAL: ClassVar[str] = "initialization/{arch}/{init}/{measurement}/norm-{norm}"
    TRAINED: ClassVar[str] = f"trained/{{measurement}}/{Cell.PATTERN}/seeds-{{seeds}}"
    OUTPUTS: ClassVar[tuple[str, ...]] = ("values.parquet",)

    measurement: str
    network: Cell | Network
    options: SerializeAsAny[Options]
    seeds: tuple[int, ...] = Field(min_length=1)
    optimiser: Optimiser
    augmentation: Augmentation
    plugins: tuple[str, ...] = ()

    @field_validator("measurement")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MEASUREMENTS:
            raise ValueError(f"{name!r} is no measurement; expected one of {', '.join(MEASUREMENTS)}")
        return name

    @field_validator("options", mode="before")
    @classmethod
    def _of_the_measurement(cls, options: Any, info: Any) -> Any:
        """Options have the type that their measurement gives them."""
        kind = MEASUREMENTS.get(info.data.get("measurement", ""))
        if kind and isinstance(options, dict):
            options = kind.model_validate(options)
        network = info.data.get("network")
        return options.for_networks([network.arch]) if network and isinstance(options, Initial) else options

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks that it works on."""
        return (self.network,)

    @property
    def rule(self) -> str:  # type: ignore[override]
        """Snakemake's rule."""
        return "trained" if self.trained else "initialization"

    @property
    def trained(self) -> bool:
        """Whether it is made on trained networks."""
        return isinstance(self.network, Cell)

    @property
    def folder(self) -> str:
        """Where it leaves its results."""
        if isinstance(self.network, Cell):
            return f"trained/{self.measurement}/{self.network.path}/seeds-{'-'.join(map(str, self.seeds))}"
        return self.INITIAL.format(**self.network.model_dump(), measurement=self.measurement)

    @property
    def trained_by(self) -> str | None:
        """The folder of the training job whose networks it is made on; None at initialisation."""
        return self.folder.replace(f"trained/{self.measurement}/", "train/", 1) if self.trained else None

    @property
    def table(self) -> str:
        """The name of the table that it makes a part of."""
        return self.measurement

    @property
    def values(self) -> str:
        """That part of the table."""
        return f"{self.folder}/values.parquet"

    @property
    def modules(self) -> list[str]:
        return ["stages.measure", f"measurements.{self.measurement}"]


class Matrices(Job):
    """Singular values of products of Gaussian matrices."""

    rule: ClassVar[str] = "random_matrices"
    folder: ClassVar[str] = "random_matrices"
    table: ClassVar[str] = "random_matrices"
    values: ClassVar[str] = "random_matrices/values.parquet"
    OUTPUTS: ClassVar[tuple[str, ...]] = ("values.parquet",)

    size: int
    factors: tuple[int, ...]
    draws: int

    @property
    def modules(self) -> list[str]:
        return ["stages.matrices"]


Measured = Train | Measure | Matrices  # the jobs that make numbers


class Draw(Job):
    """Draw one figure or table from named tables."""

    name: str
    kind: Literal["figures", "tables"]

    @property
    def rule(self) -> str:  # type: ignore[override]
        """Snakemake's rule."""
        return self.name

    @property
    def shown(self) -> str:
        """The file that the report shows."""
        return f"{self.kind}/{self.name}.{'png' if self.kind == 'figures' else 'md'}"

    @property
    def short(self) -> str | None:
        """The short target of a numbered one: fig3 for fig3_relative_loss."""
        first = self.name.split("_")[0]
        return first if any(character.isdigit() for character in first) else None

    @property
    def modules(self) -> list[str]:
        return ["figures.drawing", f"figures.{self.name}"]

    @property
    def code(self) -> str:
        return fingerprint.whole(self.modules)
