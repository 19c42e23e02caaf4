"""Judge every claim and write claims.json."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from understanding_bn import architecture, failures, files
from understanding_bn.claims.catalogue import CLAIMS, FOLLOWUPS, Claim
from understanding_bn.claims.checks import (
    LEAST_RUNS,
    LEAST_SEEDS,
    NOT_RUN,
    OPPOSITE,
    PRECONDITION,
    Check,
    combine,
    direction,
)
from understanding_bn.claims.preconditions import batch_sizes, unmet
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.claims.roles import ROLES
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Matrices, Train
from understanding_bn.paper import origin, text


def run(inputs: dict[str, list[Path]], out: Path, followups: Path) -> None:
    """Judge all claims on the raw values in `inputs`: the paper's go to `out`, those of later work to `followups`.

    Each entry of either list has id, statement, source, scope, paper (the source's number), paper_origin, measure,
    measured, interval, method, seeds, beside, verdict, direction, sign_flip_p, unmet, runs, checks, figure and note.
    `measure` up to `beside` and `sign_flip_p` are those of the check that decided the verdict, or of the first where a
    precondition is not met; `checks` has all, each with the values of its seeds. `unmet` names the preconditions.

    A claim whose judging fails counts as not run, and its entry has the reason as `failure` too.
    """
    results = Results(inputs)
    for path, claims in ((out, CLAIMS), (followups, FOLLOWUPS)):
        files.write_json(path, [_judged(claim, results) for claim in claims])


def _judged(claim: Claim, results: Results) -> dict[str, Any]:
    """A claim's entry; one whose judging fails does not take the others with it."""
    try:
        return _entry(claim, results)
    except UserError:
        raise
    except Exception as error:
        why = failures.tell(f"claim {claim.id} could not be judged", error)

    def judge(_: Results) -> NoReturn:
        raise NotRunError("")

    return _entry(replace(claim, judge=judge), results) | {"failure": why, "note": f"could not be judged: {why}"}


def _entry(claim: Claim, results: Results) -> dict[str, Any]:
    results.forget()
    checks: list[Check] = []
    note = ""
    try:
        checks = claim.judge(results)
    except NotRunError as missing:
        note = f"needs {missing}"
        results.forget()
    verdict, of_checks = combine(checks)
    missing_conditions = unmet(claim.needs, results) if verdict != NOT_RUN else []
    if missing_conditions:
        verdict, of_checks = PRECONDITION, [PRECONDITION] * len(checks)
    # What is shown in one line is the check that the verdict hangs on.
    decisive = _decisive(checks, verdict, of_checks)
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "scope": _scope(results) if verdict != NOT_RUN else "",
        "paper": text(claim.paper),
        "paper_origin": origin(claim.paper),
        "measure": decisive.name if decisive else "",
        "measured": _number(decisive.value) if decisive else None,
        "interval": _interval(decisive) if decisive else None,
        "method": decisive.method if decisive else "",
        "seeds": decisive.seeds if decisive else 0,
        "beside": decisive.beside if decisive else "",
        "verdict": verdict,
        "direction": direction(checks),
        "sign_flip_p": _number(decisive.sign_p) if decisive else None,
        "unmet": missing_conditions,
        "runs": sorted(results.used),
        "checks": [_check(*each) for each in zip(checks, of_checks, strict=True)],
        "figure": claim.figure,
        "note": note or "; ".join(missing_conditions) or (_why_undecided(decisive) if decisive else ""),
    }


def _decisive(checks: list[Check], verdict: str, of_checks: list[str]) -> Check | None:
    """The first check with the claim's verdict, or that refutes it."""
    evidence = [(check, own) for check, own in zip(checks, of_checks, strict=True) if check.evidence]
    same = [check for check, own in evidence if own == verdict]
    against = [check for check, own in evidence if own == OPPOSITE]
    return next(iter(same or against), None)


def _check(check: Check, verdict: str) -> dict[str, Any]:
    """A check as claims.json has it."""
    entry = {"name": check.name, "measured": _number(check.value), "interval": _interval(check)}
    entry |= {"method": check.method, "relation": check.relation, "bound": check.bound, "seeds": check.seeds}
    entry |= {
        "beside": check.beside,
        "verdict": verdict if check.evidence and verdict != PRECONDITION else "",
        "direction": check.direction,
        "evidence": check.evidence,
    }
    entry |= {"p": _number(check.p), "sign_flip_p": _number(check.sign_p)}
    return entry | {"values": [_number(value) for value in check.values]}


def _why_undecided(check: Check) -> str:
    """Why a check could not decide, where it is not that its interval straddles the bound."""
    if check.universal:
        few = not check.value < 1 and check.seeds < LEAST_RUNS
        return f"{check.seeds} seeds are too few for a claim about every run: {LEAST_RUNS} are needed" if few else ""
    if check.seeds < LEAST_SEEDS:
        count = "1 seed is" if check.seeds == 1 else f"{check.seeds} seeds are"
        return f"{count} too few for a verdict: {LEAST_SEEDS} are needed"
    if check.interval is None:
        return "no interval: not every value is finite, or a denominator may be zero"
    if check.undecided_by_equal_values:
        return f"all {check.seeds} seeds have the same value, from which no interval can be told"
    return ""


def _scope(results: Results) -> str:
    """What the runs behind a claim were: network, data, batch size, epochs, and the learning rates' parts."""
    runs = [results.runs[path] for path in sorted(results.used)]
    first = runs[0]
    if isinstance(first.job, Matrices):
        return f"N = {first.job.size}, float64"
    jobs = [run.job for run in runs if not isinstance(run.job, Matrices)]
    assert first.data is not None
    archs = architecture.in_order(network.arch for job in jobs for network in job.networks)
    sizes = sorted({size for job in jobs for size in batch_sizes(job)})
    parts = [
        f"{' and '.join(archs).replace('resnet', 'ResNet')} on {first.data.source}",
        f"B = {', '.join(map(str, sizes))}",
    ]
    epochs = sorted({job.cell.epochs for job in jobs if isinstance(job, Train)})
    if epochs:
        parts.append(f"{'–'.join(map(str, dict.fromkeys((epochs[0], epochs[-1]))))} epochs")
        used = [(ROLES[role].paper, ours) for role, ours in results.alphas_for.items()]
        moved = [
            f"{ours:g} for the paper's {paper.value:g} ({paper.origin.value})"
            for paper, ours in used
            if ours != paper.value
        ]
        parts += [f"α = {', '.join(moved)}"] if moved else []
    elif first.stage == "initialization":
        parts.append("at initialisation, BN in train mode")
    return ", ".join(parts)


def _number(value: float) -> float | None:
    """A number that JSON can hold; None for those that are not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _interval(check: Check) -> list[float] | None:
    return [float(f"{end:.6g}") for end in check.interval] if check.interval else None
