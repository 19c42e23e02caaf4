"""Final test accuracy against α for several norms: what `single_final_bn` and `other_norms` share."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import accuracy_ends, keys, paper_curves, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import seeds_of
from understanding_bn.summaries.training import CELL, endings

COLUMNS = [*CELL, "seed", "test_accuracy", "failure"]
FAILED = {"×": "diverged", "+": "at chance"}  # what accuracy_ends has its marks for


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A marker per norm and α at the mean of the sound seeds, a dash per seed; below, how many seeds failed.

    A seed that diverged has no accuracy, and one that stayed at chance no meaningful one: both are counted instead, and
    the CSV has them with their failure.

    Raises:
        NothingToShow: no run has an accuracy, and none has failed.
    """
    last = endings(histories)[COLUMNS]
    if last["test_accuracy"].isna().all() and last["failure"].isna().all():
        raise NothingToShow("No run has a final test accuracy.")
    norms = style.ordered(last["norm"])
    palette = style.colours(norms)
    at_scale = paper.is_scale_of(histories)
    published = {
        (norm, alpha): share for (norm, alpha), share in paper.FINAL_TEST_ACCURACY.items() if norm in norms and at_scale
    }
    alphas = sorted({*last["alpha"], *(alpha for _, alpha in published)})
    places = accuracy_ends.places(norms, alphas)
    figure, ax = plt.subplots(figsize=(0.62 * style.WIDTH, 3.3))
    sound = 100 * last.loc[last["failure"].isna(), "test_accuracy"].dropna().astype(float)
    theirs = pd.Series([100 * share.value for share in published.values()], dtype=float)
    accuracy_ends.magnify(ax, pd.concat([sound, theirs]), len(accuracy_ends.failures(last)))
    accuracy_ends.draw(ax, last, places, palette, dict.fromkeys(alphas, "o"))
    for (norm, alpha), share in published.items():
        look = paper_curves.OPEN | {"marker": paper_curves.SHAPES[share.origin], "color": palette[norm]}
        ax.plot(places[norm, alpha], 100 * share.value, linestyle="", **look)
    ax.set(xlim=(-0.6, len(alphas) - 0.4), xlabel="learning rate α", ylabel="final test accuracy (%)")
    ax.set_xticks(range(len(alphas)), [plain(alpha) for alpha in alphas])
    _key(figure, last, palette, {share.origin for share in published.values()})
    return figure, {"": last}


def _key(figure: Figure, last: pd.DataFrame, palette: dict[str, str], origins: set[paper.Origin]) -> None:
    """Colours are norms; what the marks and the counts are."""
    marks: keys.Group = {
        f"mean of {seeds_of(last, CELL)}": keys.marker("o"),
        "one seed": keys.marker("_", markersize=5),
    }
    marks |= {style.paper(origin): keys.marker(paper_curves.SHAPES[origin], **paper_curves.OPEN) for origin in origins}
    found = {
        text[0] for texts in accuracy_ends.failures(last).values() for one in texts.values() for text in one.split()
    }
    counts: keys.Group = {
        f"{mark}n: n {text}": keys.line(linestyle="") for mark, text in FAILED.items() if mark in found
    }
    norms = keys.norms(palette, marker="o", markersize=4)
    keys.key(figure, {"norm": norms, "marks": marks, "failed seeds": counts}, columnspacing=1.2)
