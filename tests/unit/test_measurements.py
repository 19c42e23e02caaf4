"""The files of measurements: each has its options, bounds and columns."""

import inspect
import pkgutil
import subprocess
import sys

import pandas as pd
import pytest
from contexts import context_of
from measuring import FLOAT64, LEAST, OF_TRAINED, QUICK, module, options, options_class, refusal
from pydantic import ValidationError

from understanding_bn import measurements, settings
from understanding_bn.settings import Initial, Trained
from understanding_bn.stages import measure


def test_every_file_has_its_options_and_its_function():
    names = {info.name for info in pkgutil.iter_modules(measurements.__path__)}
    assert names == set(LEAST)
    for name in names:
        kinds = {cls for cls in (Initial, Trained) if issubclass(options_class(name), cls)}
        assert kinds == {Trained if name in OF_TRAINED else Initial}
        assert list(inspect.signature(module(name).measure).parameters) == ["context", "norm", "seed", "options"]
        assert getattr(module(name), "DTYPE", "float32") == ("float64" if name in FLOAT64 else "float32")


SLOW = ("jacobian_conditioning", "edge_of_stability", "noise_by_depth", "initial_sharpness", "hessian_spectrum")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in LEAST])
def test_declared_columns_are_those_of_the_table(name, digits):
    """So that the table of networks of which none could be measured has them, too."""
    context = context_of(digits, batch_size=4)
    table = module(name).measure(context, "none", 0, options(name, **QUICK.get(name, {})))
    declared = pd.DataFrame({column: pd.Series(dtype=dtype) for column, dtype in module(name).COLUMNS.items()})
    assert dict(declared.dtypes) == dict(table.dtypes)
    for trained in (False, True):
        whole = measure.no_rows(name, trained)
        assert len(whole) == 0
        assert dict(whole.dtypes).items() >= dict(table.dtypes).items()
        assert ("fraction" in whole) == trained


def test_reading_options_imports_nothing_heavy():
    lines = ["import importlib, pkgutil, sys", "from understanding_bn import measurements"]
    lines += ["for info in pkgutil.iter_modules(measurements.__path__):"]
    lines += ["    importlib.import_module(f'understanding_bn.measurements.{info.name}')"]
    lines += ["print(*{'torch', 'pandas', 'numpy', 'scipy', 'matplotlib', 'snakemake'} & sys.modules.keys())"]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", LEAST)
def test_every_key_is_needed_and_described_and_no_other_is_known(name):
    options(name)
    for key in LEAST[name].keys() - set(settings.LAYERS):
        with pytest.raises(ValidationError) as caught:
            options_class(name).model_validate({k: v for k, v in LEAST[name].items() if k != key})
        assert [(error["loc"], error["type"]) for error in caught.value.errors()] == [((key,), "missing")]
    assert refusal(name, layres=3) == [(("layres",), "extra_forbidden")]
    assert options_class(name).__doc__
    assert all(field.description for field in options_class(name).model_fields.values())


@pytest.mark.parametrize(
    ("name", "key", "least", "most"),
    [
        ("gradient_histogram", "layer", 1, 100_000),
        ("gradient_histogram", "minibatches", 1, 10_000),
        ("relative_loss", "steps_per_decade", 1, 1000),
        ("divergence_path", "most_updates", 1, 100_000),
        ("kernel_gradients", "layer", 1, 100_000),
        ("gradient_noise", "minibatches", 2, 100_000),
        ("max_learning_rate", "batch_size", 2, 1_000_000),
        ("max_learning_rate", "updates", 2, 100_000),
        ("max_learning_rate", "steps_per_decade", 1, 100),
        ("jacobian_conditioning", "images", 1, 1_000_000),
        ("noise_by_depth", "batch_size", 2, 1_000_000),
        ("noise_by_depth", "minibatches", 2, 100_000),
        ("noise_by_depth", "hessian_minibatches", 1, 100_000),
        ("branch_variance", "batch_size", 2, 1_000_000),
        ("feature_rank", "batch_size", 2, 1_000_000),
        ("gradient_correlation", "minibatches", 1, 100_000),
        ("initial_sharpness", "subset", 2, 1_000_000),
        ("effective_learning_rate", "updates", 4, 1_000_000),
        ("effective_learning_rate", "batch_size", 2, 1_000_000),
        ("effective_learning_rate", "held_out", 1, 1_000_000),
        ("gradient_structure", "minibatches", 2, 100_000),
        ("gradient_structure", "samples", 0, 100_000),
        ("hessian_spectrum", "subset", 2, 1_000_000),
        ("hessian_spectrum", "top", 1, 1000),
        ("hessian_spectrum", "probes", 1, 10_000),
        ("hessian_spectrum", "steps", 2, 10_000),
        ("covariate_shift", "warm_up", 0, 1_000_000),
        ("covariate_shift", "updates", 1, 1_000_000),
        ("equivalent_schedule", "updates", 1, 1000),
        ("landscape_smoothness", "minibatches", 1, 10_000),
        ("landscape_smoothness", "steps", 2, 100),
    ],
)
def test_whole_numbers_have_bounds(name, key, least, most):
    for value in (least, most, float(most)):
        kept = getattr(options(name, **{key: value}), key)
        assert kept == value
        assert type(kept) is int
    nothing = [] if key in settings.LAYERS else [None]
    for value in (least - 1, most + 1, least + 0.5, True, str(least), *nothing):
        ((place, _),) = refusal(name, **{key: value})
        assert place == (key,)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("relative_loss", "smallest_step"),
        ("relative_loss", "largest_step"),
        ("divergence_path", "alpha"),
        ("max_learning_rate", "smallest_alpha"),
        ("max_learning_rate", "largest_alpha"),
    ],
)
def test_learning_rates_and_steps_have_bounds(name, key):
    for value in (1e-30, 1000):
        assert getattr(options(name, **{key: value}), key) == value
    for value in (0, -1, 1e-31, 1001, float("nan"), float("inf"), True, "0.1"):
        assert [place for place, _ in refusal(name, **{key: value})] == [(key,)]


@pytest.mark.parametrize(
    ("name", "key", "allowed", "refused"),
    [
        ("relative_loss", "minibatches", [[1], [1000, 1]], [[], [0], [1001], [1, 1], [True], 3]),
        ("divergence_path", "layers", [[1]], [[], [0], [2, 2]]),
        ("channel_moments", "layers", [[1]], [[], [0], [2, 2]]),
        ("gradient_sums", "layers", [[1]], [[], [0], [2, 2]]),
        ("gradient_noise", "batch_sizes", [[2, 3]], [[], [2], [2, 2], [1, 2]]),
        ("gradient_noise", "alphas", [[1, 2]], [[], [1], [1, 1], [0, 1]]),
        ("gradient_noise", "samplings", [[], ["subset", "replacement"]], [["epoch"], ["subset", "subset"]]),
        ("max_learning_rate", "archs", [[], ["plain-8"]], [["plain"], ["plain-8", "plain-8"], ["resnet-8\n"]]),
        ("max_learning_rate", "inits", [[], ["kaiming"]], [[3], ["kaiming", "kaiming"]]),
        ("jacobian_conditioning", "batch_size", [[2], [128, 4]], [[], [1], [1_000_001], [4, 4], [2.5], 1, "4", True]),
        ("jacobian_conditioning", "directions", ["colours", "grey"], ["gray", 1]),
        ("jacobian_conditioning", "gaussian", [True, False], [1, "yes"]),
        ("jacobian_conditioning", "bn_modes", [["eval"], ["eval", "train"]], [[], ["frozen"], ["eval", "eval"]]),
        ("effective_learning_rate", "weight_decays", [[1e-5, 1]], [[], [0], [1.1], [0.1, 0.1], 0.1]),
        ("effective_learning_rate", "decayed", [["kernels", "all"]], [[], ["scales"], ["all", "all"]]),
        ("hessian_spectrum", "bn_modes", [["eval"], ["eval", "train"]], [[], ["frozen"], ["eval", "eval"]]),
        ("hessian_spectrum", "layers", [[], [20, 1]], [[0], [1, 1]]),
        ("hessian_spectrum", "at", [[], [0, 0.5, 1]], [[-0.1], [1.1], [0, 0]]),
        ("divergence_path", "site", ["convolution", "stream"], ["pool", 1]),
        ("divergence_path", "percent_step", [1, 2, 4, 5, 5.0, 10, 20, 25, 50, 100], [0, 3, 200, 2.5, True, "5"]),
    ],
)
def test_lists_and_choices(name, key, allowed, refused):
    for value in allowed:
        kept = getattr(options(name, **{key: value}), key)
        assert kept == (tuple(value) if isinstance(value, list) else value)
        assert type(kept) is not float
    for value in refused:
        assert {place[0] for place, _ in refusal(name, **{key: value})} == {key}


def test_networks_of_the_jacobian_are_a_block_of_two_lists():
    changed = {"archs": ["plain-8"], "inits": ["fixup"]}
    for key in changed:
        assert refusal("jacobian_conditioning", networks=changed | {key: []})[0][0] == ("networks", key)
        one = {k: v for k, v in changed.items() if k != key}
        assert refusal("jacobian_conditioning", networks=one) == [(("networks", key), "missing")]
    assert refusal("jacobian_conditioning", networks=changed | {"norms": []})[0][0] == ("networks", "norms")


def test_defaults():
    assert options("gradient_noise").samplings == ()
    assert (options("max_learning_rate").archs, options("max_learning_rate").inits) == ((), ())
    jacobians = options("jacobian_conditioning")
    assert (jacobians.images, jacobians.bn_modes) == (1, ("train", "eval"))
    assert (jacobians.batch_size, jacobians.directions, jacobians.gaussian) == ((8,), "colours", False)
    assert options("gradient_structure").samples == 0
    spectrum = options("hessian_spectrum")
    assert (spectrum.bn_modes, spectrum.layers) == (("train",), ())
    assert spectrum.where == settings.Where()
    assert options("gradient_sums", layers=None).for_networks(["plain-20", "resnet-8"]).layers == (2, 4, 6)
    assert options("gradient_sums").for_networks(["resnet-8"]).layers == (4, 19)  # as given, whatever the network
