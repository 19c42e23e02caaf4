"""Figures of measurements beyond the paper's, from values that some network has: all NaN, infinite, zero, or just one.

A figure is then drawn without a warning, or says in a sentence why it shows nothing.
"""

import importlib
import itertools
import math
import warnings

import extremes
import grids
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from singular import as_values
from test_branch_variance import rows_of as branches_of
from test_feature_rank import made_up as ranks_of
from test_gradient_correlation import made_up as correlations_of
from test_noise_by_depth_figure import rows_of

from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.stages import measure

NORMS, SEEDS = ("batch", "none"), (0, 1)
FACTS = {"dataset": "digits", "arch": "resnet-8", "init": "xavier_uniform", "batch_size": 8}
RANDOM = np.random.default_rng(0)


def table(values, **levels):
    """Every combination of the levels, of two norms and two seeds; positive random values."""
    levels = {"norm": NORMS, "seed": SEEDS} | levels
    index = pd.MultiIndex.from_product(levels.values(), names=[*levels]).to_frame(index=False)
    facts = {name: value for name, value in FACTS.items() if name not in levels}
    return index.assign(**{name: RANDOM.uniform(0.1, 2, len(index)) for name in values.split()}, **facts)


def histories(failure=None):
    cells = itertools.product(NORMS, (0.1, 0.01), (16, 64), SEEDS)
    rows = [grids.run(*cell, failure=failure, clean_train_accuracy=0.9, last_finite_loss=1.0) for cell in cells]
    return pd.DataFrame(rows).assign(first_absolute_step=None)


def structures(*epochs):
    cells = itertools.product(NORMS, (0.1, 0.01), (16, 64), SEEDS, epochs)
    rows = [grids.gradients(n, a if epoch else math.nan, b, s, epoch=epoch) for n, a, b, s, epoch in cells]
    return pd.DataFrame(list(itertools.chain(*rows))).drop_duplicates()


def spectra():
    cells = itertools.product(NORMS, (0.1, 0.01), (64,), SEEDS)
    rows = list(itertools.chain(*(grids.curvature(*cell) for cell in cells)))
    return pd.DataFrame(rows).assign(residual=0.0)


noise = table("noise update_noise", batch_size=(4, 8), alpha=(0.1, 1.0), sampling=("epoch", "replacement"))
noise = noise.assign(epoch=0, constant=noise["noise"] * noise["batch_size"], minibatches=4, images=64)
tried = table("", alpha=(0.1, 1.0), arch=("resnet-8", "resnet-20")).assign(updates=5, update=5)
tried["outcome"] = np.where(tried["alpha"] > 0.5, "diverged", "stable")
descents = table("training_loss sharpness", update=(0, 1, 2), alpha=(0.1, 0.2)).assign(
    loss="mse", momentum=0.0, failure=""
)
decays = table(
    "norm_before norm_after accuracy_before accuracy", alpha=(0.1, 0.4), weight_decay=(0.01, 0.04), norm=("batch",)
)
decays = decays.assign(momentum=0.9, updates=8, decayed="all", failure="")
archs = ("resnet-8", "plain-14")
jacobians = [as_values([4, 2, 1.0], norm=n, arch=a, seed=s) for n, a, s in itertools.product(NORMS, archs, SEEDS)]
depths = [rows_of(a, n, s) for a, n, s in itertools.product(archs, NORMS, SEEDS)]
depths = pd.DataFrame(list(itertools.chain(*depths)))
sharp = tried.merge(table("sharpness", arch=("resnet-8", "resnet-20"))[["norm", "seed", "arch", "sharpness"]])
sharp = sharp.assign(images=8, momentum=0.9)
shifts = table(
    "shift of_mean of_std dead",
    norm=("batch", "noisy-batch", "none"),
    fraction=(0.1, 1.0),
    layer=(2, 3),
).assign(arch="resnet-20", batch_size=64, alpha=0.1, epochs=20, bn_mode="train", update=1)
ends = [grids.run(*cell) for cell in itertools.product(("batch", "noisy-batch", "none"), (0.1,), (64,), SEEDS)]
schedules = table(
    "loss difference", update=(0, 1, 50), broken=("nothing", "epsilon"), alpha=(0.1,), weight_decay=(0.01,)
)
sizes = {"at_loss": (np.nan, 1.0), "minibatch": (1, 2), "step_size": (0.0, 0.05, 0.4)}
landscape = table("loss gradient_norm gradient_distance", arch=("resnet-20",), batch_size=(64,), alpha=(0.1,), **sizes)
landscape = landscape.assign(epochs=20, epoch=5, fraction=0.25, bn_mode="train")
correlated = table("input_mean gradient", layer=(2, 3), in_channel=range(4))
sums = {"gradient_sums": table("a b ratio", layer=(18, 54))}
branches = [branches_of("resnet-26", n, s) for n, s in itertools.product(NORMS, SEEDS)]
branches = pd.DataFrame(list(itertools.chain(*branches)))
trained = {"histories": histories()}
ghosts = {"histories": histories().replace({"norm": {"none": "ghost-8"}})}
reached = pd.concat([structures(0).assign(at_loss=np.nan), structures(20).assign(at_loss=1.0, fraction=np.nan)])
# By test: the figure, its tables, and the columns that hold the measured values.
SHOWN = {
    "input_mean_correlation": (None, {"input_mean_correlation": correlated}, ["input_mean", "gradient"]),
    "max_learning_rate": (None, {"max_learning_rate": tried}, []),
    "jacobian_conditioning": (None, {"jacobian_conditioning": pd.concat(jacobians)}, ["singular_value"]),
    "noise_by_depth": (None, {"noise_by_depth": depths}, ["value"]),
    "branch_variance": (None, {"branch_variance": branches}, ["branch_variance", "stream_variance", "stream_square"]),
    "feature_rank": (None, {"feature_rank": ranks_of()}, ["singular_value"]),
    "gradient_correlation": (None, {"gradient_correlation": correlations_of()}, ["correlation"]),
    "gradient_noise": (None, {"gradient_noise": noise}, ["noise", "update_noise", "constant"]),
    "edge_of_stability": (None, {"edge_of_stability": descents}, ["training_loss", "sharpness"]),
    "initial_sharpness": (None, {"initial_sharpness": sharp}, ["sharpness"]),
    "equivalent_schedule": (None, {"equivalent_schedule": schedules}, ["loss", "difference"]),
    "landscape_smoothness": (
        None,
        trained | {"landscape_smoothness": landscape},
        ["loss", "gradient_norm", "gradient_distance"],
    ),
    "effective_learning_rate": (
        None,
        {"effective_learning_rate": decays},
        ["norm_before", "norm_after", "accuracy_before", "accuracy"],
    ),
    "readings": (None, sums, ["a", "b", "ratio"]),
    "single_final_bn": (None, trained, ["test_accuracy"]),
    "other_norms": (None, trained, ["test_accuracy"]),
    "alpha_batch_grid": (None, trained | {"gradient_structure": structures(20)}, ["test_accuracy", "value"]),
    "batch_size_roles": (None, ghosts, ["test_accuracy"]),
    "hessian_spectrum": (None, trained | {"hessian_spectrum": spectra()}, ["value"]),
    "noise_by_architecture": (
        None,
        trained | {"gradient_structure": structures(0, 20), "hessian_spectrum": spectra()},
        ["value"],
    ),
    "noise_at_losses": (None, trained | {"gradient_structure": reached}, ["value"]),
    "noise_along_training": (None, trained | {"gradient_structure": structures(0, 20)}, ["value"]),
    "covariate_shift": (None, {"histories": pd.DataFrame(ends), "covariate_shift": shifts}, ["shift"]),
    "along two": ("noise_along_training", trained | {"gradient_structure": structures(0, 10, 20)}, ["value"]),
}
SLOWER = ("infinite", "zero", "some of each", "one norm NaN", "one norm infinite", "one row")
CASES = ("NaN", "no rows", *(pytest.param(case, marks=pytest.mark.slow) for case in SLOWER))
MIXED = (np.nan, np.inf, 0.0, 1e-30, 1e30, -1.0, 1.0)
OF_TRAINED = ("gradient_structure", "hessian_spectrum", "covariate_shift", "landscape_smoothness")
# With the values of one norm alone there is no other network to compare it with, or none that was measured.
WITH_ONE_NORM = ("noise_by_architecture", "batch_size_roles", "effective_learning_rate")


def changed(name, values, columns, case):
    """The table in which these columns are all of the case's kind, or those of one norm."""
    if case == "no rows":
        return histories("overflow") if name == "histories" else measure.no_rows(name, name in OF_TRAINED)
    if case == "one row":
        return values.head(1)
    return extremes.replaced(values, set(columns) & set(values), case, MIXED)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SHOWN)
def test_extreme_values_are_shown_or_are_said_to_be_nothing_to_show(name, case):
    figure, tables, columns = SHOWN[name]
    module = importlib.import_module(f"understanding_bn.figures.{figure or name}")
    given = {key: changed(key, values, columns, case) for key, values in tables.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            shown, _ = (module.tabulate if name == "readings" else module.draw)(**given)
        except NothingToShow as nothing:
            assert not case.startswith("one norm") or name in WITH_ONE_NORM
            assert str(nothing).endswith(".")
            assert module.COLUMNS
            return
    counted = name in ("single_final_bn", "other_norms")  # failures are what they show
    assert case != "no rows" or counted
    if name != "readings":
        shown.set_layout_engine("none")
        shown.canvas.draw()
        plt.close(shown)
