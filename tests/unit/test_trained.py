"""Measurements on trained networks: which networks, at which moments, and what stands in front of the values."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from damage import flip_a_bit
from training_runs import AUGMENTATION, OPTIMISER, cell, run

from understanding_bn import config as configs
from understanding_bn import grid
from understanding_bn.analysis import job
from understanding_bn.analysis.context import Context
from understanding_bn.errors import UserError


@pytest.fixture(scope="module")
def sound(digits_path, tmp_path_factory):
    """A training job of two seeds, with a snapshot halfway."""
    out = tmp_path_factory.mktemp("sound")
    run(digits_path, out, out / "state", [0, 1])
    return out


def measured(digits_path, weights, out, at, seeds=(0, 1), probe="gradient_structure", **changes):
    options = {"minibatches": 2} if probe == "gradient_structure" else {}
    facts = (cell(**changes), OPTIMISER, AUGMENTATION, at, options, list(seeds), out)
    job.run_trained(probe, digits_path, weights / "weights.pt", *facts, threads=1, wanted_device="cpu")
    return pd.read_parquet(out / "values.parquet"), json.loads((out / "run.json").read_text())


def test_each_moment_and_seed_is_measured(digits_path, sound, tmp_path):
    table, record = measured(digits_path, sound, tmp_path, [1, 0, 0.5])
    moments = table[["seed", "epoch", "fraction"]].drop_duplicates()
    assert moments.to_numpy().tolist() == [[s, e, e / 2] for s in (0, 1) for e in (0, 1, 2)]
    assert table["alpha"].isna().equals(table["epoch"] == 0)  # before training a network is the same for every α
    assert table[["arch", "norm", "batch_size", "epochs"]].iloc[0].tolist() == ["resnet-8", "batch", 128, 2]
    assert record["stage"] == "trained"
    assert record["settings"]["at"] == [1, 0, 0.5]
    assert record["bn_mode"] == "train"


def test_the_network_measured_is_the_one_that_training_left(digits_path, sound, tmp_path, monkeypatch):
    left = torch.load(sound / "weights.pt", weights_only=True)
    models = []
    own = Context.model
    monkeypatch.setattr(
        Context, "model", lambda self, norm, seed: models.append(own(self, norm, seed).eval()) or models[-1]
    )
    measured(digits_path, sound, tmp_path, [0.5, 1], seeds=[1], probe="logit_gradients")
    for model, epoch in zip(models, (1, 2), strict=True):
        for name, value in model.state_dict().items():
            if "running" not in name and "tracked" not in name:  # measuring goes on counting these
                assert torch.equal(value, left[1][epoch][name])


def test_any_measurement_can_be_made_on_trained_networks(digits_path, sound, tmp_path):
    """Those written for networks at initialisation see no difference: at epoch 0 their values are the same."""
    table, _ = measured(digits_path, sound, tmp_path / "trained", [0, 1], seeds=[0], probe="logit_gradients")
    facts = ("resnet-8", "xavier_uniform", "batch", 128, OPTIMISER, AUGMENTATION, {}, [0])
    job.run("logit_gradients", digits_path, *facts, tmp_path / "start", threads=1, wanted_device="cpu")
    start = pd.read_parquet(tmp_path / "start" / "values.parquet")
    before = table.loc[table["epoch"] == 0, "gradient"].to_numpy()
    assert np.array_equal(before, start["gradient"].to_numpy())
    assert not np.array_equal(before, table.loc[table["epoch"] == 2, "gradient"].to_numpy())


def test_a_network_that_diverged_has_no_rows(digits_path, tmp_path):
    changes = {"norm": "none", "alpha": "1000"}
    run(digits_path, tmp_path, tmp_path / "state", [0, 1], **changes)
    table, _ = measured(digits_path, tmp_path, tmp_path / "a", [0, 0.5, 1], **changes)
    assert set(table["epoch"]) == {0}
    table, _ = measured(digits_path, tmp_path, tmp_path / "b", [1], **changes)
    assert len(table) == 0


def test_weights_that_are_damaged_missing_or_of_another_run_are_refused(digits_path, sound, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="trained with epochs 2, not 100"):
        measured(digits_path, sound, tmp_path / "x", [0.01], seeds=[0], epochs=100)
    with pytest.raises(UserError, match="no weights of seed 7 after 2 epochs"):
        monkeypatch.setattr(job, "last_sound_epoch", lambda history, seed: 2)
        measured(digits_path, sound, tmp_path / "x", [1], seeds=[7])
    with pytest.raises(UserError, match="no such file; train that cell first"):
        measured(digits_path, tmp_path, tmp_path / "x", [1])
    run(digits_path, tmp_path, tmp_path / "state", [0], epochs=1)
    flip_a_bit(tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"weights\.pt: not the file that its job wrote"):
        measured(digits_path, tmp_path, tmp_path / "x", [1], seeds=[0], epochs=1)
    assert not (tmp_path / "x").exists()


def test_before_training_each_network_is_measured_once():
    entry = {"arch": "resnet-8", "norm": ["batch", "none"], "alpha": [0.1, 0.01], "batch_size": [8, 16], "epochs": 4}
    probes = {"gradient_structure": {"at": [0, 1], "minibatches": 2}}
    config = {"preset": "p", "augmentation": {"flip": False}, "initialization": {"probes": {}}, "grid": [entry]}
    found = grid.moments(configs.resolve(config | {"trained": {"probes": probes}}), "gradient_structure")
    assert len(found) == 8
    assert [shares for shares in found.values() if 0 in shares] == [[0, 1]] * 4
    only = {"gradient_structure": {"at": [0], "minibatches": 2}}
    found = grid.moments(configs.resolve(config | {"trained": {"probes": only}}), "gradient_structure")
    assert {(c.norm, c.batch_size) for c in found} == {(n, b) for n in ("batch", "none") for b in (8, 16)}


def test_cells_and_moments_are_chosen_by_the_config():
    entry = {"arch": "resnet-8", "norm": ["batch", "none"], "alpha": [0.1, 0.01], "batch_size": [8, 16], "epochs": 4}
    config = {"preset": "p", "augmentation": {"flip": False}, "initialization": {"probes": {}}, "grid": [entry]}

    def found(**options):
        probes = {"gradient_structure": {"minibatches": 2} | options}
        return grid.moments(configs.resolve(config | {"trained": {"probes": probes}}), "gradient_structure")

    assert {c.batch_size for c in found(at=[1], where={"norm": ["none"], "batch_size": [16]})} == {16}
    assert len(found(at=[1], where={"norm": ["none"], "batch_size": [16]})) == 2
    assert found(at=[]) == {}
    with pytest.raises(UserError, match=r"trained\.probes\.gradient_structure\.where\.norm\[0\]: 'bach' is unknown"):
        found(at=[1], where={"norm": ["bach"]})


@pytest.mark.parametrize(
    ("trained", "message"),
    [
        ({"at": [0, 0.3], "minibatches": 2}, r"trained\.probes\.gradient_structure\.at\[1\]: 0\.3 is no snapshot"),
        ({"at": [1], "minibatches": 1}, "1"),
    ],
)
def test_moments_without_a_snapshot_are_refused(trained, message):
    config = {"preset": "p", "augmentation": {"flip": False}, "initialization": {"probes": {}}, "snapshots": [0.5]}
    with pytest.raises(UserError, match=message):
        configs.resolve(config | {"trained": {"probes": {"gradient_structure": trained}}})


def test_the_main_network_is_that_of_most_cells():
    entries = [
        {"arch": "resnet-14", "norm": "batch", "alpha": 0.1, "epochs": 1},
        {"arch": "resnet-8", "norm": ["batch", "none"], "alpha": [0.1, 0.2], "batch_size": [64, 32], "epochs": 1},
    ]
    config = {"preset": "p", "augmentation": {"flip": False}, "initialization": {"probes": {}}, "grid": entries}
    assert grid.main_network(configs.resolve(config)) == ("resnet-8", "xavier_uniform", 64)
    assert grid.main_network(configs.resolve(config | {"grid": []})) is None
