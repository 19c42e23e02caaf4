"""Weight decay as an effective learning rate: what is compared, its claim and its figure, on made-up runs."""

import itertools

import drawn
import evidence
import numpy as np
import pandas as pd
import pytest

from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, OPPOSITE, REFUTED, REPRODUCED
from understanding_bn.figures import effective_learning_rate as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries import effective_learning_rate as summary

ALPHAS, DECAYS, SEEDS = (0.02, 0.08, 0.32), (0.001, 0.004, 0.016), (1, 2, 3)
FACTS = {"dataset": "digits", "arch": "resnet-8", "init": "xavier_uniform", "norm": "batch", "batch_size": 64}
LOST = ["failure", "accuracy_before", "accuracy", "norm_before", "norm_after"]
FACTS |= {"momentum": 0.9, "updates": 100, "bn_mode": "eval", "failure": ""}


def made_up(of_decay=1.0, slope=1.0, kinds=("all",), **changes):
    """Accuracy linear in log4 α + e · log4 λ and ‖w‖⁴ = αλ (α/λ)^slope; the largest λ has not settled."""
    rows = []
    for kind, alpha, decay, seed in itertools.product(kinds, ALPHAS, DECAYS, SEEDS):
        noise = 1e-4 * ((seed * int(1e3 * (alpha + decay))) % 7)
        accuracy = 0.5 + 0.02 * np.emath.logn(4, alpha * decay**of_decay) + noise
        end = (alpha * decay * (alpha / decay) ** (slope + 0.01 * seed)) ** 0.25
        row = FACTS | {"decayed": kind, "alpha": alpha, "weight_decay": decay, "seed": seed}
        row |= {"accuracy": accuracy, "accuracy_before": accuracy - 0.003}
        rows.append(row | {"norm_before": end * (1.1 if decay == DECAYS[-1] else 1.04), "norm_after": end} | changes)
    return pd.DataFrame(rows)


def judged(folder, rows):
    return evidence.judged(folder, evidence.measured_at_start(folder, "effective_learning_rate", rows))["Ee"]


def test_neighbours_share_a_product_or_one_of_its_factors():
    equal, unequal = summary.neighbours(made_up())
    assert len(equal) == 4 and len(unequal) == 12
    assert all(a[0] * a[1] == pytest.approx(b[0] * b[1]) and b[0] == 4 * a[0] for a, b in equal)
    assert all((a[0] == b[0]) != (a[1] == b[1]) for a, b in unequal)


def test_a_run_has_settled_where_its_norm_hardly_changes():
    table = summary.runs(made_up())
    assert set(table.loc[table["weight_decay"] == DECAYS[-1], "outcome"]) == {summary.UNSETTLED}
    assert set(table.loc[table["weight_decay"] != DECAYS[-1], "outcome"]) == {summary.SOUND}
    assert table["product"].nunique() == table["ratio"].nunique() == 5
    failed = summary.runs(made_up(failure="diverged"))
    assert set(failed["outcome"]) == {"diverged"}


def test_the_slope_does_not_depend_on_what_the_product_does():
    """Here ‖w‖⁴ is also proportional to αλ, and of the largest λ nothing has settled."""
    assert summary.slopes(summary.runs(made_up())).to_dict() == pytest.approx({1: 1.01, 2: 1.02, 3: 1.03})
    settled = made_up().assign(norm_before=lambda rows: rows["norm_after"])
    assert summary.slopes(summary.runs(settled)).to_dict() == pytest.approx({1: 1.01, 2: 1.02, 3: 1.03})
    few = settled[settled["alpha"] * settled["weight_decay"] < 5e-5]
    assert summary.slopes(summary.runs(few)).isna().all(), "one ratio is no line"


@pytest.mark.parametrize(
    ("of_decay", "slope", "verdicts"),
    [
        (1.0, 1.0, [REPRODUCED] * 3),
        (0.5, 1.0, [REFUTED, REPRODUCED, REPRODUCED]),
        (-1.0, 1.0, [OPPOSITE, REPRODUCED, REPRODUCED]),
        (1.0, 0.5, [REPRODUCED, REFUTED, REPRODUCED]),
        (1.0, 1.5, [REPRODUCED, REPRODUCED, REFUTED]),
    ],
)
def test_accuracy_and_norm_follow_the_effective_learning_rate_or_not(tmp_path, of_decay, slope, verdicts):
    """Where α alone changes, accuracy changes by 2 points, where λ alone does by 2|e|, on the diagonal by 2|1 − e|."""
    rows = made_up(of_decay, slope).assign(norm_before=lambda rows: rows["norm_after"])
    claim = judged(tmp_path, rows)
    assert [check["verdict"] for check in claim["checks"]] == verdicts
    assert claim["verdict"] == next((verdict for verdict in verdicts if verdict != REPRODUCED), REPRODUCED)
    expected = 2 * abs(1 - of_decay) / (1 + abs(of_decay))
    assert claim["checks"][0]["measured"] == pytest.approx(expected, abs=0.05)
    assert claim["checks"][1]["measured"] == pytest.approx(slope + 0.02)


def test_runs_that_failed_or_have_not_settled_are_counted_and_left_out(tmp_path):
    rows = made_up()
    lost = (rows["alpha"] == ALPHAS[0]) & (rows["weight_decay"] == DECAYS[0]) & (rows["seed"] == 1)
    rows.loc[lost, LOST] = ["diverged", *[np.nan] * 4]
    first, low, _ = judged(tmp_path / "all", rows)["checks"]
    assert "4 pairs of equal αλ over 12 of unequal (2 of 48 differences have a run that failed)" in first["name"]
    assert "all parameters decayed (17 of 27 runs, 9 not settled, 1 diverged)" in low["name"]
    claim = judged(tmp_path / "nobody", made_up(norm_before=np.inf))
    assert claim["verdict"] == INCONCLUSIVE and claim["checks"][0]["verdict"] == REPRODUCED
    two = judged(tmp_path / "two", made_up(kinds=("all", "kernels")))
    assert len(two["checks"]) == 6 and "only kernels decayed" in two["checks"][3]["name"]


def test_a_claim_about_products_needs_some_that_repeat(tmp_path):
    claim = judged(tmp_path, made_up().query("alpha == 0.02"))
    assert claim["verdict"] == NOT_RUN and "some of the same αλ" in claim["note"]


def test_a_row_for_each_set_of_decayed_parameters_with_accuracy_and_norm():
    rows = made_up(kinds=("all", "kernels"))
    lost = (rows["alpha"] == ALPHAS[0]) & (rows["weight_decay"] == DECAYS[0]) & (rows["decayed"] == "all")
    rows.loc[lost, LOST] = ["diverged", *[np.nan] * 4]
    shown, tables = figure.draw(rows)
    assert len(shown.axes) == 4
    for row, kind in enumerate(("all", "kernels")):
        left, right = shown.axes[2 * row : 2 * row + 2]
        of_kind = rows[(rows["decayed"] == kind) & (rows["failure"] == "")]
        means = 100 * of_kind.groupby("weight_decay")["accuracy"].mean()
        assert np.mean(drawn.lines(left)[0][1]) == pytest.approx(means.iloc[0])
        norms = np.concatenate(
            [line.get_ydata() for line in right.get_lines() if line.get_marker() not in ("None", "")]
        )
        assert len(norms) == len(of_kind)
        open_markers = [line for line in right.get_lines() if line.get_markerfacecolor() == "white"]
        assert sum(len(line.get_xdata()) for line in open_markers) == 9, "those of the largest λ"
    crosses = [line for line in shown.axes[0].get_lines() if line.get_marker() == "x"]
    assert sum(len(line.get_xdata()) for line in crosses) == 3
    assert {"λ = 0.001", "not settled", "one that failed"} <= set(drawn.legends(shown))
    assert list(tables[""]) == figure.COLUMNS and len(tables[""]) == 54
    assert tables["summary"]["settled"].tolist() == [5] * 3 + [6] * 3


def test_the_summary_is_what_the_claim_is_judged_on():
    table = summary.by_seed(made_up())
    assert table["equal"].to_numpy() == pytest.approx(0, abs=0.05)
    assert table["fluctuation"].to_numpy() == pytest.approx(0.3)
    assert table["unequal"].to_numpy() == pytest.approx(2, abs=0.05)
    assert table[["settled", "not_settled", "failed"]].to_numpy().tolist() == [[6, 3, 0]] * 3


def test_nothing_is_shown_where_every_run_failed():
    with pytest.raises(NothingToShow):
        figure.draw(made_up(failure="stuck at chance"))
