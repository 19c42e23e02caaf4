"""The config: defaults, canonical names, and one line for every mistake."""

import copy

import pytest
import yaml

from understanding_bn import complaints, grid
from understanding_bn import config as configs
from understanding_bn.errors import UserError

ROOT = configs.SCHEMA.parent.parent.parent


def quick():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("path", [ROOT / "config.yaml", *sorted((ROOT / "workflow/presets").glob("*.yaml"))])
def test_presets_are_valid_and_named_after_their_file(path):
    resolved = configs.resolve(configs.load(path))
    assert resolved["preset"] == ("quick" if path.name == "config.yaml" else path.stem)


def test_the_quick_preset_needs_no_download_and_has_three_seeds():
    resolved = configs.resolve(quick())
    assert resolved["dataset"] == "digits"
    assert len(resolved["seeds"]) >= 3


def test_defaults_are_the_papers():
    resolved = configs.resolve({"preset": "p", "initialization": {"probes": {}}, "augmentation": {"flip": False}})
    assert resolved["optimiser"] == {"momentum": 0.9, "weight_decay": 0.0005}
    assert resolved["seeds"] == [0, 1, 2, 3, 4]
    assert resolved["initialization"]["arch"] == "resnet-110"
    assert resolved["random_matrices"] == {"size": 1000, "factors": [1, 2, 3, 5], "draws": 10}
    assert resolved["claims"]["large_alpha"] == 0.1
    assert resolved["augmentation"]["pad"] == 4


def test_resolving_leaves_its_argument_alone_and_is_idempotent():
    raw = quick()
    before = copy.deepcopy(raw)
    once = configs.resolve(raw)
    assert raw == before
    assert configs.resolve(once) == once


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
    ],
)
def test_learning_rates_have_one_spelling(alpha, text):
    assert complaints.canonical(alpha) == text
    assert float(complaints.canonical(alpha)) == alpha


def test_cells_are_products_and_come_once():
    raw = quick() | {
        "grid": [
            {
                "arch": "resnet-8",
                "norm": ["batch", "none"],
                "alpha": [0.1, 0.01],
                "batch_size": [8, 16],
                "epochs": 1,
            },
            {"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 1},
        ]
    }
    cells = grid.cells(configs.resolve(raw))
    assert len(cells) == len(set(cells)) == 8
    assert len({cell.path for cell in cells}) == 8
    expected = "resnet-8/xavier_uniform/norm-batch/alpha-0.01/batch-16/epochs-1"
    assert expected in {cell.path for cell in cells}


def test_a_fraction_of_the_epochs_is_at_least_one():
    entries = [{"arch": "resnet-8", "norm": "batch", "alpha": a, "epochs": e} for a, e in ((0.1, 165), (0.2, 2))]
    resolved = configs.resolve(quick() | {"grid": entries, "epochs_fraction": 0.1})
    assert [cell.epochs for cell in grid.cells(resolved)] == [16, 1]


def test_presets_build_on_one_another():
    assert configs.bases({}) == []
    paper, short = (
        configs.resolve(configs.load(ROOT / f"workflow/presets/{n}.yaml")) for n in ("paper", "paper-short")
    )
    assert short["grid"] == paper["grid"]
    assert paper["initialization"]["probes"]["max_learning_rate"]["updates"] == 100
    assert paper["dataset"] == "cifar10"
    assert [c.epochs for c in grid.cells(short)] == [round(c.epochs / 10) for c in grid.cells(paper)]
    assert [path.stem for path in configs.bases({"extends": "paper"})] == ["cifar10-init", "paper"]


@pytest.mark.parametrize("name", ["papre", "../presets/paper", "", 3])
def test_unknown_bases_are_refused(name):
    with pytest.raises(
        UserError, match=r"config key extends: .* is no preset; expected one of cifar10-init, cifar10-small, open-"
    ):
        configs.bases({"extends": name})


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "not valid YAML"), ("- a", "expected a block of keys, found a list")]
)
def test_unreadable_presets_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match="no such file"):
        configs.load(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        configs.load(tmp_path / "mine.yaml")


def test_a_preset_cannot_build_on_itself(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("extends: b")
    (tmp_path / "b.yaml").write_text("extends: a")
    monkeypatch.setattr(configs, "PRESETS", tmp_path)
    with pytest.raises(UserError, match="builds on itself"):
        configs.bases({"extends": "a"})


def test_the_search_varies_depth_for_every_norm_and_initialisation_for_none():
    raw = quick()
    raw["initialization"]["probes"]["max_learning_rate"] |= {"archs": ["resnet-8", "resnet-110"], "inits": ["kaiming"]}
    resolved = configs.resolve(raw)
    own, shallow = ("resnet-110", "xavier_uniform"), ("resnet-8", "xavier_uniform")
    assert grid.networks(resolved, "max_learning_rate", "batch") == [own, shallow]
    assert grid.networks(resolved, "max_learning_rate", "none") == [own, shallow, ("resnet-110", "kaiming")]
    assert grid.networks(resolved, "gradient_sums", "none") == [own]
    assert not {"archs", "inits"} & set(grid.options(resolved, "max_learning_rate"))


def test_networks_that_one_job_crosses_are_told_to_it():
    resolved = configs.resolve(quick() | jacobians())
    assert grid.networks(resolved, "jacobian_conditioning", "none") == [("resnet-110", "xavier_uniform")]
    options = grid.options(resolved, "jacobian_conditioning")
    assert options["networks"] == {"archs": ["plain-8"], "inits": ["fixup"]}
    assert (options["images"], options["bn_modes"]) == (1, ["train", "eval"])


def test_readings_differ_from_the_presets_own_network_in_what_they_name():
    raw = quick()
    raw["initialization"]["readings"] = [{"arch": "resnet-padded-110"}, {"init": "kaiming"}]
    assert grid.readings(configs.resolve(raw)) == [
        ("resnet-110", "xavier_uniform"),
        ("resnet-padded-110", "xavier_uniform"),
        ("resnet-110", "kaiming"),
    ]


def test_seeds_are_counted_out_and_blocked():
    resolved = configs.resolve(quick() | {"seeds": 5, "seeds_per_job": 2})
    assert grid.seed_blocks(resolved) == [[0, 1], [2, 3], [4]]
    assert configs.resolve(quick() | {"seeds": ["3", "7"]})["seeds"] == [
        3,
        7,
    ]  # as Snakemake's command line reads lists


def entry(**changes):
    entry = {"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 1}
    return {"grid": [entry | changes]}


def start(**changes):
    return {"initialization": {"probes": {}} | changes}


def search(**changes):
    options = {"batch_size": 8, "updates": 5, "smallest_alpha": 0.1, "largest_alpha": 1, "steps_per_decade": 1}
    return start(probes={"max_learning_rate": options | changes})


def jacobians(**changes):
    networks = {"archs": ["plain-8"], "inits": ["fixup"]} | {
        k: v for k, v in changes.items() if k in ("archs", "inits")
    }
    options = {"networks": networks, "batch_size": 8} | {k: v for k, v in changes.items() if k not in networks}
    return start(probes={"jacobian_conditioning": options})


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (entry(norm="bacth"), ["grid[0].norm", "'bacth'", "did you mean 'batch'?"]),
        (entry(init="xavier"), ["grid[0].init", "'xavier'", "xavier_uniform"]),
        (entry(alpha=-0.1), ["grid[0].alpha[0]", "-0.1", "more than 0"]),
        (entry(alpha=0), ["grid[0].alpha[0]", "more than 0"]),
        (entry(alpha="1e-4"), ["grid[0].alpha[0]", "'1e-4' is text", "write 0.0001"]),
        (quick() | {"tensorboard": "true"}, ["tensorboard", "'true' is text", "write True, without quotes"]),
        (quick() | {"tensorboard": "yes"}, ["tensorboard", "'yes' is text, expected true or false"]),
        (entry(alpha="fast"), ["grid[0].alpha[0]", "'fast' is text, expected a number"]),
        (entry(alpha=float("nan")), ["grid[0].alpha[0]", "not a finite number"]),
        (entry(alpha=float("inf")), ["grid[0].alpha[0]", "at most 1000"]),
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
        ({"epochs_fraction": 0}, ["epochs_fraction", "more than 0"]),
        ({"epochs_fraction": 1.5}, ["epochs_fraction", "at most 1"]),
        (start(readings=[{"init": "xavier"}]), ["initialization.readings[0].init", "'xavier' is unknown"]),
        (start(readings=[{"arch": "resnet-9"}]), ["initialization.readings[0].arch", "6n + 2"]),
        (start(readings=[{"norm": "none"}]), ["initialization.readings[0]", "'norm' is unknown"]),
        (search(archs=["resnet-9"]), ["initialization.probes.max_learning_rate.arch", "6n + 2"]),
        (search(inits=["he"]), ["initialization.probes.max_learning_rate.init", "'he' is unknown"]),
        (jacobians(archs=["plain-9"]), ["jacobian_conditioning.networks.archs[0]", "'plain-9'", "6n + 2"]),
        (jacobians(inits=["he"]), ["jacobian_conditioning.networks.inits[0]", "'he' is unknown"]),
        (jacobians(images=9), ["jacobian_conditioning.images", "9 is more than batch_size, expected at most 8"]),
        (jacobians(bn_modes=["frozen"]), ["jacobian_conditioning.bn_modes[0]", "'frozen'", "train, eval"]),
        (search(smallest_alpha=2), ["max_learning_rate.smallest_alpha", "not below largest_alpha"]),
        (entry(arch="resnet-8; rm -rf /"), ["grid[0].arch[0]"]),
        (entry(depth=20), ["grid[0]", "'depth' is unknown"]),
        ({"grid": [{"norm": "batch", "alpha": 0.1}]}, ["grid[0]", "'epochs' is missing"]),
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
        ({"initialization": {"norms": ["batch", "nome"], "probes": {}}}, ["initialization.norm", "'nome'"]),
        (
            {"initialization": {"arch": "resnet-20", "probes": {"gradient_sums": {"layers": [20]}}}},
            ["gradient_sums", "layer 20 is too deep", "1 to 19"],
        ),
        (
            {"initialization": {"probes": {"channel_moment": {}}}},
            ["initialization.probes", "'channel_moment' is unknown", "did you mean 'channel_moments'?"],
        ),
        ({"claims": {"large_alpha": "1e-1"}}, ["claims.large_alpha", "write 0.1"]),
    ],
)
def test_every_mistake_is_one_line_that_names_key_and_value(change, parts):
    with pytest.raises(UserError) as caught:
        configs.resolve(quick() | change)
    message = str(caught.value)
    assert message.startswith("config key ")
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_an_empty_config_is_a_mistake_too():
    with pytest.raises(UserError, match="'preset' is missing"):
        configs.resolve({})
