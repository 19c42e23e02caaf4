"""Every measurement with options that it accepts, for several test modules."""

import importlib

import pytest
from pydantic import ValidationError

from understanding_bn.settings import Setting

# The fewest keys that each takes, and layers, whose default is for ResNet-110.
LEAST = {
    "gradient_histogram": {"layer": 5, "minibatches": 3},
    "relative_loss": {
        "alpha": {"default": 0.1},
        "minibatches": [1, 4],
        "smallest_step": 0.001,
        "largest_step": 1,
        "steps_per_decade": 8,
    },
    "divergence_path": {"alpha": 0.1, "layers": [2, 19], "percent_step": 10, "most_updates": 7, "site": "stream"},
    "channel_moments": {"layers": [1, 20]},
    "logit_gradients": {},
    "gradient_sums": {"layers": [4, 19]},
    "kernel_gradients": {"layer": 5},
    "input_mean_correlation": {},
    "gradient_noise": {"batch_sizes": [8, 64], "minibatches": 16, "alphas": [0.001, 0.1]},
    "max_learning_rate": {
        "batch_size": 8,
        "updates": 5,
        "smallest_alpha": 0.1,
        "largest_alpha": 1,
        "steps_per_decade": 1,
    },
    "jacobian_conditioning": {"networks": {"archs": ["plain-8"], "inits": ["fixup", "kaiming"]}, "batch_size": 8},
    "edge_of_stability": {
        "descents": [{"loss": "mse", "momentum": 0.9, "alphas": {"batch": [0.1], "default": [0.2, 0.1]}}],
        "updates": 4,
        "every": 2,
    },
    "noise_by_depth": {
        "networks": {"archs": ["plain-8"], "inits": ["fixup", "kaiming"]},
        "batch_size": 8,
        "minibatches": 3,
        "hessian_minibatches": 2,
    },
    "branch_variance": {"networks": {"archs": ["resnet-8"], "inits": ["fixup", "kaiming"]}, "batch_size": 8},
    "feature_rank": {"networks": {"archs": ["plain-8"], "inits": ["fixup", "kaiming"]}, "batch_size": 8},
    "gradient_correlation": {
        "networks": {"archs": ["plain-8"], "inits": ["fixup", "kaiming"]},
        "batch_size": 8,
        "minibatches": 2,
    },
    "initial_sharpness": {
        "networks": {"archs": ["plain-8"], "inits": ["fixup", "kaiming"]},
        "subset": 64,
        "batch_size": 8,
        "updates": 5,
        "smallest_alpha": 0.1,
        "largest_alpha": 1,
        "steps_per_decade": 1,
    },
    "effective_learning_rate": {
        "alphas": [0.1, 0.2],
        "weight_decays": [0.01, 0.02],
        "updates": 4,
        "batch_size": 8,
        "held_out": 20,
    },
    "gradient_structure": {"at": [0, 1], "minibatches": 2},
    "hessian_spectrum": {"at": [1], "subset": 64, "top": 1, "probes": 2, "steps": 15},
    "covariate_shift": {"at": [1]},
    "equivalent_schedule": {"alpha": 0.1, "weight_decay": 0.01, "updates": 4},
    "landscape_smoothness": {"at": [1], "minibatches": 2},
}
# Changes that make them quick.
QUICK = {
    "gradient_histogram": {"minibatches": 1},
    "divergence_path": {"layers": [2], "percent_step": 100, "most_updates": 1},
    "channel_moments": {"layers": [1]},
    "gradient_sums": {"layers": [4]},
    "gradient_noise": {"batch_sizes": [2, 3], "minibatches": 2},
    "max_learning_rate": {"updates": 2},
    "jacobian_conditioning": {"networks": {"archs": ["plain-8"], "inits": ["kaiming"]}, "batch_size": 2},
    "edge_of_stability": {"images": 10, "updates": 1, "every": 1},
    "noise_by_depth": {
        "networks": {"archs": ["plain-8"], "inits": ["kaiming"]},
        "minibatches": 2,
        "hessian_minibatches": 1,
    },
    "branch_variance": {"networks": {"archs": ["resnet-8"], "inits": ["kaiming"]}, "batch_size": 2},
    "feature_rank": {"networks": {"archs": ["plain-8"], "inits": ["kaiming"]}, "batch_size": 2},
    "gradient_correlation": {
        "networks": {"archs": ["plain-8"], "inits": ["kaiming"]},
        "batch_size": 2,
        "minibatches": 1,
        "steps": [0.5],
    },
    "initial_sharpness": {"subset": 8, "updates": 2},
    "effective_learning_rate": {"alphas": [0.1], "weight_decays": [0.01]},
    "hessian_spectrum": {"subset": 2, "probes": 1, "steps": 2},
    "covariate_shift": {"warm_up": 1, "updates": 1},
    "equivalent_schedule": {"updates": 1},
    "landscape_smoothness": {"minibatches": 1, "steps": 2},
}
CROSSED = (
    *("jacobian_conditioning", "noise_by_depth"),
    *("branch_variance", "feature_rank", "gradient_correlation"),
)  # have networks of their own, in float64
FLOAT64 = (*CROSSED, "equivalent_schedule", "landscape_smoothness")
OF_TRAINED = ("gradient_structure", "hessian_spectrum", "covariate_shift", "landscape_smoothness")
SETTING = Setting(images=1437, archs=("resnet-110", "resnet-20"), norms=("batch", "none"))


def module(name):
    return importlib.import_module(f"understanding_bn.measurements.{name}")


def options_class(name):
    return getattr(module(name), "".join(word.title() for word in name.split("_")))


def options(name, **changes):
    return options_class(name).model_validate(LEAST[name] | changes)


def refusal(name, **changes):
    """The places and kinds of the errors in a block."""
    with pytest.raises(ValidationError) as caught:
        options(name, **changes)
    return [(error["loc"], error["type"]) for error in caught.value.errors()]


def mistakes(name, setting=SETTING, **changes):
    return list(options(name, **changes).check(setting))
