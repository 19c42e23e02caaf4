"""Final test accuracy against the learning rate for several norms: two figures that share their drawing."""

import drawn
import pandas as pd
import pytest
from made_up import PAPER, history

from understanding_bn.figures import other_norms, single_final_bn


@pytest.mark.parametrize("module", [single_final_bn, other_norms])
def test_failures_are_counted_and_the_others_averaged(module):
    values = pd.concat(
        [
            history("batch", 0.1, [0.9, 0.8]),
            history("none", 0.1, [None, None]),
            history("none", 0.01, [0.7, None]),
            history("layer", 0.01, [0.1, 0.1], failure="stuck at chance"),
        ]
    )
    figure, tables = module.draw(values)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.01", "0.1"]
    assert drawn.markers(ax, "batch")[:, 1] == pytest.approx([85])
    assert sorted(drawn.markers(ax, "batch", "_")[:, 1]) == pytest.approx([80, 90])
    assert drawn.markers(ax, "none")[:, 1] == pytest.approx([70])
    assert len(drawn.markers(ax, "layer")) == 0, "an accuracy at chance means nothing"
    assert sorted(text.get_text() for text in ax.texts) == ["+2", "×1", "×2"]
    low, high = ax.get_xlim()
    assert all(low < text.get_position()[0] < high for text in ax.texts), "no label past the axis"
    assert {"×n: n diverged", "+n: n at chance"} <= set(drawn.legends(figure))
    assert len(tables[""]) == 8
    assert tables[""]["failure"].notna().sum() == 5


@pytest.mark.parametrize("module", [single_final_bn, other_norms])
def test_the_papers_values_have_their_origin_and_stand_at_its_scale_alone(module):
    norms = {"batch": 0.1, "batch-final": 0.03, "layer": 0.1}
    values = pd.concat([history(norm, alpha, [0.9]) for norm, alpha in norms.items()], ignore_index=True)
    figure, _ = module.draw(values.assign(**PAPER))
    assert {text for text in drawn.legends(figure) if "paper" in text} == {"paper (digitised)", "paper (recalled)"}
    marks = [line for line in figure.axes[0].get_lines() if line.get_markerfacecolor() == "white"]
    heights = sorted(float(line.get_ydata()[0]) for line in marks if line.get_color() == marks[0].get_color())
    assert heights == pytest.approx([81.3, 90.45, 93.26]), "batch norm, at learning rates that we have not trained, too"
    assert "paper" not in " ".join(drawn.legends(module.draw(values)[0]))
