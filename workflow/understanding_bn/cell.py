"""Networks and cells of the training grid."""

from typing import ClassVar

from understanding_bn.settings import Alpha, Arch, BatchSize, Name, Options, Whole, canonical


class Network(Options):
    """A network and the mini-batches that it sees."""

    arch: Arch
    init: Name
    norm: Name
    batch_size: BatchSize

    @property
    def family(self) -> tuple[str, str, int]:
        """(arch, init, batch_size): what the paper's training runs have in common."""
        return self.arch, self.init, self.batch_size


class Cell(Network):
    """One cell of the training grid, every factor spelled out."""

    alpha: Alpha
    epochs: Whole

    # Also the pattern that Snakemake matches: every field is a wildcard.
    PATTERN: ClassVar[str] = "{arch}/{init}/norm-{norm}/alpha-{alpha}/batch-{batch_size}/epochs-{epochs}"

    def epoch_at(self, share: float) -> int:
        """The number of epochs after which a share of training is done; at least one for every share but 0."""
        return max(1, round(share * self.epochs)) if share else 0

    def evaluated(self, evaluations: int | None) -> set[int]:
        """The epochs, counted from 1, after which held-out images are passed: so many, evenly, or all for None.

        The last is among them. A training of fewer epochs has them after each.
        """
        count = min(evaluations or self.epochs, self.epochs)
        return {-(-number * self.epochs // count) for number in range(1, count + 1)}

    @property
    def factors(self) -> dict[str, str | int | float]:
        """What stands in front of every row of its tables."""
        names = ("arch", "init", "norm", "alpha", "batch_size", "epochs")
        return {name: getattr(self, name) for name in names}

    @property
    def path(self) -> str:
        """The cell's folder below its preset's training runs."""
        return self.PATTERN.format(**self.model_dump() | {"alpha": canonical(self.alpha)})

    @property
    def label(self) -> str:
        """The cell in the lines of a progress report."""
        return f"{self.norm} α={canonical(self.alpha)} B={self.batch_size}"
