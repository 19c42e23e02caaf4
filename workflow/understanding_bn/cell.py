"""A cell of the training grid."""

from dataclasses import asdict, dataclass
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

    @property
    def path(self) -> str:
        """The cell's folder below its preset's training runs."""
        return self.PATTERN.format(**asdict(self))
