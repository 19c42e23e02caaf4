"""A cell of the training grid."""

from dataclasses import asdict, dataclass, fields
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell of the grid, every factor spelled out. `alpha` is the learning rate α as a canonical decimal."""

    arch: str
    init: str
    norm: str
    alpha: str
    batch_size: int
    epochs: int

    # Also the pattern that Snakemake matches: every field is a wildcard.
    PATTERN: ClassVar[str] = "{arch}/{init}/norm-{norm}/alpha-{alpha}/batch-{batch_size}/epochs-{epochs}"

    def epoch_at(self, share: float) -> int:
        """The number of epochs after which a share of training is done; at least one for every share but 0."""
        return max(1, round(share * self.epochs)) if share else 0

    @property
    def network(self) -> tuple[str, str, int]:
        """(arch, init, batch_size): what the paper's training runs have in common."""
        return self.arch, self.init, self.batch_size

    @classmethod
    def of(cls, wildcards: object) -> "Cell":
        """The cell whose fields an object, such as Snakemake's wildcards, has as text."""
        named = {field.name: getattr(wildcards, field.name) for field in fields(cls)}
        return cls(**named | {"batch_size": int(named["batch_size"]), "epochs": int(named["epochs"])})

    @property
    def path(self) -> str:
        """The cell's folder below its preset's training runs."""
        return self.PATTERN.format(**asdict(self))
