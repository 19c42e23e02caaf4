"""The paper's values in figures: with their origin, at its scale, and nowhere else."""

import drawn
import pandas as pd
import pytest
from made_up import PAPER, history, moments_table

from understanding_bn import paper
from understanding_bn.figures import fig1_accuracy, fig5_channel_moments, paper_curves, style


def test_fig1_has_the_papers_curves_below_ours_at_its_scale():
    cells = [history("batch", 0.1, [0.9]), history("none", 0.0001, [0.8]), history("batch", 0.0001, [0.8])]
    values = pd.concat([*cells, history("none", 0.1, [0.1])], ignore_index=True).assign(**PAPER)
    figure, tables = fig1_accuracy.draw(values)
    published = pd.read_csv(paper.CURVES, comment="#", keep_default_na=False)
    for ax, split in zip(figure.axes[:2], ("train", "test"), strict=True):
        ours = [line for line in ax.get_lines() if line.get_linestyle() == "-"]
        theirs = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
        assert max(line.get_zorder() for line in theirs) < min(line.get_zorder() for line in ours)
        shown = [("batch", 0.0001), ("batch", 0.1), ("none", 0.0001)]
        assert [line.get_color() for line in theirs] == [style.COLOURS[norm] for norm, _ in shown]
        for (norm, alpha), line in zip(shown, theirs, strict=True):
            rows = published[published["split"].eq(split) & published["norm"].eq(norm) & published["alpha"].eq(alpha)]
            assert len(rows) > 20
            assert line.get_xdata().tolist() == rows["percent"].tolist()
            assert line.get_ydata().tolist() == rows["accuracy"].tolist()
            (same,) = (
                own for own in ours if own.get_marker() == line.get_marker() and own.get_color() == line.get_color()
            )
            assert same.get_xdata().tolist() == [50, 100]
    named = [text for text in drawn.legends(figure) if "(" in text]
    assert named == ["curve, paper (digitised)", "end, paper (digitised)"]
    assert sorted(ends_of_paper(figure)) == [(0.0001, 81.3), (0.0001, 82.0), (0.1, 93.3)]
    assert tables["paper"]["paper_origin"].eq("digitised").all()


def ends_of_paper(figure):
    """(α, rounded accuracy) of the paper's final accuracies in the right-hand panel."""
    ax = figure.axes[2]
    alphas = [float(label.get_text()) for label in ax.get_xticklabels()]
    marks = [line for line in ax.get_lines() if line.get_marker() in paper_curves.SHAPES.values()]
    return [(alphas[round(line.get_xdata()[0])], round(line.get_ydata()[0], 1)) for line in marks]


def test_fig1_has_what_is_known_by_its_end_alone_with_its_origin():
    figure, tables = fig1_accuracy.draw(history("batch-final", 0.03, [0.9]).assign(**PAPER))
    assert ends_of_paper(figure) == [(0.03, 90.1)]
    assert [text for text in drawn.legends(figure) if "(" in text] == ["end, paper (recalled)"]
    assert tables["paper"]["paper_origin"].tolist() == ["recalled"]


@pytest.mark.parametrize(
    "changes",
    [{"dataset": "digits"}, {"dataset": "cifar10-0123abcd-train10000"}, {"arch": "resnet-20"}, {"alpha": 0.3}],
)
def test_fig1_has_nothing_of_the_paper_at_another_scale_or_learning_rate(changes):
    values = pd.concat([history("batch", 0.1, [0.9]), history("none", 0.1, [0.8])], ignore_index=True)
    figure, tables = fig1_accuracy.draw(values.assign(**PAPER | changes))
    assert "--" not in {line.get_linestyle() for ax in figure.axes for line in ax.get_lines()}
    assert ends_of_paper(figure) == []
    assert "paper" not in " ".join(drawn.legends(figure))
    assert set(tables) == {"", "summary"}


@pytest.mark.parametrize(("changes", "marks"), [({}, 4), ({"dataset": "digits"}, 0), ({"batch_size": 64}, 0)])
def test_the_papers_values_are_drawn_only_at_its_scale(changes, marks):
    figure, tables = fig5_channel_moments.draw(moments_table().assign(**PAPER | changes))
    labels = [line.get_label() for ax in figure.axes for line in ax.get_lines()]
    assert sum("paper (digitised)" in str(label) for label in labels) == marks
    assert sum("paper" in str(label) for label in labels) == marks
    assert (tables["summary"]["paper_origin"] == "digitised").all() == bool(marks)
    assert tables["summary"]["rms_distance_from_paper"].notna().all() == bool(marks)
