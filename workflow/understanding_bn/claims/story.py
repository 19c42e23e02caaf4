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
DECIDED = (REPRODUCED, REFUTED, OPPOSITE)
UNDECIDED = (INCONCLUSIVE, PRECONDITION, NOT_RUN)  # what says most comes first

ARGUMENT = "The paper argues that batch norm helps because it lets networks train with much larger learning rates."


@dataclass(frozen=True)
class Step:
    """A step of the argument as one sentence, without its full stop, and the claims that it rests on."""

    text: str
    claims: tuple[int, ...]


STEPS = (
    Step(
        "At the same small learning rate a network without batch norm ends as accurate as one with it, and larger "
        "rates, which need batch norm, end more accurate",
        (1, 2, 3, 4, 15, 19),
    ),
    Step("Smaller mini-batches make the steps of SGD noisier, as the paper's bound says", (6,)),
    Step(
        "Without batch norm, activations and gradients grow with depth before training, so that all but tiny steps "
        "diverge",
        (5, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 20),
    ),
    Step(
        "Products of random matrices, as deep networks are at the start, become ill-conditioned as random-matrix "
        "theory says",
        (18,),
    ),
)


@dataclass(frozen=True)
class Finding:
    """A step with what its claims say together.

    Attributes:
        text: the step's sentence, without its full stop.
        status: one of the words above.
        counts: the verdicts, and the directions of claims that are not decided, in words.
    """

    text: str
    status: str
    counts: str


def findings(claims: Sequence[dict[str, Any]]) -> list[Finding]:
    """What a list of judged claims, as claims.json has it, says of each step of the argument."""
    judged = {claim["id"]: claim for claim in claims}
    found = []
    for step in STEPS:
        of_step = [judged[number] for number in step.claims if number in judged]
        verdicts = Counter(claim["verdict"] for claim in of_step)
        found.append(Finding(step.text, _status(verdicts), _counts(verdicts, of_step)))
    return found


def best(records: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Each claim from the record that says most about it, the first of those that say as much."""

    def rank(claim: dict[str, Any]) -> int:
        return 0 if claim["verdict"] in DECIDED else 1 + UNDECIDED.index(claim["verdict"])

    return [min(same, key=rank) for same in zip(*records, strict=True)]


def sentences(claims: Sequence[dict[str, Any]], large_scale: Sequence[dict[str, Any]] = ()) -> list[str]:
    """Five sentences: the argument and its steps.

    `large_scale`: claims of a kept record at the paper's scale, which speaks where `claims` cannot tell.
    """
    kept = findings(large_scale) if large_scale else [None] * len(STEPS)
    written = [ARGUMENT]
    for ours, theirs in zip(findings(claims), kept, strict=True):
        text = f"{ours.text}: {ours.status} ({ours.counts})"
        unsure = (CANNOT_TELL, UNTESTED)
        if ours.status in unsure and theirs is not None and theirs.status not in unsure:
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


def _counts(verdicts: Counter[str], claims: Sequence[dict[str, Any]]) -> str:
    """Verdicts in words, and how many of the claims that are undecided have a direction beyond chance."""
    if len(claims) == 1:
        text = f"claim {claims[0]['id']}: {claims[0]['verdict']}"
    else:
        numbers = [f"{verdicts[verdict]} {verdict}" for verdict in DECIDED + UNDECIDED if verdicts[verdict]]
        text = f"of {len(claims)} claims {', '.join(numbers)}"
    ways = Counter(claim["direction"] for claim in claims if claim["verdict"] in UNDECIDED)
    for way, name in ((AS_CLAIMED, "paper's"), (AGAINST, "opposite")):
        if ways[way]:
            ones = "1 undecided one is" if ways[way] == 1 else f"{ways[way]} undecided ones are"
            text += f"; {ones} beyond chance in the {name} direction"
    return text
