"""Every measurement on networks whose weights are NaN, infinite, zero, or so large that something overflows.

Such a network has its full table. What cannot be computed of it is NaN: no exception, no warning, no made-up number.
"""

import math
import warnings

import numpy as np
import pytest
import torch
from contexts import context_of
from measuring import LEAST, QUICK, module, options

WEIGHTS = {
    "NaN": lambda tensor: torch.full_like(tensor, math.nan),
    "infinite": lambda tensor: torch.full_like(tensor, math.inf),
    "1e30": lambda tensor: tensor * 1e30,  # times one another, more than float32 can hold
    "zero": torch.zeros_like,
    "1e-30": lambda tensor: tensor * 1e-30,
}
# By measurement: its values, and the columns that tell one row of a network from another.
VALUES = {
    "gradient_histogram": ["gradient"],
    "relative_loss": ["loss", "relative_loss"],
    "divergence_path": ["mean", "variance", "loss"],
    "channel_moments": ["mean", "variance"],
    "logit_gradients": ["gradient"],
    "gradient_sums": ["a", "b", "ratio"],
    "kernel_gradients": ["gradient", "magnitude"],
    "input_mean_correlation": ["input_mean", "gradient"],
    "gradient_noise": ["noise", "constant", "log_noise_error", "update_noise"],
    "max_learning_rate": [],
    "jacobian_conditioning": ["singular_value"],
    "edge_of_stability": ["training_loss", "sharpness"],
    "noise_by_depth": ["value"],
    "branch_variance": ["branch_variance", "stream_variance", "branch_square", "stream_square"],
    "feature_rank": ["singular_value"],
    "gradient_correlation": ["correlation", "standard_error"],
    "initial_sharpness": ["sharpness"],
    "effective_learning_rate": ["norm_before", "norm_after", "accuracy_before", "accuracy"],
    "gradient_structure": ["value"],
    "hessian_spectrum": ["value", "weight", "residual"],
    "covariate_shift": ["shift", "of_mean", "of_std"],
    "equivalent_schedule": ["loss", "difference"],
    "landscape_smoothness": ["loss", "gradient_norm", "gradient_distance"],
}
# Each ends where nothing is left to follow: a curve, a search, a descent, Lanczos' steps.
SHORTER = ("relative_loss", "max_learning_rate", "edge_of_stability", "initial_sharpness", "hessian_spectrum")
SIZES = ("full_rank", "signal_minibatches")  # quantities of gradient_structure that no weight changes
QUICKEST = {("none", "1e30", name) for name in LEAST if name not in (*SHORTER[2:], "noise_by_depth")}
CASES = [
    pytest.param(norm, kind, name, marks=[] if (norm, kind, name) in QUICKEST else pytest.mark.slow)
    for name in LEAST
    for norm in ("none", "batch")
    for kind in WEIGHTS
]


def network(context, norm, kind):
    """The context with the initial weights of seed 0 changed; running moments stay."""
    model = context.model(norm, 0)
    changed = {name: WEIGHTS[kind](tensor).detach() for name, tensor in model.named_parameters()}
    return context.of(model.state_dict() | changed, rate=0.1)


@pytest.mark.parametrize(("norm", "kind", "name"), CASES)
def test_a_network_that_is_not_finite_has_its_table_and_nans(norm, kind, name, digits):
    arch = "resnet-8" if name == "branch_variance" else "plain-8"  # which has no branches
    context = context_of(digits, arch=arch, batch_size=4)
    opts = options(name, **QUICK.get(name, {}) | ({"samples": 2} if name == "gradient_structure" else {}))
    sound = module(name).measure(context.of(context.model(norm, 0).state_dict(), rate=0.1), norm, 0, opts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = module(name).measure(network(context, norm, kind), norm, 0, opts)
    assert dict(table.dtypes) == dict(sound.dtypes)
    if name not in SHORTER:
        assert len(table) == len(sound)
    elif name == "hessian_spectrum":
        assert set(table["kind"]) == {"top", "bottom", "node", "trace"}
    values = table.loc[~table["quantity"].isin(SIZES) if "quantity" in table else slice(None), VALUES[name]]
    if kind in ("NaN", "infinite"):
        assert values.isna().all(axis=None)
        assert name != "max_learning_rate" or set(table["outcome"]) == {"diverged"}
    if kind != "1e30":
        assert not np.isinf(values).any(axis=None)
