"""A figure or table that has nothing to show: one sentence in its place."""

import textwrap
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

KEYWORD = "nothing_to_show"  # of the text in a PNG that holds the sentence
MOST = 70  # characters in a line of the picture


class NothingToShow(Exception):
    """A figure's or table's rows hold nothing that it could show; the message is one sentence that tells a reader why.

    `drawing.draw` then writes that sentence in the figure's place, and a CSV with its columns and no rows.
    """


def picture(sentence: str) -> Figure:
    """The sentence by itself, small and plain."""
    lines = textwrap.wrap(sentence, MOST)
    figure = Figure(figsize=(4.5, 0.25 + 0.17 * len(lines)))
    figure.text(0.02, 0.5, "\n".join(lines), fontsize=8, va="center", color="0.3")
    return figure


def sentence_in(png: Path) -> str | None:
    """The sentence that stands in a figure's place, from its PNG; None if the figure was drawn."""
    with Image.open(png) as image:
        return getattr(image, "text", {}).get(KEYWORD)
