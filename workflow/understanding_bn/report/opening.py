"""What report.html opens with: the paper's argument, whether each step of it holds, and what this run was."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understanding_bn import architecture
from understanding_bn.claims import story
from understanding_bn.experiment.jobs import Matrices, Train
from understanding_bn.record import Record
from understanding_bn.report import items

COMMIT = 10  # digits of a commit's hash: enough to find it


def argument(
    claims: Sequence[dict[str, Any]], large_scale: Sequence[dict[str, Any]], figures: dict[str, Path]
) -> list[dict[str, Any]]:
    """Five sentences, each with its answer and a figure that shows it.

    An answer is a list of badges: a word and how many steps it counts, 0 where it is about one.

    Args:
        claims: those of this run.
        large_scale: those of a kept record at the paper's scale, or none.
        figures: the PNG of every figure of this run, by its name.
    """
    answers = story.answers(claims, large_scale)
    judged = {claim["id"]: claim for claim in claims}
    steps = [
        {
            "text": step.text,
            "badges": [(ours.status, 0)],
            "kept_badges": [(theirs.status, 0)] if theirs else [],
            "claims": [judged[number] for number in step.claims if number in judged],
            "directions": ours.directions,
            "kept": theirs.verdicts if theirs else "",
            "figures": step.figures,
        }
        for step, (ours, theirs) in zip(story.STEPS, answers, strict=True)
    ]
    whole = {
        "text": story.ARGUMENT.removesuffix("."),
        "badges": _tally([ours.status for ours, _ in answers]),
        "kept_badges": _tally([(theirs or ours).status for ours, theirs in answers]) if large_scale else [],
        "claims": [],
        "directions": "",
        "kept": "",
        "figures": story.ARGUMENT_FIGURES,
    }
    return _with_pictures([whole, *steps], figures)


def _tally(statuses: list[str]) -> list[tuple[str, int]]:
    """How many steps have each status, what is known for sure first."""
    return sorted(Counter(statuses).items(), key=lambda counted: story.STATUSES.index(counted[0]))


def _with_pictures(sentences: list[dict[str, Any]], figures: dict[str, Path]) -> list[dict[str, Any]]:
    """Each sentence with the first of its figures that this run drew and that no sentence before it shows."""
    shown: set[str] = set()
    for sentence in sentences:
        figure = next((name for name in sentence["figures"] if name in figures and name not in shown), None)
        sentence["figure"], sentence["picture"] = figure, items.small(figures[figure]) if figure else None
        shown |= {figure} if figure else set()
    return sentences


def this_run(records: Sequence[Record], at_scale: bool, jobs: tuple[int, int] | None = None) -> list[tuple[str, str]]:
    """Which data, scale, seeds, device and commit, each in one line.

    `jobs`: how many ran, and how many were planned; that is told where they differ.
    """
    data = next((run.data for run in records if run.data), None)
    facts = []
    if jobs and jobs[0] < jobs[1]:
        facts.append(("In part", f"{jobs[0]} of {jobs[1]} jobs; the others were not run"))
    if data:
        facts.append(("Data", f"{data.in_words}: {data.images} of {data.size[1]}×{data.size[0]} pixels"))
    facts.append(("Scale", _scale(records, at_scale)))
    seeds = sorted({seed for run in records for seed in run.seeds})
    facts.append(("Seeds", f"{len(seeds)}: {', '.join(map(str, seeds))}" if seeds else "none"))
    devices = sorted({run.device if run.device != "cpu" else f"CPU, {run.processor}" for run in records})
    facts.append(("Device", "; ".join(devices)))
    commits = sorted({run.commit[:COMMIT] if run.commit else "unknown, not a git checkout" for run in records})
    facts.append(("Commit", ", ".join(commits)))
    return facts


def _scale(records: Sequence[Record], at_scale: bool) -> str:
    """The networks that were trained, and those that were measured only."""
    jobs = [run.job for run in records if not isinstance(run.job, Matrices)]
    trained = {network.arch for job in jobs if isinstance(job, Train) for network in job.networks}
    measured = {network.arch for job in jobs for network in job.networks} - trained
    sizes = sorted({network.batch_size for job in jobs for network in job.networks})
    epochs = sorted({job.cell.epochs for job in jobs if isinstance(job, Train)})
    parts = ["the paper’s" if at_scale else "not the paper’s"]
    if trained:
        span = "–".join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))
        parts.append(f"{_names(trained)} trained for {span} epochs")
    if measured:
        parts.append(f"{_names(measured)} measured without training")
    if sizes:
        parts.append(f"B = {', '.join(map(str, sizes))}")
    return "; ".join(parts)


def _names(archs: set[str]) -> str:
    return ", ".join(architecture.in_order(archs)).replace("resnet", "ResNet")
