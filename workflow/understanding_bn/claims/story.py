"""The paper's argument in five plain sentences, and for each step whether it holds: read from claims.json alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understanding_bn.claims.checks import (
    AGAINST,
    AS_CLAIMED,
    INCONCLUSIVE,
    NOT_RUN,
    OPPOSITE,
    PRECONDITION,
    REFUTED,
    REPRODUCED,
)

HOLDS, IN_PART, FAILS, TURNED = "holds", "holds in part", "does not hold", "opposite"
CANNOT_TELL, UNTESTED = "cannot be told at this scale", "untested"
STATUSES = (HOLDS, IN_PART, FAILS, TURNED, CANNOT_TELL, UNTESTED)
DECIDED = (REPRODUCED, REFUTED, OPPOSITE)
UNDECIDED = (INCONCLUSIVE, PRECONDITION, NOT_RUN)  # what says most comes first

ARGUMENT = "The paper argues that batch norm helps because it lets networks train with much larger learning rates."
ARGUMENT_FIGURES = ("max_learning_rate", "fig3_relative_loss")


@dataclass(frozen=True)
class Step:
    """A step of the argument.

    Attributes:
        text: its sentence, without its full stop.
        claims: those that it rests on.
        figures: those that show it, the best first; a preset need not draw all.
    """

    text: str
    claims: tuple[int, ...]
    figures: tuple[str, ...]


STEPS = (
    Step(
        "At the same small learning rate a network without batch norm ends as accurate as one with it, and larger "
        "rates, which need batch norm, end more accurate",
        (1, 2, 3, 4, 15, 19),
        ("fig1_accuracy", "single_final_bn"),
    ),
    Step(
        "Smaller mini-batches make the steps of SGD noisier, as the paper's bound says",
        (6,),
        ("gradient_noise", "noise_along_training"),
    ),
    Step(
        "Without batch norm, activations and gradients grow with depth before training, so that all but tiny steps "
        "diverge",
        (5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 20),
        ("fig5_channel_moments", "fig3_relative_loss", "fig4_divergence_heatmap"),
    ),
    Step(
        "Products of random matrices, as deep networks are at the start, become ill-conditioned as random-matrix "
        "theory says",
        (18,),
        ("fig8_singular_values",),
    ),
)


@dataclass(frozen=True)
class Finding:
    """What the claims of a step say together.

    Attributes:
        status: one of the words above.
        verdicts: how many there are of each, in words.
        directions: how many claims that are not decided have a direction beyond chance, in words; may be empty.
    """

    status: str
    verdicts: str
    directions: str

    @property
    def counts(self) -> str:
        """Verdicts and directions."""
        return "; ".join(filter(None, (self.verdicts, self.directions)))


def findings(claims: Sequence[dict[str, Any]]) -> list[Finding]:
    """What a list of judged claims, as claims.json has it, says of each step of the argument."""
    judged = {claim["id"]: claim for claim in claims}
    return [_finding([judged[number] for number in step.claims if number in judged]) for step in STEPS]


def answers(
    claims: Sequence[dict[str, Any]], large_scale: Sequence[dict[str, Any]] = ()
) -> list[tuple[Finding, Finding | None]]:
    """For each step what `claims` say; and what `large_scale` says, where only that can tell."""
    ours = findings(claims)
    kept = findings(large_scale) if large_scale else [None] * len(STEPS)
    unsure = (CANNOT_TELL, UNTESTED)
    return [
        (own, theirs if own.status in unsure and theirs is not None and theirs.status not in unsure else None)
        for own, theirs in zip(ours, kept, strict=True)
    ]


def best(records: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each claim from the record that says most about it, the first of those that say as much."""

    def rank(claim: dict[str, Any]) -> int:
        return 0 if claim["verdict"] in DECIDED else 1 + UNDECIDED.index(claim["verdict"])

    return [min(same, key=rank) for same in zip(*records, strict=True)]


def sentences(claims: Sequence[dict[str, Any]], large_scale: Sequence[dict[str, Any]] = ()) -> list[str]:
    """Five sentences: the argument and its steps.

    `large_scale`: claims of a kept record at the paper's scale, which speaks where `claims` cannot tell.
    """
    written = [ARGUMENT]
    for step, (ours, theirs) in zip(STEPS, answers(claims, large_scale), strict=True):
        text = f"{step.text}: {ours.status} ({ours.counts})"
        if theirs is not None:
            text += f"; at the paper's scale, in the kept record: {theirs.status} ({theirs.counts})"
        written.append(f"{text}.")
    return written


def _status(verdicts: Counter[str]) -> str:
    """One word for the verdicts of a step's claims."""
    decided = sum(verdicts[verdict] for verdict in DECIDED)
    if not decided:
        return UNTESTED if verdicts[NOT_RUN] == verdicts.total() else CANNOT_TELL
    if verdicts[REPRODUCED]:
        return HOLDS if verdicts[REPRODUCED] == decided else IN_PART
    return TURNED if verdicts[OPPOSITE] else FAILS


def _finding(claims: list[dict[str, Any]]) -> Finding:
    """What the claims of one step say."""
    verdicts = Counter(claim["verdict"] for claim in claims)
    if len(claims) == 1:
        said = f"claim {claims[0]['id']}: {claims[0]['verdict']}"
    else:
        numbers = [f"{verdicts[verdict]} {verdict}" for verdict in DECIDED + UNDECIDED if verdicts[verdict]]
        said = f"of {len(claims)} claims {', '.join(numbers)}"
    ways = Counter(claim["direction"] for claim in claims if claim["verdict"] in UNDECIDED)
    directions = [
        f"{'1 undecided one is' if ways[way] == 1 else f'{ways[way]} undecided ones are'} beyond chance in the {name} "
        "direction"
        for way, name in ((AS_CLAIMED, "paper's"), (AGAINST, "opposite"))
        if ways[way]
    ]
    return Finding(_status(verdicts), said, "; ".join(directions))
