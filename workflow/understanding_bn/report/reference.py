"""Small records of finished runs, kept in results/reference, and the parts of the README that are drawn from them."""

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, REFUTED, REPRODUCED
from understanding_bn.errors import UserError

# Records are for reading and redrawing: no weights, no images of a data set, nothing large.
LARGEST = 1_000_000
KEPT = ("claims.json", "figures/*.csv", "figures/*.png", "tables/*")


def record(results: Path, out: Path, names: list[str]) -> None:
    """Copy the small results of a run whose path contains one of `names`, and write provenance.json beside them.

    Raises:
        UserError: nothing matches.
    """
    found = [path for pattern in KEPT for path in sorted(results.glob(pattern))]
    kept = [path for path in found if any(name in path.name for name in names) and path.stat().st_size <= LARGEST]
    if not kept:
        raise UserError(f"{results}: holds no finished result named {' or '.join(names)}; run the preset first")
    for path in kept:
        target = out / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    runs = {str(path.parent.relative_to(results)): files.read_json(path) for path in sorted(results.rglob("run.json"))}
    files.write_json(out / "provenance.json", {"jobs": len(runs), "runs": runs} | _cost(runs))


def readme(page: Path, reference: Path) -> None:
    """Rewrite the README's blocks `<!-- BEGIN name -->` … `<!-- END name -->` from results/reference."""
    text = page.read_text(encoding="utf-8")
    for name, make in BLOCKS.items():
        found = re.search(rf"<!-- BEGIN {name}[^\n]*-->\n(.*?)<!-- END {name} -->", text, re.S)
        if not found:
            raise UserError(f"{page}: has no block {name!r}; expected <!-- BEGIN {name} --> and <!-- END {name} -->")
        text = text[: found.start(1)] + make(reference) + text[found.end(1) :]
    files.write_text(page, text)


def _verdicts(reference: Path) -> str:
    """The quick preset's verdicts in one table, with where they come from."""
    claims = files.read_json(reference / "quick" / "claims.json")
    tally = Counter(claim["verdict"] for claim in claims)
    order = (REPRODUCED, REFUTED, INCONCLUSIVE, NOT_RUN)
    lines = ["", ", ".join(f"{tally.get(verdict, 0)} {verdict}" for verdict in order) + ".", ""]
    lines += ["| # | claim | paper | quick preset | verdict |", "|---|---|---|---|---|"]
    for claim in claims:
        cells = (claim["statement"], claim["paper"], _measured(claim), claim["verdict"])
        lines.append(f"| {claim['id']} | " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", _origin(reference / "quick"), ""])


def _table1(reference: Path) -> str:
    """Table 1 at the paper's scale."""
    table = (reference / "cifar10-init" / "tables" / "table1_gradient_sums.md").read_text(encoding="utf-8")
    return "\n" + table + "\n" + _origin(reference / "cifar10-init") + "\n"


BLOCKS = {"verdicts": _verdicts, "table1": _table1}


def _measured(claim: dict[str, Any]) -> str:
    if claim["measured"] is None:
        return "–"
    between = f" [{claim['interval'][0]:.3g}, {claim['interval'][1]:.3g}]" if claim["interval"] else ""
    return f"{claim['measured']:.3g}{between}, n = {claim['seeds']}"


def _origin(folder: Path) -> str:
    """One line of provenance."""
    provenance = files.read_json(folder / "provenance.json")
    runs = list(provenance["runs"].values())
    with_data = next(run for run in runs if run["data"])
    facts = {key: sorted({str(run[key]) for run in runs}) for key in ("processor", "device", "commit")}
    seeds = sorted({seed for run in runs for seed in run.get("seeds", [])})
    return (
        f"*From `{Path(*folder.parts[-3:])}`: {with_data['data']['source']}, seeds {', '.join(map(str, seeds))}, "
        f"{' and '.join(facts['device'])} ({' and '.join(facts['processor'])}), "
        f"torch {with_data['versions']['torch']}, "
        f"commit {' and '.join(commit[:12] + ' with changes' * ('+' in commit) for commit in facts['commit'])}, "
        f"{provenance['job_minutes']:g} minutes of job time on one thread each, "
        f"at most {provenance['peak_memory_mib']} MiB a job.*"
    )


def _cost(runs: dict[str, Any]) -> dict[str, Any]:
    """Time and memory of all jobs that left a record."""
    minutes = sum(run["wall_seconds"] for run in runs.values()) / 60
    peak = max(run["peak_memory_mib"] for run in runs.values())
    return {"job_minutes": round(minutes, 1), "peak_memory_mib": peak}
