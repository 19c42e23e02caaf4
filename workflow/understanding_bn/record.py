"""run.json: what a job was, how it was run and what it wrote, as one typed record. Imports no torch."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understanding_bn import files, plugin_files, provenance
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Matrices, Measure, Train


class Data(BaseModel):
    """The data set behind a result, as its store describes it; see `data.store.Store`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    tag: str
    source: str
    files: dict[str, str]
    train_images: int
    test_images: int
    validation_images: int = 0
    size: tuple[int, int, int]
    classes: int
    majority_share: float
    channel_mean: tuple[float, ...]
    channel_std: tuple[float, ...]
    flip: bool | None
    sha256: str

    @property
    def images(self) -> str:
        """How many images each split has, in words."""
        validation = f", {self.validation_images:,} validation" if self.validation_images else ""
        joined = "," if validation else ""
        return f"{self.train_images:,} training{validation}{joined} and {self.test_images:,} test images"

    @property
    def lossy(self) -> bool:
        """Whether images were kept in a format that changes them, which is JPEG; the source says so."""
        return "JPEG" in self.source and ", lossy" in self.source

    @property
    def in_words(self) -> str:
        """The source, and that it is a JPEG rendition where it is."""
        return f"{self.source}; a JPEG rendition, not loss-free" if self.lossy else self.source


class Training(BaseModel):
    """What only a training job has to tell, a value for each of its seeds.

    Attributes:
        resumed_seeds: those that went on from a checkpoint.
        failures: how each seed failed; None for those that are sound.
        state_keys: the names of the checkpoints.
        seconds: spent on each seed's training, in all processes that had a part in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resumed_seeds: tuple[int, ...]
    failures: tuple[str | None, ...]
    state_keys: tuple[str, ...]
    seconds: tuple[float, ...]


class Record(BaseModel):
    """One run.json.

    Attributes:
        stage: the rule that the job belongs to.
        place: the job's folder below its preset's: it holds the cell and, for training and what is measured on its
            networks, the seeds.
        job: the job itself.
        data: its data set; None for random matrices.
        bn_mode: how batch norm normalised.
        dtype: what the job computed networks in; in training, the precision that its config asks for.
        trained_in: the same of the training whose networks were measured; None for a job that measured none.
        training: only of training jobs.
        weights_sha256: of the weights that were measured, where they were trained.
        code_fingerprint: what the code behind the numbers is known by.
        plugins: SHA-256 of the user's files that the norm and the initialisation come from, by name.
        outputs: SHA-256 of the job's files, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Literal["train", "initialization", "trained", "random_matrices"]
    place: str
    job: Train | Measure | Matrices
    data: Data | None
    bn_mode: str | None = None
    dtype: str
    trained_in: str | None = None
    training: Training | None = None
    weights_sha256: str | None = None
    code_fingerprint: str
    plugins: dict[str, str] = Field(default_factory=dict)
    commit: str | None
    versions: dict[str, str]
    device: str
    processor: str
    threads: int
    flags: dict[str, Any]
    started: str
    wall_seconds: float
    peak_memory_mib: float
    outputs: dict[str, str]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The job's seeds; none for random matrices."""
        return () if isinstance(self.job, Matrices) else self.job.seeds

    @property
    def precision(self) -> str | None:
        """The precision of the training behind the result; None if there is none."""
        return self.dtype if self.stage == "train" else self.trained_in

    def rests_on(
        self,
        job: Train | Measure | Matrices,
        *,
        data: str | None,
        device: str,
        threads: int,
        weights_sha256: str | None = None,
    ) -> bool:
        """Whether the same job with the same code would make these results now.

        Args:
            job: the job, which knows its code.
            data: SHA-256 of its data store.
            device: the type of device that it runs on, such as "cpu".
            threads: how many threads it computes with.
            weights_sha256: of the weights that it measures, where they are trained.
        """
        made_with = (self.job.spec, self.code_fingerprint, self.data and self.data.sha256, self.weights_sha256)
        return (
            made_with == (job.spec, job.code, data, weights_sha256)
            and (self.device == "cpu") == (device == "cpu")
            and self.threads == threads
            and self.versions.get("torch") == provenance.versions().get("torch")
        )


def finish(out: Path, job: Train | Measure | Matrices, facts: dict[str, Any], **more: Any) -> None:
    """Write run.json into a job's folder, atomically: the last thing that a job does.

    Args:
        out: the folder, which holds the job's outputs.
        job: the job.
        facts: those of `provenance.Stopwatch.facts`.
        more: the other fields of a `Record`.
    """
    plugged = plugin_files.paths(getattr(job, "plugins", ()))
    written = Record(
        stage=job.rule,
        place=job.folder,
        job=job,
        code_fingerprint=job.code,
        plugins={path.name: files.sha256(path) for path in plugged},
        outputs={name: files.sha256(out / name) for name in job.OUTPUTS},
        **{"data": None, "dtype": "float32"} | facts | more,
    )
    files.write_text(out / "run.json", written.model_dump_json(indent=2) + "\n")


def read(path: Path) -> Record:
    """The record in a run.json.

    Raises:
        UserError: the file is missing or is no record of this version.
    """
    return parse(files.read_json(path), str(path))


def parse(value: Any, name: str) -> Record:
    """The record that a JSON value holds. `name` is what a message calls it.

    Raises:
        UserError: it is no record of this version.
    """
    try:
        return Record.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{name}: not a record that this version reads ({where}: {first['msg']}); remove its folder and run again"
        ) from None
