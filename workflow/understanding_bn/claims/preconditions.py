"""What a claim's runs must be for its bound to mean anything. Where they are not, no bound is applied."""

from collections.abc import Iterator
from dataclasses import dataclass

from understanding_bn import paper
from understanding_bn.claims.results import Results
from understanding_bn.experiment.jobs import Matrices, Measure, Train
from understanding_bn.settings import Initial, as_list

CONVERGED = 99.0  # per cent of the training images, in eval mode and without augmentation


@dataclass(frozen=True)
class Needs:
    """The preconditions of a claim.

    Attributes:
        scale: which of "data", "network" and "batch size" must be the paper's; see `paper.differences`.
        converged: whether every sound seed of the cells that are compared must have fitted its training images, with
            a learning rate that has fallen as scheduled. A seed that failed is a result of its own.
    """

    scale: tuple[str, ...] = ()
    converged: bool = False

    @property
    def words(self) -> str:
        """The preconditions as a reader wants them."""
        names = {"data": "all of CIFAR-10", "network": "ResNet-110", "batch size": f"B = {paper.BATCH_SIZE}"}
        parts = [names[name] for name in self.scale]
        parts += [f"≥ {CONVERGED:g} % clean train accuracy at the end", "the schedule done"] if self.converged else []
        return ", ".join(parts) or "none"


NOTHING = Needs()
DATA = Needs(("data",))
PAPERS_SETTING = Needs(("data", "network", "batch size"))
CONVERGED_TRAINING = Needs(("data", "network", "batch size"), converged=True)


def unmet(needs: Needs, results: Results) -> list[str]:
    """The preconditions that the runs in `results.used` do not meet, in words; none where all are met."""
    found: dict[str, None] = {}
    for path in sorted(results.used):
        run = results.runs[path]
        if run.data is None or isinstance(run.job, Matrices):
            continue
        for network in run.job.networks:
            for size in batch_sizes(run.job):
                facts = paper.differences(run.data.tag, run.data.train_images, network.arch, size)
                found |= {facts[name]: None for name in needs.scale if name in facts}
    return [*found, *(_unconverged(results) if needs.converged else ())]


def batch_sizes(job: Train | Measure) -> list[int]:
    """The batch sizes of a job; a measurement at initialisation may have its own."""
    options = getattr(job, "options", None)
    (network,) = job.networks
    if not isinstance(options, Initial):
        return [network.batch_size]
    sizes = getattr(options, "batch_sizes", None)
    return [*(sizes or as_list(getattr(options, "batch_size", network.batch_size)))]


def _unconverged(results: Results) -> Iterator[str]:
    """The compared cells that have not fitted their training images, or had no schedule."""
    milestones = max(len(run.job.milestones) for run in results.runs.values() if isinstance(run.job, Train))
    constant = False
    for norm, alpha, init in results.compared:
        last = results.final(norm, alpha, init)
        last = last[last["failure"].isna()]
        cell = f"norm {norm} at α = {alpha:g}" + (f", {init}" if init else "")
        accuracy = last["clean_train_accuracy"].min()
        if last["clean_train_accuracy"].isna().any():
            yield f"{cell}: its clean train accuracy is not recorded"
        elif accuracy < CONVERGED:
            yield f"{cell} ends at {accuracy:.1f} % clean train accuracy, not {CONVERGED:g}"
        constant |= milestones == 0 or bool((last["learning_rate"] > 1.01 * alpha * 0.1**milestones).any())
    if constant:
        yield "the learning rate has not fallen as scheduled" if milestones else "no schedule: α is constant"
