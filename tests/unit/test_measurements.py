"""Options of measurements: bounds, defaults, checks against the rest of the config, and what reading them imports."""

import importlib
import inspect
import math
import pkgutil
import subprocess
import sys

import pandas as pd
import pytest
from contexts import context_of
from pydantic import ValidationError

from understanding_bn import measurements, settings
from understanding_bn.settings import Initial, Mistake, Setting, Trained
from understanding_bn.stages import measure

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


def test_learning_rates_by_norm_are_found_by_name():
    rates = options("relative_loss", alpha={"batch": 1, "batch-final": 0.5, "default": 0.1}).alpha
    assert [rates.of(norm) for norm in ("batch", "batch-final", "none")] == [1, 0.5, 0.1]
    assert rates.model_dump() == {"default": 0.1, "batch": 1.0, "batch-final": 0.5}
    assert refusal("relative_loss", alpha={"batch": 1}) == [(("alpha", "default"), "missing")]
    assert refusal("relative_loss", alpha={"batch": 0, "default": 1}) == [(("alpha", "batch"), "greater_than")]
    assert refusal("relative_loss", alpha={"batch": "1e-4", "default": 1})[0][0] == ("alpha", "batch")
    assert refusal("relative_loss", alpha=0.1)[0][0] == ("alpha",)


TOO_DEEP = "layer {} is too deep; expected 1 to {} in resnet-20"


@pytest.mark.parametrize(
    ("name", "fitting", "deep", "expected"),
    [
        ("gradient_histogram", {"layer": 19}, {"layer": 20}, (("layer",), TOO_DEEP.format(20, 19))),
        ("kernel_gradients", {"layer": 19}, {"layer": 20}, (("layer",), TOO_DEEP.format(20, 19))),
        ("divergence_path", {"layers": [19]}, {"layers": [1, 20]}, (("layers", 1), TOO_DEEP.format(20, 19))),
        ("gradient_sums", {"layers": [19]}, {"layers": [1, 20]}, (("layers", 1), TOO_DEEP.format(20, 19))),
        # Outputs and weights there are of the linear layer too.
        ("channel_moments", {"layers": [20]}, {"layers": [1, 21]}, (("layers", 1), TOO_DEEP.format(21, 20))),
        ("hessian_spectrum", {"layers": [20]}, {"layers": [1, 21]}, (("layers", 1), TOO_DEEP.format(21, 20))),
    ],
)
def test_layers_must_lie_in_the_shallowest_network(name, fitting, deep, expected):
    assert mistakes(name, **fitting) == []
    assert mistakes(name, **deep) == [Mistake(*expected)]
    assert mistakes(name, Setting(1437, ("resnet-110",), ()), **deep) == []
    assert mistakes(name, Setting(1437, (), ()), **deep) == []  # no network, as with an empty grid


def test_norms_of_the_relative_loss_must_exist():
    assert mistakes("relative_loss", alpha={"batch": 0.1, "none": 1, "default": 1}) == []
    (mistake,) = mistakes("relative_loss", alpha={"bacth": 0.1, "default": 1})
    assert mistake.place == ("alpha",)
    assert mistake.text == "key 'bacth' is unknown; expected one of default, batch, none (did you mean 'batch'?)"


@pytest.mark.parametrize(("name", "what"), [("relative_loss", "step"), ("max_learning_rate", "alpha")])
def test_what_ascends_by_its_meaning_must_do_so(name, what):
    smallest, largest = f"smallest_{what}", f"largest_{what}"
    assert mistakes(name, **{smallest: 0.1, largest: 1}) == []
    for end in (1, 0.1):
        expected = f"1 is not below {largest}, expected less than {end}"
        assert mistakes(name, **{smallest: 1, largest: end}) == [Mistake((smallest,), expected)]


def test_a_search_needs_a_learning_rate_to_try():
    grid = module("max_learning_rate").grid
    for smallest, largest, steps in ((0.2, 0.9, 1), (0.1, 0.9, 1), (0.2, 1, 1), (0.2, 0.9, 2)):
        changes = {"smallest_alpha": smallest, "largest_alpha": largest, "steps_per_decade": steps}
        text = f"{steps} puts no learning rate between {smallest} and {largest}; expected more steps"
        expected = [] if grid(smallest, largest, steps) else [Mistake(("steps_per_decade",), text)]
        assert mistakes("max_learning_rate", **changes) == expected
    assert grid(0.2, 0.9, 1) == []


NOISE_OF_64 = "mini-batches of 64 images each take"


@pytest.mark.parametrize(
    ("images", "count", "changes", "texts"),
    [
        (22 * 64, 22, {}, []),
        (math.inf, 100_000, {}, []),
        (
            1437,
            23,
            {},
            [f"23 {NOISE_OF_64} 1472, and an epoch has 1437; expected at most 22, or batch_sizes of"],
        ),
        (100, 16, {}, [f"16 {NOISE_OF_64} 1024, and an epoch has 100; expected batch_sizes of at most 6"]),
        (100, 60, {}, [f"60 {NOISE_OF_64} 3840, and an epoch has 100; expected more images"]),
        (1437, 22, {"batch_sizes": [4, 256, 64], "samplings": ["subset"]}, []),
        (1437, 22, {"batch_sizes": [4, 256, 64]}, ["22 mini-batches of 256 images each take 5632"]),
        (1437, 23, {"batch_sizes": [4, 256, 64], "samplings": ["subset"]}, [f"23 {NOISE_OF_64} 1472"]),
    ],
)
def test_an_epoch_must_have_the_minibatches_of_every_size_or_of_two_where_others_are_drawn(
    images, count, changes, texts
):
    changes = {"batch_sizes": [8, 64], "minibatches": count} | changes
    found = mistakes("gradient_noise", Setting(images, (), ()), **changes)
    assert [mistake.place for mistake in found] == [("minibatches",)] * len(texts)
    assert all(mistake.text.startswith(text) for mistake, text in zip(found, texts, strict=True))


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("gradient_noise", "batch_sizes", [8, 65]),
        ("max_learning_rate", "batch_size", 65),
        ("jacobian_conditioning", "batch_size", 65),
        ("noise_by_depth", "batch_size", 65),
        ("branch_variance", "batch_size", 65),
        ("feature_rank", "batch_size", 65),
        ("gradient_correlation", "batch_size", 65),
        ("initial_sharpness", "batch_size", 65),
        ("initial_sharpness", "subset", 65),
        ("effective_learning_rate", "batch_size", 65),
        ("edge_of_stability", "images", 65),
        ("hessian_spectrum", "subset", 65),
    ],
)
def test_no_more_different_images_are_asked_for_than_there_are(name, key, value):
    changes = {key: value} | ({"minibatches": 2, "samplings": ["subset"]} if name == "gradient_noise" else {})
    (mistake,) = [m for m in mistakes(name, Setting(64, (), ("batch",)), **changes) if m.place[0] == key]
    assert mistake.text == "65 is more than the 64 training images; expected at most 64"
    at_most = [8, 64] if key == "batch_sizes" else 64
    assert not [m for m in mistakes(name, Setting(64, (), ("batch",)), **changes | {key: at_most}) if m.place[0] == key]


def test_images_must_be_in_the_minibatch():
    assert mistakes("jacobian_conditioning", images=8) == []
    text = "9 is more than batch_size, expected at most 8"
    assert mistakes("jacobian_conditioning", images=9) == [Mistake(("images",), text)]
    assert mistakes("jacobian_conditioning", images=9, batch_size=[16, 8]) == [Mistake(("images",), text)]


def test_the_hessian_is_of_as_many_mini_batches_as_have_gradients_or_fewer():
    assert mistakes("noise_by_depth", hessian_minibatches=3) == []
    text = "4 is more than minibatches, expected at most 3"
    assert mistakes("noise_by_depth", hessian_minibatches=4) == [Mistake(("hessian_minibatches",), text)]


def test_branches_are_measured_where_there_are_streams():
    networks = {"archs": ["resnet-8", "plain-8", "resnet-padded-8"], "inits": ["kaiming"]}
    text = "plain-8 has no shortcuts; expected a residual network"
    assert mistakes("branch_variance", networks=networks) == [Mistake(("networks", "archs", 1), text)]


def test_a_mini_batch_is_left_of_the_images_that_are_not_held_out():
    assert mistakes("effective_learning_rate", held_out=1429) == []
    text = "1430 of 1437 training images leave too few for a mini-batch of 8; expected at most 1429"
    assert mistakes("effective_learning_rate", held_out=1430) == [Mistake(("held_out",), text)]
    assert mistakes("effective_learning_rate", Setting(math.inf, (), ()), held_out=1_000_000) == []


def test_an_effective_learning_rate_needs_batch_norm():
    block = options("effective_learning_rate")
    assert block.made_on("resnet-8", "kaiming", "batch") == [("resnet-8", "kaiming")]
    assert block.made_on("resnet-8", "kaiming", "none") == []


def test_the_search_varies_depth_for_every_norm_and_initialisation_for_none():
    search = options("max_learning_rate", archs=["resnet-8", "resnet-110"], inits=["kaiming", "xavier_uniform"])
    preset = ("resnet-110", "xavier_uniform")
    shallow = ("resnet-8", "xavier_uniform")
    assert search.made_on(*preset, "batch") == [preset, shallow]
    assert search.made_on(*preset, "none") == [preset, shallow, ("resnet-110", "kaiming")]
    assert search.for_one() == options("max_learning_rate")
    assert search.archs == ("resnet-8", "resnet-110")


def test_the_search_crosses_further_networks_without_normalisation_alone():
    networks = {"archs": ["resnet-20", "resnet-56"], "inits": ["kaiming", "branch_scaled"]}
    search = options("max_learning_rate", networks=networks, inits=["kaiming"])
    preset = ("resnet-20", "xavier_uniform")
    assert search.made_on(*preset, "batch") == [preset]
    assert search.made_on(*preset, "none") == [
        preset,
        ("resnet-20", "kaiming"),
        ("resnet-20", "branch_scaled"),
        ("resnet-56", "kaiming"),
        ("resnet-56", "branch_scaled"),
    ]
    assert search.for_one() == options("max_learning_rate")


def test_a_signal_needs_as_many_mini_batches_as_the_rest():
    assert mistakes("gradient_structure", minibatches=16, signal_minibatches=16) == []
    text = "15 is less than minibatches; expected at least 16"
    assert mistakes("gradient_structure", minibatches=16, signal_minibatches=15) == [
        Mistake(("signal_minibatches",), text)
    ]


def test_descents_name_known_norms_and_each_kind_once():
    kind = {"loss": "mse", "alphas": {"default": [0.1]}}
    others = [kind | {"momentum": 0.9}, kind | {"loss": "cross_entropy"}]
    assert mistakes("edge_of_stability", descents=[kind, *others]) == []
    twice = Mistake(("descents", 1), "mse with momentum 0 stands here twice; expected it once")
    assert mistakes("edge_of_stability", descents=[kind, kind | {"alphas": {"default": [0.2]}}]) == [twice]
    unknown = kind | {"alphas": {"default": [0.1], "bath": [0.1]}}
    text = "key 'bath' is unknown; expected one of default, batch, none (did you mean 'batch'?)"
    assert mistakes("edge_of_stability", descents=[unknown]) == [Mistake(("descents", 0, "alphas"), text)]


def test_other_measurements_are_made_on_the_presets_network_alone():
    for name in LEAST.keys() - {*OF_TRAINED, "max_learning_rate", "initial_sharpness", "effective_learning_rate"}:
        block = options(name)
        assert block.made_on("resnet-8", "kaiming", "none") == [("resnet-8", "kaiming")]
        assert block.for_one() == block
        assert block.other_inits() == (("fixup", "kaiming") if name in CROSSED else ())


def test_three_are_made_on_every_reading_of_the_paper():
    initial = [name for name in LEAST if issubclass(options_class(name), Initial)]
    on_readings = {name for name in initial if options_class(name).on_readings()}
    assert on_readings == {"channel_moments", "logit_gradients", "gradient_sums"}
