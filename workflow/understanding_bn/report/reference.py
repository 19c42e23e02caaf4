"""Small records of finished runs, kept in results/reference, and the parts of README and docs drawn from them."""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import files, paper
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, REFUTED, REPRODUCED
from understanding_bn.errors import UserError
from understanding_bn.figures.fig5_channel_moments import MAIN_SITE
from understanding_bn.report import answers, open_questions, rebuild, results_page, rule_graph, speed_page

# Records are for reading and redrawing: no weights, no images of a data set, nothing large.
KEPT = ("claims.json", "later.json", "figures/*.csv", "figures/*.png", "tables/*")
KEPT_ONLY = {"quick": ("claims.json", "later.json", "figures/fig1_accuracy*.csv", "figures/fig1_accuracy.png")}


def record(results: Path, out: Path, presets: list[str]) -> None:
    """Copy the small results of finished presets from results/PRESET to results/reference/PRESET.

    Claims, figures (CSV and PNG), tables and the raw values that all are made from are kept, of the quick preset,
    which anyone can run, just the first two that the README shows; provenance.json beside them holds the run.json of
    every job.

    Raises:
        UserError: a preset has no finished claims.
    """
    for preset in presets:
        source, target = results / preset, out / preset
        if not (source / "claims.json").is_file():
            raise UserError(f"{source}: holds no finished claims.json; run that preset first")
        shutil.rmtree(target, ignore_errors=True)  # what is no longer made must not stay
        names = KEPT_ONLY.get(preset, KEPT)
        for path in (path for pattern in names for path in sorted(source.glob(pattern))):
            if path.stat().st_size <= rebuild.LARGEST:
                files.copy(path, target / path.relative_to(source))
        if preset not in KEPT_ONLY:
            rebuild.keep(source, target)
        runs = {
            str(path.parent.relative_to(source)): files.read_json(path) for path in sorted(source.rglob("run.json"))
        }
        files.write_json(target / "provenance.json", {"jobs": len(runs), "runs": runs} | _cost(runs))


def fill(page: Path, reference: Path) -> None:
    """Rewrite a page's blocks `<!-- BEGIN name … -->` … `<!-- END name -->` from results/reference.

    Raises:
        UserError: a block has an unknown name or no end.
    """
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- BEGIN (\w+)", text):
        found = re.search(rf"<!-- BEGIN {name}\b[^\n]*-->\n(.*?)<!-- END {name} -->", text, re.S)
        if name not in BLOCKS or not found:
            known = ", ".join(BLOCKS)
            raise UserError(f"{page}: block {name!r} has no end or no meaning; expected one of {known}")
        text = text[: found.start(1)] + BLOCKS[name](reference) + text[found.end(1) :]
    files.write_text(page, text)


def _verdicts(reference: Path) -> str:
    """Every claim with its verdict at the paper's scale and in the quick preset, and where both come from."""
    at_scale, quick = (files.read_json(reference / preset / "claims.json") for preset in ("cifar10-init", "quick"))
    lines = ["", f"At the paper's scale, without training: {_tally(at_scale)}. On digits: {_tally(quick)}.", ""]
    lines += ["| # | claim | paper | ResNet-110, CIFAR-10 | verdict | digits | verdict |", "|---" * 7 + "|"]
    for large, small in zip(at_scale, quick, strict=True):
        cells = [large["statement"], large["paper"]]
        cells += [text for claim in (large, small) for text in (_measured(claim), claim["verdict"])]
        lines.append(f"| {large['id']} | " + " | ".join(_cell(cell) for cell in cells) + " |")
    origins = [_origin(reference / "cifar10-init"), "", _origin(reference / "quick")]
    return "\n".join([*lines, "", *origins, ""])


def _checks(reference: Path) -> str:
    """Every check of every claim that was judged at the paper's scale."""
    lines = ["", "| # | what is measured | ours | 95 % interval | required | n | verdict |", "|---" * 7 + "|"]
    for claim in files.read_json(reference / "cifar10-init" / "claims.json"):
        for check in claim["checks"]:
            interval = open_questions.ends(check["interval"])
            measured = "not finite" if check["measured"] is None else f"{check['measured']:.3g}"
            cells = [check["name"], measured, interval, f"{check['relation']} {check['bound']:g}", str(check["seeds"])]
            lines.append(f"| {claim['id']} | " + " | ".join(_cell(cell) for cell in [*cells, check["verdict"]]) + " |")
    return "\n".join([*lines, ""])


def _table(name: str) -> Callable[[Path], str]:
    """A kept Markdown table of the paper's scale."""
    return lambda reference: (
        "\n" + (reference / "cifar10-init" / "tables" / f"{name}.md").read_text(encoding="utf-8") + "\n"
    )


def _fig3(reference: Path) -> str:
    """Landmarks of Fig. 3 over seeds beside the paper's."""
    table = pd.read_csv(reference / "cifar10-init" / "figures" / "fig3_relative_loss_summary.csv")
    columns = {"minimum": "minimum", "minimum_step": "its step"}
    columns |= {f"passes_{value}": f"passes {text}" for value, text in (("1", "1"), ("1000", "1e3"), ("1e+06", "1e6"))}
    lines = ["", "| norm | mini-batch | | " + " | ".join(columns.values()) + " |", "|---" * (len(columns) + 3) + "|"]
    for (norm, minibatch), here in table.groupby(["norm", "minibatch"], sort=False):
        ours = [_median(here[column]) for column in columns]
        papers = [_known(here[f"paper_{column}"].iloc[0]) for column in columns]
        for who, cells in (("ours", ours), ("paper", papers)):
            lines.append(f"| {norm} | {minibatch} | {who} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"*Ours: median of {table['seed'].nunique()} seeds (smallest to largest).*", ""])


def _fig5(reference: Path) -> str:
    """Fig. 5 over seeds beside the paper's values."""
    table = pd.read_csv(reference / "cifar10-init" / "figures" / "fig5_channel_moments.csv")
    table = table[table["site"] == MAIN_SITE]
    layers = sorted(table["layer"].unique())
    lines = ["", "| | norm | | " + " | ".join(f"layer {layer}" for layer in layers) + " |"]
    lines.append("|---" * (len(layers) + 3) + "|")
    for (norm, statistic), published in paper.CHANNEL_MOMENTS.items():
        here = table[(table["norm"] == norm) & (table["statistic"] == statistic)].groupby("layer")["value"]
        ours = [f"{here.mean()[layer]:.2f} ± {here.std()[layer]:.2f}" for layer in layers]
        theirs = [f"{value:.2f}" for value in published]
        for who, cells in (("ours", ours), ("paper", theirs)):
            lines.append(f"| {statistic.replace('_', '-')} | {norm} | {who} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"*Ours: mean ± standard deviation over {table['seed'].nunique()} seeds, outputs of convolutions.*",
        "",
    ]
    return "\n".join(lines)


def _max_alpha(reference: Path) -> str:
    """The largest stable learning rates over seeds."""
    table = pd.read_csv(reference / "cifar10-init" / "figures" / "max_learning_rate.csv")
    lines = ["", "| norm | initialisation | depth | largest stable α | seeds |", "|---" * 5 + "|"]
    for key, here in table.groupby(["norm", "init", "depth"]):
        cells = [*map(str, key), _median(here["alpha"]), str(here["seed"].nunique())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "*Median (smallest to largest).*", ""])


def _costs(reference: Path) -> str:
    """What the presets that ran took, and what the others would take at the rates that were measured."""
    head = "| preset | jobs | job time, one thread each | first start to last end | at most in one job |"
    lines = ["", head, "|---" * 5 + "|"]
    for preset in reversed(results_page.kept(reference)):
        record = files.read_json(reference / preset / "provenance.json")
        times = (f"{minutes:.0f} min" for minutes in (record["job_minutes"], _elapsed(record["runs"])))
        cells = (record["jobs"], *times, f"{record['peak_memory_mib']} MiB")
        lines.append(f"| `{preset}` | " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| preset, training alone | runs | epochs | PFLOP | hours |", "|---|---|---|---|---|"]
    for preset in ("paper-short", "paper"):
        plan = files.read_json(reference / "benchmark" / f"plan-{preset}.json")
        totals = plan["totals"]
        hours = [
            f"{totals['hours'][d['label']]:,.0f} on {d['label']} {totals['marks'][d['label']]}".rstrip()
            for d in plan["devices"]
        ]
        kinds = {device["device"] for device in plan["devices"]}
        hours += [f"{name}: not measured" for kind, name in (("cpu", "CPU"), ("cuda", "GPU")) if kind not in kinds]
        cells = (f"{totals['runs']}", f"{totals['epochs']:,}", f"{totals['pflop']:,.0f}", "; ".join(hours))
        lines.append(f"| `{preset}` | " + " | ".join(cells) + " |")
    note = "Hours are from `results/reference/benchmark`, an upper bound: runs that diverge end early."
    return "\n".join([*lines, "", f"*{note}*", ""])


def _scale(reference: Path) -> str:
    """What planning a large grid takes."""
    kept = reference / "benchmark" / "scale.json"
    if not kept.is_file():
        return "\nNot measured yet.\n\n"
    record = files.read_json(kept)
    lines = ["", "| | seconds | of them processor time | MiB |", "|---|---|---|---|"]
    for what, cost in record["costs"].items():
        cells = [f"{cost[name]:,.0f}" for name in ("wall_seconds", "cpu_seconds", "peak_memory_mib")]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    where = f"{record['processor']}, Snakemake {record['versions'].get('snakemake', 'unknown')}"
    note = f"A grid of {record['settings']['cells']:,} cells, one job each, on one core of {where}."
    return "\n".join([*lines, "", f"*{note}*", ""])


def _of(preset: str, text: Callable[[Path], str] | None, figure: str = "") -> Callable[[Path], str]:
    """A figure of a preset and what `text` makes of its record; that it was not run, where there is no record."""

    def block(reference: Path) -> str:
        folder = reference / preset
        if not folder.is_dir():
            return "\n*Not run yet: no record is kept.*\n"
        return (open_questions.picture(preset, figure) if figure else "") + (text(folder) if text else "")

    return block


def _open(text: Callable[[Path], str] | None, figure: str = "") -> Callable[[Path], str]:
    return _of("open-questions", text, figure)


def _small(text: Callable[[Path], str] | None, figure: str = "") -> Callable[[Path], str]:
    return _of("cifar10-small", text, figure)


BLOCKS: dict[str, Callable[[Path], str]] = {
    "verdicts": _verdicts,
    "checks": _checks,
    "fig3": _fig3,
    "fig5": _fig5,
    "table1": _table("table1_gradient_sums"),
    "readings": _table("readings"),
    "max_alpha": _max_alpha,
    "costs": _costs,
    "scale": _scale,
    "speed_steps": speed_page.block("train-cpu", speed_page.steps),
    "speed_gpu": speed_page.block("train-gpu", speed_page.steps),
    "speed_neighbour": speed_page.block("neighbour-cpu", speed_page.neighbour),
    "speed_memory": speed_page.block("memory-cpu", speed_page.memory),
    "speed_images": speed_page.images,
    "speed_products": speed_page.block("hvp", speed_page.products),
    "rules": lambda reference: rule_graph.diagram(reference / "rules.mmd"),
    "a1": _open(answers.noise_or_steps),
    "a2": _open(answers.where_noise_is),
    "a3": _open(answers.best_without),
    "a4": _open(answers.conditioning),
    "q1": _open(open_questions.moves, "alpha_batch_grid"),
    "q2": _open(open_questions.architectures, "noise_by_architecture"),
    "q2gap": _open(open_questions.related),
    "q3": _open(open_questions.small_steps),
    "q4": _open(open_questions.conditioning, "jacobian_conditioning"),
    "picture_noise_along_training": _open(None, "noise_along_training"),
    "picture_hessian_spectrum": _open(None, "hessian_spectrum"),
    "picture_other_norms": _open(None, "other_norms"),
    "later": _open(open_questions.predictions),
    "origin_open": _open(lambda folder: f"\n{_origin(folder)}\n"),
    "every_verdict": results_page.verdicts,
    "every_claim": results_page.claims,
    "conditions": results_page.conditions,
    "resnet_110": results_page.resnet_110,
    "small_accuracies": _small(results_page.accuracies, "fig1_accuracy"),
    "small_hessian": _small(None, "hessian_spectrum"),
    "origin_small": _small(lambda folder: f"\n{_origin(folder)}\n"),
    "origin": lambda reference: "\n" + _origin(reference / "cifar10-init") + "\n",
}


def _tally(claims: list[dict[str, Any]]) -> str:
    tally = Counter(claim["verdict"] for claim in claims)
    return ", ".join(f"{tally.get(verdict, 0)} {verdict}" for verdict in (REPRODUCED, REFUTED, INCONCLUSIVE, NOT_RUN))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _median(values: pd.Series) -> str:
    """Median, smallest and largest; a curve that never passed a value counts as infinite."""
    ordered = values.fillna(np.inf).sort_values()
    shown = [f"{value:.2g}" if np.isfinite(value) else "never" for value in (ordered.median(), *ordered.iloc[[0, -1]])]
    return shown[0] if len(set(shown)) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _known(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:g}"


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


def _elapsed(runs: dict[str, Any]) -> float:
    """Minutes from the start of the first job to the end of the last, however many ran side by side, rests included."""
    spans = [(datetime.fromisoformat(run["started"]).timestamp(), run["wall_seconds"]) for run in runs.values()]
    return (max(start + seconds for start, seconds in spans) - min(start for start, _ in spans)) / 60


def _cost(runs: dict[str, Any]) -> dict[str, Any]:
    """Time and memory of all jobs that left a record."""
    minutes = sum(run["wall_seconds"] for run in runs.values()) / 60
    peak = max(run["peak_memory_mib"] for run in runs.values())
    return {"job_minutes": round(minutes, 1), "peak_memory_mib": peak}
