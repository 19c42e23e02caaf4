"""Options of measurements beside the rest of the config, and the networks that they are made on."""

import math

import pytest
from measuring import CROSSED, LEAST, OF_TRAINED, mistakes, module, options, options_class, refusal

from understanding_bn.settings import Initial, Mistake, Setting


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
