"""Final test accuracy against the learning rate: batch norm, and scalars on the residual branches in its place."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import accuracy_ends, keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, data, initialisation, network, seeds_of
from understanding_bn.summaries.replacing_batch_norm import BATCH, FIXUP, NONE, SCALED, SKIPINIT, by_alpha, variants
from understanding_bn.summaries.training import CELL, last_rows

COLUMNS = ["variant", *CELL, "seed", "validation_accuracy", "test_accuracy", "failure"]
COLOURS = {
    BATCH: style.COLOURS["batch"],
    SKIPINIT: "#009E73",
    FIXUP: "#E69F00",
    SCALED: "#CC79A7",
    NONE: style.COLOURS["none"],
}
FAILED = {"×": "diverged", "+": "at chance"}  # what accuracy_ends has its marks for


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A marker per variant and α at the mean of the sound seeds, a dash per seed; below, how many seeds failed.

    The summary has each variant's means at every α, and which α its own choice is.

    Raises:
        NothingToShow: SkipInit was not trained at a learning rate that the others share.
    """
    last = variants(last_rows(histories))
    if last.empty:
        raise NothingToShow("No learning rate was trained with SkipInit and with all that it is compared with.")
    last = last.reindex(columns=COLUMNS).sort_values(["variant", "alpha", "seed"])
    present = [variant for variant in COLOURS if variant in set(last["variant"])]
    palette = {variant: COLOURS[variant] for variant in present}
    alphas = sorted(last["alpha"].unique())
    # The panel of other figures takes norms: here a variant is one.
    ends = last.assign(norm=last["variant"])
    figure, ax = plt.subplots(figsize=(0.75 * style.WIDTH, 3.5))
    failures = accuracy_ends.failures(ends)
    sound = 100 * last.loc[last["failure"].isna(), "test_accuracy"].dropna().astype(float)
    accuracy_ends.magnify(ax, sound, len(failures))
    accuracy_ends.draw(ax, ends, accuracy_ends.places(present, alphas), palette, dict.fromkeys(alphas, "o"))
    ax.set(xlim=(-0.6, len(alphas) - 0.4), xlabel="learning rate α", ylabel="final test accuracy (%)")
    ax.set_xticks(range(len(alphas)), [plain(alpha) for alpha in alphas])
    facts = last[last["variant"] == SKIPINIT].iloc[0]
    setting = f"{network(facts['arch'])}, {initialisation(facts['init'])}, B = {facts['batch_size']}"
    length = count(int(facts["epochs"]), "epoch")
    ax.set_title(f"{setting}, {length} of {data(histories['dataset'].iloc[0])}")
    marks: keys.Group = {
        f"mean of {seeds_of(last, CELL)}": keys.marker("o"),
        "one seed": keys.marker("_", markersize=5),
    }
    found = {text[0] for texts in failures.values() for one in texts.values() for text in one.split()}
    lost: keys.Group = {f"{mark}n: n {text}": keys.line(linestyle="") for mark, text in FAILED.items() if mark in found}
    lines: keys.Group = {
        _name(variant): keys.line(color=colour, marker="o", markersize=4, linewidth=1.6)
        for variant, colour in palette.items()
    }
    keys.key(figure, {"in the network": lines, "marks": marks, "failed seeds": lost}, columnspacing=1.2)
    return figure, {"": last, "summary": by_alpha(histories)}


def _name(variant: str) -> str:
    return {BATCH: style.label("batch"), NONE: style.label("none"), SCALED: "branches × 1/√blocks"}.get(
        variant, variant
    )
