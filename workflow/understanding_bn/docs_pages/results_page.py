"""The tables of docs/results.md: every claim, and the conditions of every kept record, next to the paper's."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import architecture, paper
from understanding_bn.cell import Cell, Network
from understanding_bn.claims import story as argument
from understanding_bn.claims.catalogue import BY_ID, CLAIMS, FOLLOWUPS
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.claims.roles import ROLES
from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.experiment.jobs import Matrices, Train
from understanding_bn.figures.style import label
from understanding_bn.messages import plain
from understanding_bn.record import Record
from understanding_bn.summaries.hessian import of_mode, preferred
from understanding_bn.summaries.intervals import mean_interval
from understanding_bn.summaries.training import NETWORK, main_network, of_network


def verdicts(reference: Path) -> str:
    """A line for each claim, a verdict for each record."""
    judged = {preset: records.claims(reference / preset) for preset in records.judged(reference)}
    first = next(iter(judged.values()))
    frame = pd.DataFrame(
        {
            "#": [f"[{claim['id']}](#claim-{claim['id']})" for claim in first],
            "claim": [claim["statement"] for claim in first],
            "paper": [_said(claim["id"]) for claim in first],
        }
        | {
            records.named(reference, preset): [claim["verdict"] for claim in claims]
            for preset, claims in judged.items()
        }
    )
    return markdown.table(frame)


def _said(claim: int | str) -> str:
    """What a claim's source says and how we know it, from the catalogue: records may be older than what it says."""
    return paper.shown(BY_ID[claim].paper)


def _how(said: paper.Said | None, missing: str = "unknown") -> str:
    """What the paper says about a condition, with its origin."""
    return missing if said is None else paper.shown(said)


def story(reference: Path) -> str:
    """The paper's argument in five sentences, from every claim's record that says most about it."""
    first = ("paper", "paper-short", "cifar10-init")  # the paper's scale
    presets = sorted(records.judged(reference), key=lambda preset: (preset not in first, preset))
    best = argument.best([records.claims(reference / preset) for preset in presets])
    return "\n".join(f"{number}. {text}" for number, text in enumerate(argument.sentences(best), start=1)) + "\n"


def preconditions(reference: Path) -> str:
    """What every claim's runs must be."""
    rows = [(str(claim.id), claim.needs.words) for claim in (*CLAIMS, *FOLLOWUPS)]
    frame = pd.DataFrame(rows, columns=["#", "needs"]).groupby("needs", sort=False)["#"].agg(", ".join).reset_index()
    return markdown.table(frame[["#", "needs"]].rename(columns={"#": "claims"}))


def roles(reference: Path) -> str:
    """Which learning rates play the parts of the paper's."""
    rows = [
        (role.replace("_", " "), f"{each.paper.value:g} ({each.paper.origin.value})", each.rule)
        for role, each in ROLES.items()
    ]
    return markdown.table(pd.DataFrame(rows, columns=["part", "the paper's α", "otherwise"]))


def claims(reference: Path) -> str:
    """A section for each claim: the paper's number, and what each record says about the check that decides."""
    judged = {preset: records.claims(reference / preset) for preset in records.judged(reference)}
    return "\n".join(
        _section(reference, dict(zip(judged, claim, strict=True))) for claim in zip(*judged.values(), strict=True)
    )


def _section(reference: Path, claim: dict[str, dict[str, Any]]) -> str:
    """One claim by record."""
    first = next(iter(claim.values()))
    rows, missing = [], []
    for preset, judged in claim.items():
        name = records.named(reference, preset)
        if judged["measured"] is None and not judged["checks"]:
            missing.append(f"{name} ({judged['note']})" if judged["note"] else name)
            continue
        measured = "not finite" if judged["measured"] is None else plain(judged["measured"])
        measured += f" ({beside})" if (beside := judged.get("beside")) else ""
        numbers = measured, markdown.ends(judged["interval"]), str(judged["seeds"])
        method, found = judged["method"], (judged["verdict"], judged["direction"] or DASH)
        scale = "; not the claim’s: ".join([judged["scope"], *filter(None, ["; ".join(judged.get("unmet", []))])])
        rows.append((name, judged["measure"], *numbers, method, *found, scale))
    head = ["record", "what decides", "ours", "95 % interval", "n", "method", "verdict", "direction", "scale"]
    lines = [f'\n<a id="claim-{first["id"]}"></a>', f"\n### {first['id']}. {first['statement']}\n"]
    lines.append(f"The paper: {_said(first['id'])}. Figure: {_links(reference, claim, first['figure'])}.")
    lines.append(markdown.table(pd.DataFrame(rows, columns=head)) if rows else "")
    return "\n".join([*lines, *([f"Not run: {'; '.join(missing)}.\n"] if missing else [])])


def _links(reference: Path, presets: Iterable[str], name: str) -> str:
    """Links to a figure or table in the records that have it."""
    paths = [f"{preset}/{path}" for preset in presets for path in (f"figures/{name}.png", f"tables/{name}.md")]
    links = [f"[`{path.split('/')[0]}`](../results/reference/{path})" for path in paths if (reference / path).is_file()]
    return ", ".join(links) or "none kept"


def conditions(reference: Path) -> str:
    """What each record ran, next to what the paper did."""
    kept = records.judged(reference)
    columns = {records.named(reference, preset): _conditions(records.read(reference / preset)) for preset in kept}
    frame = pd.DataFrame(columns)
    frame.insert(0, "the paper", [_how(paper.CONDITIONS.get(name)) for name in frame.index])
    return markdown.table(frame.reset_index(names=""))


def _conditions(kept: records.Kept) -> dict[str, str]:
    """A record's conditions in words."""
    jobs, trained = kept.with_data, kept.trained
    cells = [job.cell for _, job in trained]
    with_networks = [run.job for run, _ in jobs if not isinstance(run.job, Matrices)]
    initial = [network for job in with_networks if job.rule == "initialization" for network in job.networks]
    decays = [job.optimiser.weight_decay for job in with_networks]
    data = jobs[0][1]
    return {
        "data": data.in_words,
        "images": data.images,
        "networks trained": _networks(cells),
        "networks measured at the start": _networks(initial),
        "learning rates": _listed((cell.alpha for cell in cells), "g"),
        "batch sizes": _listed(cell.batch_size for cell in cells),
        "epochs": _epochs(cells),
        "weight decay": _listed(decays),
        "seeds": _seeds(kept),
        "hardware": _listed(f"{run.device} ({run.processor})" for run, _ in jobs),
        "processor hours of all jobs": f"{kept.job_minutes / 60:.1f}",
        "images/s of a training job, median": _rate(trained),
        "commit": _listed((run.commit or "unknown")[:12] for run, _ in jobs),
    }


def _seeds(kept: records.Kept) -> str:
    """How many seeds there are, and how many a cell has where cells differ in that."""
    per_cell = Counter[Cell]()
    for _, job in kept.trained:
        per_cell[job.cell] += len(job.seeds)
    fewest, most = min(per_cell.values(), default=0), max(per_cell.values(), default=0)
    count = str(len({seed for run, _ in kept.with_data for seed in run.seeds}))
    return f"{count}; {fewest} to {most} a cell" if fewest < most else count


def _epochs(cells: Sequence[Cell]) -> str:
    """Epochs by learning rate, or once where all are alike."""
    pairs = sorted({(cell.alpha, cell.epochs) for cell in cells}, reverse=True)
    if len({epochs for _, epochs in pairs}) <= 1:
        return _listed(epochs for _, epochs in pairs)
    return ", ".join(f"{epochs} at {alpha:g}" for alpha, epochs in pairs)


def _rate(trained: Sequence[tuple[Record, Train]]) -> str:
    """Images per second of the seeds that trained to the end, one thread each."""
    rates = []
    for run, job in trained:
        assert run.data is not None and run.training is not None
        size = job.cell.batch_size
        seen = run.data.train_images // size * size * job.cell.epochs
        failures = run.training.failures or (None,) * len(job.seeds)
        pairs = zip(run.training.seconds, failures, strict=True)
        rates += [seen / seconds for seconds, failure in pairs if failure is None and seconds]
    return f"{np.median(rates):,.0f}" if rates else DASH


def _listed(values: Iterable[Any], form: str = "") -> str:
    """Distinct values in order, or "none"."""
    return ", ".join(f"{value:{form}}" for value in sorted(set(values))) or "none"


def _networks(networks: Sequence[Network]) -> str:
    """The architectures of some networks, or "none"."""
    return ", ".join(architecture.in_order(network.arch for network in networks)) or "none"


def accuracies(folder: Path) -> str:
    """Final accuracies of every cell of a record's main network, with curvature and noise at the end of training."""
    keys = [*NETWORK, "norm", "alpha", "epochs"]
    hessian = records.csv(folder, "figures/hessian_spectrum_summary.csv")
    hessian = of_mode(hessian[(hessian["block"] == "all") & (hessian["epoch"] == hessian["epochs"])])
    noise = records.csv(folder, "figures/noise_along_training.csv")
    noise = noise[noise["fraction"] == 1]
    table = records.csv(folder, "figures/fig1_accuracy_summary.csv")
    table = of_network(table, main_network(table))
    recorded = "clean_train_accuracy" in table and table["clean_train_accuracy"].notna().any()
    train = table["clean_train_accuracy" if recorded else "train_accuracy"]
    whose = "in eval mode, without augmentation" if recorded else "that of the last epoch's own mini-batches"
    rows = []
    for cell, runs in sorted(table.groupby(keys), key=lambda group: (group[0][-3], -group[0][-2])):
        sound = runs[runs["failure"].isna()]
        at_end = [
            source.loc[(source[keys] == list(cell)).all(axis=1) & source["seed"].isin(sound["seed"]), name]
            for source, name in ((hessian, "top_eigenvalue"), (hessian, "trace"), (noise, "constant"))
        ]
        norm, alpha, epochs = cell[-3:]
        kinds = runs["failure"].dropna()
        rows.append(
            {
                "norm": label(norm),
                "α": f"{alpha:g}",
                "epochs": str(epochs),
                "test accuracy (%)": mean(100 * sound["test_accuracy"], ".1f"),
                "train accuracy (%)": mean(100 * train[sound.index], ".1f"),
            }
            | {name: mean(values, ".3g") for name, values in zip(("sharpness", "trace", "C"), at_end, strict=True)}
            | {"failed seeds": ", ".join([f"{len(kinds)} of {len(runs)}", *kinds.unique()])}
        )
    in_eval = preferred(hessian["bn_mode"]) == "eval"
    with_mode = f"with batch norm in train mode{', but the Hessian in eval mode' if in_eval else ''}"
    note = (
        f"Means over the seeds that did not fail, with their 95 % interval in brackets; train accuracy is {whose}. "
        "Sharpness is the largest eigenvalue of the Hessian of the mean loss, and trace "
        "its trace; C is the variance of one sample's gradient. All three are measured at the end of training, "
        f"{with_mode}, in float32."
    )
    return markdown.table(pd.DataFrame(rows), note)


def resnet_110(reference: Path) -> str:
    """Test accuracy of ResNet-110 with batch norm, next to the published one."""
    rows = [(name, *(_how(value, DASH) for value in values)) for name, *values in paper.RESNET_110]
    for preset in ("paper", "paper-short"):
        if not (reference / preset / "figures" / "fig1_accuracy_summary.csv").is_file():
            rows.append((f"ours, preset `{preset}`", "not run", DASH, DASH))
            continue
        table = records.csv(reference / preset, "figures/fig1_accuracy_summary.csv")
        runs = table[(table["norm"] == "batch") & (table["alpha"] == ROLES["large"].paper.value)]
        accuracy = mean(100 * runs.loc[runs["failure"].isna(), "test_accuracy"], ".2f")
        name = f"ours, preset {records.named(reference, preset)}"
        rows.append((name, f"{accuracy} %", _listed(runs["epochs"]), str(len(runs))))
    head = ["ResNet-110, batch norm, α = 0.1", "test accuracy", "epochs", "seeds"]
    return markdown.table(pd.DataFrame(rows, columns=head))


def mean(values: pd.Series, form: str) -> str:
    """Mean and interval over seeds."""
    values = values.dropna()
    if values.empty:
        return DASH
    return markdown.number(values.mean(), mean_interval(values.to_numpy()), form)


def followups(reference: Path, *presets: str) -> str:
    """The predictions of later work (L1, …) with their verdicts, each from the record that says most about it."""
    judged = [records.claims(reference / preset, "followups.json") for preset in presets]
    named = [[claim | {"record": preset} for claim in claims] for preset, claims in zip(presets, judged, strict=True)]
    rows = []
    for claim in sorted(argument.best(named), key=lambda claim: claim["id"]):
        if not claim["id"].startswith("L"):
            continue
        ours = claim["note"] or DASH
        if claim["measured"] is not None:
            interval = markdown.ends(claim["interval"], "no interval")
            ours = f"{claim['measure']}: {plain(claim['measured'])} [{interval}], n = {claim['seeds']}"
        source = DASH if claim["verdict"] == NOT_RUN else records.named(reference, claim["record"])
        rows.append((claim["id"], claim["statement"], claim["source"], source, ours, claim["verdict"]))
    return markdown.table(pd.DataFrame(rows, columns=["#", "prediction", "source", "record", "ours", "verdict"]))
