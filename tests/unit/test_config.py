"""The config: defaults, canonical names, and one line for every mistake."""

import copy
import json

import pytest
import yaml
from pydantic import ValidationError

from understanding_bn import architecture
from understanding_bn.errors import UserError
from understanding_bn.experiment import checks, load
from understanding_bn.experiment.load import resolve
from understanding_bn.settings import canonical

ROOT = load.DEFAULT.parent


def quick():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *sorted((ROOT / "workflow/presets").glob("*.yaml"))])
def test_presets_are_valid_and_named_after_their_file(path):
    config = resolve(load.load(path))
    assert config.preset == ("quick" if path.name == "config.yaml" else path.stem)


def test_the_quick_preset_needs_no_download_and_has_three_seeds():
    config = resolve(quick())
    assert config.dataset == "digits"
    assert len(config.seeds) >= 3


def test_defaults_are_the_papers():
    config = resolve({"preset": "p", "initialization": {"measurements": {}}, "augmentation": {"flip": False}})
    assert config.optimiser.model_dump() == {"momentum": 0.9, "weight_decay": 0.0001}
    assert config.schedule.milestones == (0.5, 0.75)
    assert config.seeds == (0, 1, 2, 3, 4)
    assert config.initialization.arch == "resnet-110"
    assert config.random_matrices.model_dump() == {"size": 1000, "factors": (1, 2, 3, 5), "draws": 10}
    assert config.augmentation.pad == 4


def test_resolving_leaves_its_argument_alone_and_is_idempotent():
    raw = quick()
    before = copy.deepcopy(raw)
    once = resolve(raw)
    assert raw == before
    assert resolve(once.model_dump(mode="json")) == once
    assert resolve(json.loads(once.model_dump_json())) == once


def test_a_resolved_config_cannot_be_changed():
    config = resolve(quick())
    with pytest.raises(ValidationError, match="frozen"):
        config.seeds = (1,)
    assert hash(config.optimiser) == hash(resolve(quick()).optimiser)


@pytest.mark.parametrize(
    ("alpha", "text"),
    [
        (0.1, "0.1"),
        (1.0e-4, "0.0001"),
        (3e-05, "0.00003"),
        (1, "1"),
        (10, "10"),
        (100.0, "100"),
        (0.30, "0.3"),
        (1e20, "1" + 20 * "0"),
    ],
)
def test_learning_rates_have_one_spelling(alpha, text):
    assert canonical(alpha) == text
    assert float(canonical(alpha)) == alpha


def test_presets_build_on_one_another():
    assert load.bases({}) == []
    paper, short = (resolve(load.load(ROOT / f"workflow/presets/{name}.yaml")) for name in ("paper", "paper-short"))
    assert short.grid == paper.grid
    assert (short.epochs_fraction, short.preset) == (0.1, "paper-short")
    assert paper.initialization.measurements.max_learning_rate.updates == 100
    assert paper.dataset == "cifar10"
    assert [path.stem for path in load.bases({"extends": "paper"})] == ["cifar10-init", "paper"]


def test_null_removes_a_measurement_that_another_preset_makes():
    own = {"extends": "cifar10-init", "initialization": {"measurements": {"gradient_noise": None}}}
    measurements = resolve(load.complete(own)).initialization.measurements
    assert measurements.gradient_noise is None
    assert measurements.relative_loss is not None


def measured(measurements, block="initialization", **changes):
    """What is measured where a config says this."""
    config = resolve(load.complete({block: {"measurements": measurements}} | changes))
    return checks.measurements(getattr(config, block).measurements)


def test_a_list_of_measurements_replaces_those_of_the_base_and_keeps_their_options():
    base = checks.measurements(resolve(quick()).initialization.measurements)
    chosen = ["gradient_noise", "channel_moments"]
    assert measured(chosen) == {name: base[name] for name in chosen}
    (noise,) = measured([{"gradient_noise": {"minibatches": 3}}]).values()
    assert noise == base["gradient_noise"].model_copy(update={"minibatches": 3})
    assert list(measured([{"hessian_spectrum": {"top": 2}}], "trained")) == ["hessian_spectrum"]
    for nothing in ([], {}):
        assert measured(nothing) == measured(nothing, "trained") == {}
    # explanations has no gradient_noise, so that its options are those of config.yaml.
    assert measured(["gradient_noise"], extends="explanations") == {"gradient_noise": base["gradient_noise"]}
    listed, block = (start(measurements=named) for named in (["logit_gradients"], {"logit_gradients": {}}))
    assert resolve(quick() | listed) == resolve(quick() | block)


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (["gradient_nose"], "key 'gradient_nose' is unknown; expected one of .*did you mean 'gradient_noise'"),
        (["hessian_spectrum"], "key 'hessian_spectrum' is unknown; expected one of "),
        ([3], "3 is a whole number, expected a name, or one name with its options"),
        ([{}], "{} is a block of keys, expected a name"),
        ([{"gradient_noise": {}, "kernel_gradients": {}}], "is a block of keys, expected a name, or one name"),
        (["gradient_noise", {"gradient_noise": {}}], "'gradient_noise' stands twice; expected it once"),
        (["edge_of_stability"], "key 'descents' is missing; expected a list"),
        ("gradient_noise", "'gradient_noise' is text, expected a block of keys or a list"),
        (None, "None is empty, expected a block of keys or a list"),
    ],
)
def test_what_is_no_list_of_measurements_is_one_line(listed, message):
    with pytest.raises(UserError, match=rf"^config key initialization.measurements[^:]*: .*{message}"):
        measured(listed)


@pytest.mark.parametrize(
    ("arch", "layers"),
    [
        ("resnet-110", {8: 8, 110: 110, 1: 1, 45: 45, 109: 109}),
        ("plain-20", {1: 1, 6: 2, 30: 6, 42: 8, 44: 8, 45: 9, 55: 11, 78: 14, 102: 18, 108: 18, 109: 19, 110: 20}),
        ("resnet-8", {2: 2, 37: 3, 38: 4, 73: 5, 74: 6, 109: 7, 110: 8}),
        ("resnet-218", {2: 2, 3: 3, 36: 72, 37: 73, 38: 74, 109: 217, 110: 218}),
    ],
)
def test_layers_have_counterparts_in_networks_of_other_depths(arch, layers):
    assert {layer: architecture.counterpart(layer, arch) for layer in layers} == layers


def layers(**changes):
    """The layers of every measurement, as a preset over config.yaml resolves them."""
    config = resolve(load.complete({"initialization": changes})).model_dump(mode="json")
    options = config["initialization"]["measurements"]
    return {name: of.get("layer", of.get("layers")) for name, of in options.items() if of and "layer" in str([*of])}


def test_layers_that_are_left_out_are_the_papers_or_those_in_their_place():
    assert layers() == {
        "gradient_histogram": 55,
        "divergence_path": [8, 44, 80],
        "channel_moments": [6, 18, 30, 42, 54, 66, 78, 90, 102, 110],
        "gradient_sums": [18, 54, 108],
        "kernel_gradients": 45,
    }
    small = layers(arch="resnet-8")
    assert (small["channel_moments"], small["gradient_histogram"]) == ([2, 4, 6, 8], 5)
    own = layers(arch="resnet-20", measurements={"gradient_sums": {"layers": [3]}, "kernel_gradients": {"layer": None}})
    assert (own["gradient_sums"], own["kernel_gradients"]) == ([3], 9)
    with pytest.raises(UserError, match=r"gradient_sums.layers\[1\]: layer 54 is too deep; expected 1 to 19 in res"):
        layers(arch="resnet-20", measurements={"gradient_sums": {"layers": [3, 54]}})
    # One of the readings is shallower, and what is compared between readings is measured in the same layers.
    assert layers(readings=[{"arch": "resnet-20"}])["channel_moments"] == layers(arch="resnet-20")["channel_moments"]


def test_completing_leaves_the_callers_blocks_alone():
    own = {"extends": "paper", "augmentation": {"pad": 2}}
    assert load.complete(own)["augmentation"] == {"pad": 2, "flip": True}
    assert own == {"extends": "paper", "augmentation": {"pad": 2}}


@pytest.mark.parametrize("name", ["papre", "../presets/paper", "", 3])
def test_unknown_bases_are_refused(name):
    with pytest.raises(
        UserError,
        match=r"config key extends: .* is no preset; expected one of cifar10-conditioning, cifar10-conv",
    ):
        load.bases({"extends": name})


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- a", "expected a block of keys, found a list")]
)
def test_unreadable_presets_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match="no such file"):
        load.load(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load.load(tmp_path / "mine.yaml")


def test_a_preset_cannot_build_on_itself(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("extends: b")
    (tmp_path / "b.yaml").write_text("extends: a")
    monkeypatch.setattr(load, "PRESETS", tmp_path)
    with pytest.raises(UserError, match="builds on itself"):
        load.bases({"extends": "a"})


def test_seeds_are_counted_out():
    assert resolve(quick() | {"seeds": 3}).seeds == (0, 1, 2)


def test_one_value_stands_for_a_list_of_it():
    entry = {"arch": "resnet-8", "init": "kaiming", "norm": "batch", "alpha": 1, "batch_size": 8, "epochs": 1}
    lists = {key: [value] for key, value in entry.items() if key != "epochs"}
    assert resolve(quick() | {"grid": [entry]}) == resolve(quick() | {"grid": [entry | lists]})


def entry(**changes):
    entry = {"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 1}
    return {"grid": [entry | changes]}


def start(**changes):
    return {"initialization": {"measurements": {}} | changes}


def search(**changes):
    options = {"batch_size": 8, "updates": 5, "smallest_alpha": 0.1, "largest_alpha": 1, "steps_per_decade": 1}
    return start(measurements={"max_learning_rate": options | changes})


def jacobians(**changes):
    networks = {"archs": ["plain-8"], "inits": ["fixup"]}
    networks |= {key: changes.pop(key) for key in list(changes) if key in networks}
    options = {"networks": networks, "batch_size": 8} | changes
    return start(measurements={"jacobian_conditioning": options})


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (entry(norm="bacth"), ["grid[0].norm", "'bacth'", "did you mean 'batch'?"]),
        (entry(init="xavier"), ["grid[0].init", "'xavier'", "xavier_uniform"]),
        (entry(alpha=-0.1), ["grid[0].alpha[0]", "-0.1", "more than 0"]),
        (entry(alpha=0), ["grid[0].alpha[0]", "more than 0"]),
        (entry(alpha=1e-31), ["grid[0].alpha[0]", "1e-31 is too small; expected at least 1e-30"]),
        (entry(alpha=10**400), ["grid[0].alpha[0]", "too large; expected at most 1000"]),
        ({"optimiser": {"momentum": 10**400}}, ["optimiser.momentum", "too large; expected less than 1"]),
        ({"optimiser": {"momentum": -(10**400)}}, ["optimiser.momentum", "too small; expected at least 0"]),
        (entry(alpha="1e-4"), ["grid[0].alpha[0]", "'1e-4' is text", "write 0.0001"]),
        (quick() | {"tensorboard": "true"}, ["tensorboard", "'true' is text", "write True, without quotes"]),
        (quick() | {"tensorboard": "yes"}, ["tensorboard", "'yes' is text, expected true or false"]),
        (entry(alpha="fast"), ["grid[0].alpha[0]", "'fast' is text, expected a number"]),
        (entry(alpha=float("nan")), ["grid[0].alpha[0]", "not a finite number"]),
        (entry(alpha=float("inf")), ["grid[0].alpha[0]", "inf is not a finite number"]),
        (entry(alpha=[0.1, 0.1]), ["grid[0].alpha", "twice"]),
        (entry(alpha=[]), ["grid[0].alpha", "empty"]),
        (entry(batch_size=1), ["grid[0].batch_size[0]", "at least 2"]),
        (entry(batch_size=2.5), ["grid[0].batch_size[0]", "a whole number"]),
        (entry(epochs=0), ["grid[0].epochs", "at least 1"]),
        (entry(epochs=True), ["grid[0].epochs", "expected a whole number"]),
        (entry(arch="resnet-21"), ["grid[0].arch", "6n + 2"]),
        (entry(arch="vgg"), ["grid[0].arch[0]", "resnet-D"]),
        (entry(arch="vgg-16"), ["grid[0].arch", "'vgg-16' is unknown", "resnet-D, resnet-padded-D or plain-D"]),
        ({"schedule": {"milestones": [0.75, 0.5]}}, ["schedule.milestones", "do not ascend"]),
        ({"schedule": {"milestones": [1]}}, ["schedule.milestones[0]", "less than 1"]),
        (quick() | {"channels": "grey"}, ["channels: 'grey' is for data of your own; of digits the images stay"]),
        (quick() | {"channels": "gray"}, ["channels: 'gray' is unknown; expected one of as_found, grey, rgb (did you"]),
        ({"epochs_fraction": 0}, ["epochs_fraction", "more than 0"]),
        ({"epochs_fraction": 1.5}, ["epochs_fraction", "at most 1"]),
        (start(readings=[{"init": "xavier"}]), ["initialization.readings[0].init", "'xavier' is unknown"]),
        (start(readings=[{"arch": "resnet-9"}]), ["initialization.readings[0].arch", "6n + 2"]),
        (start(readings=[{"norm": "none"}]), ["initialization.readings[0]", "'norm' is unknown"]),
        (search(archs=["resnet-9"]), ["initialization.measurements.max_learning_rate.arch", "6n + 2"]),
        (search(inits=["he"]), ["initialization.measurements.max_learning_rate.init", "'he' is unknown"]),
        (jacobians(archs=["plain-9"]), ["jacobian_conditioning.networks.archs[0]", "'plain-9'", "6n + 2"]),
        (jacobians(inits=["he"]), ["jacobian_conditioning.networks.inits[0]", "'he' is unknown"]),
        (jacobians(images=9), ["jacobian_conditioning.images", "9 is more than batch_size, expected at most 8"]),
        (jacobians(bn_modes=["frozen"]), ["jacobian_conditioning.bn_modes[0]", "'frozen'", "train, eval"]),
        (search(smallest_alpha=2), ["max_learning_rate.smallest_alpha", "not below largest_alpha"]),
        (entry(arch="resnet-8; rm -rf /"), ["grid[0].arch[0]"]),
        (entry(depth=20), ["grid[0]", "'depth' is unknown"]),
        ({"grid": [{"norm": "batch", "alpha": 0.1}]}, ["grid[0]", "'epochs' is missing; expected either epochs or"]),
        (entry(updates=4), ["grid[0]: epochs and updates are both given; expected either"]),
        ({"grid": "batch"}, ["grid", "expected a list"]),
        ({"grid": None}, ["grid", "is empty, expected a list"]),
        ({"seeds": 0}, ["seeds", "0 is too few"]),
        ({"seeds": -3}, ["seeds", "too few"]),
        ({"seeds": []}, ["seeds", "empty"]),
        ({"seeds": [1, 1]}, ["seeds", "twice"]),
        ({"seeds": [-1]}, ["seeds[0]", "at least 0"]),
        ({"seeds": "many"}, ["seeds", "'many' is text, expected a list"]),
        ({"seeds": True}, ["seeds", "expected a list"]),
        ({"preset": "../elsewhere"}, ["preset", "'../elsewhere' is not allowed"]),
        ({"preset": "a/b"}, ["preset", "not allowed"]),
        ({"preset": ".hidden"}, ["preset", "not allowed"]),
        ({"preset": "data"}, ["preset", "reserved"]),
        ({"preset": "$(reboot)"}, ["preset", "not allowed"]),
        ({"preset": 3}, ["preset", "expected text"]),
        ({"dataset": "mnist"}, ["dataset", "'mnist'", "digits, cifar10, parquet, folder"]),
        ({"data_dir": 3}, ["data_dir", "expected text or nothing"]),
        ({"sedes": 3}, ["'sedes' is unknown", "did you mean 'seeds'?"]),
        ({"augmentation": {"flip": True}}, ["augmentation.flip", "mirrored digit"]),
        ({"augmentation": {"pad": -1, "flip": False}}, ["augmentation.pad", "at least 0"]),
        ({"optimiser": {"momentum": 1}}, ["optimiser.momentum", "less than 1"]),
        ({"initialization": {"norms": ["batch", "nome"], "measurements": {}}}, ["initialization.norm", "'nome'"]),
        (
            {"initialization": {"arch": "resnet-20", "measurements": {"gradient_sums": {"layers": [20]}}}},
            ["gradient_sums", "layer 20 is too deep", "1 to 19"],
        ),
        (
            {"initialization": {"measurements": {"channel_moment": {}}}},
            ["initialization.measurements", "'channel_moment' is unknown", "did you mean 'channel_moments'?"],
        ),
        ({"random_matrices": {"size": "1e3"}}, ["random_matrices.size", "1e3"]),
        ({"claims": {"large_alpha": 0.1}}, ["claims", "unknown"]),
    ],
)
def test_every_mistake_is_one_line_that_names_key_and_value(change, parts):
    with pytest.raises(UserError) as caught:
        resolve(quick() | change)
    message = str(caught.value)
    assert message.startswith("config key ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_an_empty_config_is_a_mistake_too():
    with pytest.raises(UserError, match="'preset' is missing"):
        resolve({})
