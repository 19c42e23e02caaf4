"""The blocks of docs/results.md: every claim, and the conditions of every kept record, beside the paper's."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import architecture, files, paper
from understanding_bn.claims.statistics import bootstrap_interval
from understanding_bn.figures.style import label
from understanding_bn.report.open_questions import ends, markdown

# Records in the order of their weight as evidence.
PRESETS = ("paper", "paper-short", "cifar10-init", "cifar10-small", "open-questions", "quick")


def verdicts(reference: Path) -> str:
    """A line for each claim, a verdict for each record."""
    claims = {preset: files.read_json(reference / preset / "claims.json") for preset in kept(reference)}
    rows = []
    for number, first in enumerate(next(iter(claims.values()))):
        found = [claims[preset][number]["verdict"] for preset in claims]
        rows.append([f"[{first['id']}](#claim-{first['id']})", first["statement"], *found])
    return markdown(["#", "claim", *(f"`{preset}`" for preset in claims)], rows)


def claims(reference: Path) -> str:
    """A section for each claim: the paper's number, and what each record says, of the check that decides."""
    records = {preset: files.read_json(reference / preset / "claims.json") for preset in kept(reference)}
    lines = []
    for number, first in enumerate(next(iter(records.values()))):
        lines += [f'\n<a id="claim-{first["id"]}"></a>', f"\n### {first['id']}. {first['statement']}\n"]
        lines.append(f"The paper: {first['paper']}. Figure: {_links(reference, records, first['figure'])}.")
        rows, missing = [], []
        for preset, judged in records.items():
            claim = judged[number]
            if claim["measured"] is None and not claim["checks"]:
                missing.append(f"`{preset}` ({claim['note']})" if claim["note"] else f"`{preset}`")
                continue
            measured = "not finite" if claim["measured"] is None else f"{claim['measured']:.3g}"
            row = [
                f"`{preset}`",
                claim["measure"],
                measured,
                ends(claim["interval"]),
                str(claim["seeds"]),
                claim["verdict"],
            ]
            rows.append([*row, claim["scope"]])
        head = ["record", "what decides", "ours", "95 % interval", "seeds", "verdict", "scale"]
        lines.append(markdown(head, rows) if rows else "")
        if missing:
            lines.append(f"Not run: {'; '.join(missing)}.\n")
    return "\n".join(lines)


def conditions(reference: Path) -> str:
    """What each record ran, beside what the paper did."""
    columns = [_conditions(reference / preset) for preset in kept(reference)]
    rows = [[name, paper.CONDITIONS.get(name, "unknown"), *(column[name] for column in columns)] for name in columns[0]]
    return markdown(["", "the paper", *(f"`{preset}`" for preset in kept(reference))], rows)


def _conditions(folder: Path) -> dict[str, str]:
    """A record's conditions in words, from the run.json of its jobs."""
    provenance = files.read_json(folder / "provenance.json")
    runs = [run for run in provenance["runs"].values() if run.get("data")]
    trained = [run for run in runs if run["stage"] == "train"]
    data = runs[0]["data"]
    start = [run for run in runs if run["stage"] == "initialization"]
    return {
        "data": data["source"],
        "training and test images": f"{data['train_images']:,} and {data['test_images']:,}",
        "networks trained": _networks(trained),
        "networks measured at the start": _networks(start),
        "learning rates": _listed((float(run["settings"]["alpha"]) for run in trained), "g"),
        "batch sizes": _listed(run["settings"]["batch_size"] for run in trained),
        "epochs": _epochs(trained),
        "weight decay": _listed(
            run["settings"]["optimiser"]["weight_decay"] for run in runs if "optimiser" in run["settings"]
        ),
        "seeds": str(len({seed for run in runs for seed in run["seeds"]})),
        "hardware": _listed(f"{run['device']} ({run['processor']})" for run in runs),
        "processor hours of all jobs": f"{provenance['job_minutes'] / 60:.1f}",
        "images/s of a training job, median": _rate(trained),
        "commit": _listed(run["commit"][:12] for run in runs),
    }


def _epochs(trained: list[dict[str, Any]]) -> str:
    """Epochs by learning rate, or once where all are alike."""
    found = sorted({(float(run["settings"]["alpha"]), run["settings"]["epochs"]) for run in trained}, reverse=True)
    if len({epochs for _, epochs in found}) <= 1:
        return _listed(epochs for _, epochs in found)
    return ", ".join(f"{epochs} at {alpha:g}" for alpha, epochs in found)


def _rate(trained: list[dict[str, Any]]) -> str:
    """Images per second of the seeds that trained through, one thread each."""
    rates = []
    for run in trained:
        settings, images = run["settings"], run["data"]["train_images"]
        seen = images // settings["batch_size"] * settings["batch_size"] * settings["epochs"]
        failures = run.get("failures") or [None] * len(run["seeds"])
        rates += [
            seen / seconds
            for seconds, failure in zip(run["training_seconds"], failures, strict=True)
            if failure is None and seconds
        ]
    return f"{np.median(rates):,.0f}" if rates else "–"


def _listed(values: Any, form: str = "") -> str:
    """Distinct values in order, or "none"."""
    return ", ".join(f"{value:{form}}" for value in sorted(set(values))) or "none"


def _networks(found: list[dict[str, Any]]) -> str:
    """The networks of some runs, or "none"."""
    return ", ".join(architecture.in_order(run["settings"]["arch"] for run in found)) or "none"


def accuracies(folder: Path) -> str:
    """Final accuracies of every cell of a record's main network, with curvature and noise at the end of training."""
    folder = folder / "figures"
    table = pd.read_csv(folder / "fig1_accuracy_summary.csv", keep_default_na=False, na_values=[""])
    keys = ["norm", "alpha", "epochs"]
    hessian = pd.read_csv(folder / "hessian_spectrum_summary.csv", keep_default_na=False, na_values=[""])
    hessian = hessian[(hessian["block"] == "all") & (hessian["epoch"] == hessian["epochs"])]
    noise = pd.read_csv(folder / "noise_along_training.csv", keep_default_na=False, na_values=[""])
    noise = noise[noise["fraction"] == 1]
    rows = []
    for cell, here in sorted(table.groupby(keys), key=lambda found: (found[0][0], -found[0][1])):
        sound = here[here["failure"].isna()]
        measured = [100 * sound["test_accuracy"], 100 * sound["train_accuracy"]]
        at_end = [
            source.loc[(source[keys] == list(cell)).all(axis=1) & source["seed"].isin(sound["seed"]), name]
            for source, name in ((hessian, "top_eigenvalue"), (hessian, "trace"), (noise, "constant"))
        ]
        norm, alpha, epochs = cell
        kinds = here["failure"].dropna()
        failures = ", ".join([f"{len(kinds)} of {len(here)}", *kinds.unique()])
        cells = [_mean(values, ".1f") for values in measured] + [_mean(values, ".3g") for values in at_end]
        rows.append([label(norm), f"{alpha:g}", str(epochs), *cells, failures])
    head = ["norm", "α", "epochs", "test accuracy (%)", "train accuracy (%)", "sharpness", "trace", "C", "failed seeds"]
    note = (
        "Means over the seeds that did not fail, in brackets their 95 % interval; train accuracy is that of the last "
        "epoch's own mini-batches. Sharpness is the largest eigenvalue of the Hessian of the mean loss, and trace its "
        "trace; C is the variance of one sample's gradient. All three at the end of training, batch norm in train "
        "mode, float32."
    )
    return markdown(head, rows, note)


def resnet_110(reference: Path) -> str:
    """Test accuracy of ResNet-110 with batch norm beside the published one."""
    rows = [["He et al. (2015); this paper", "93.3–93.6 %", "165", "5"]]
    for preset in ("paper", "paper-short"):
        summary = reference / preset / "figures" / "fig1_accuracy_summary.csv"
        if not summary.is_file():
            rows.append([f"ours, preset `{preset}`", "not run", "–", "–"])
            continue
        table = pd.read_csv(summary, keep_default_na=False, na_values=[""])
        here = table[(table["norm"] == "batch") & (table["alpha"] == table["alpha"].max())]
        accuracy = _mean(100 * here.loc[here["failure"].isna(), "test_accuracy"], ".2f")
        rows.append([f"ours, preset `{preset}`", f"{accuracy} %", _listed(here["epochs"]), str(len(here))])
    return markdown(["ResNet-110, batch norm, α = 0.1", "test accuracy", "epochs", "seeds"], rows)


def _mean(values: pd.Series, form: str) -> str:
    """Mean and interval over seeds."""
    values = values.dropna()
    if values.empty:
        return "–"
    interval = bootstrap_interval(values.to_numpy())
    between = f" [{interval[0]:{form}}, {interval[1]:{form}}]" if interval else ""
    return f"{values.mean():{form}}{between}"


def kept(reference: Path) -> list[str]:
    """The presets that have a record."""
    return [preset for preset in PRESETS if (reference / preset / "claims.json").is_file()]


def _links(reference: Path, presets: Any, name: str) -> str:
    """Links to a figure or table in the records that have it."""
    found = []
    for preset in presets:
        for path in (f"figures/{name}.png", f"tables/{name}.md"):
            if (reference / preset / path).is_file():
                found.append(f"[`{preset}`](../results/reference/{preset}/{path})")
    return ", ".join(found) or "none kept"
