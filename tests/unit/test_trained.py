"""Measurements on trained networks: which networks, at which moments, and what stands in front of the values."""

import numpy as np
import pandas as pd
import pytest
import torch
from damage import flip_a_bit
from training_runs import AUGMENTATION, OPTIMISER, cell, fresh, lane, results, run
from training_runs import job as training_job

from understanding_bn import record
from understanding_bn.analysis.context import Context
from understanding_bn.cell import Network
from understanding_bn.data import store as stores
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Measure
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import cells, plan, times
from understanding_bn.measurements.gradient_noise import GradientNoise
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.stages import measure
from understanding_bn.stages import train as stage
from understanding_bn.summaries.gradient_structure import along_training, at_losses
from understanding_bn.summaries.training import at_shares
from understanding_bn.training import loop


@pytest.fixture(scope="module")
def sound(digits_path, tmp_path_factory):
    """A training job of two seeds, with a snapshot halfway."""
    out = tmp_path_factory.mktemp("sound")
    run(digits_path, out, out / "state", [0, 1])
    return out


def job(network, at, seeds):
    options = GradientStructure(at=at, minibatches=2)
    facts = {"optimiser": OPTIMISER, "augmentation": AUGMENTATION}
    return Measure(measurement="gradient_structure", network=network, options=options, seeds=seeds, **facts)


def measured(digits_path, weights, out, at, seeds=(0, 1), **changes):
    made = job(cell(**changes), at, seeds)
    measure.run(made, digits_path, weights / "weights.pt", out, threads=1, wanted_device="cpu")
    return pd.read_parquet(out / "values.parquet"), record.read(out / "run.json")


def test_a_measurement_does_not_shrink_with_its_data(digits_path, tmp_path):
    """The size of one's own data is known only here: 64 · 30 images are more than there are."""
    options = GradientNoise(batch_sizes=[8, 64], minibatches=30, alphas=[0.001, 0.1])
    network = Network(arch="resnet-8", init="kaiming", norm="none", batch_size=8)
    facts = {"optimiser": OPTIMISER, "augmentation": AUGMENTATION, "seeds": (0,)}
    made = Measure(measurement="gradient_noise", network=network, options=options, **facts)
    key = r"config key initialization\.measurements\.gradient_noise\.minibatches: "
    with pytest.raises(UserError, match=key + "30 mini-batches of 64 images .* 1437; expected at most 22"):
        measure.run(made, digits_path, None, tmp_path / "out", 1, "cpu")
    assert not (tmp_path / "out").exists()


def test_each_moment_and_seed_is_measured(digits_path, sound, tmp_path):
    table, run = measured(digits_path, sound, tmp_path, [1, 0, 0.5])
    moments = table[["seed", "epoch", "fraction"]].drop_duplicates()
    assert moments.to_numpy().tolist() == [[s, e, e / 2] for s in (0, 1) for e in (0, 1, 2)]
    assert table["alpha"].isna().equals(table["epoch"] == 0)  # before training a network is the same for every α
    assert table[["arch", "norm", "batch_size", "epochs"]].iloc[0].tolist() == ["resnet-8", "batch", 128, 2]
    assert (run.stage, run.bn_mode) == ("trained", "train")
    assert run.job == job(cell(), [1, 0, 0.5], (0, 1))
    assert run.weights_sha256 == record.read(sound / "run.json").outputs["weights.pt"]


def test_the_network_measured_is_the_one_that_training_left(digits_path, sound, tmp_path, monkeypatch):
    left = torch.load(sound / "weights.pt", weights_only=True)
    models, build = [], Context.model

    def built(self, norm, seed):
        models.append(build(self, norm, seed).eval())
        return models[-1]

    monkeypatch.setattr(Context, "model", built)
    measured(digits_path, sound, tmp_path, [0.5, 1], seeds=[1])
    assert len(models) % 2 == 0  # as many after each epoch
    for position, model in enumerate(models):
        for name, value in left[1][1 + 2 * position // len(models)].items():
            if "running" not in name and "tracked" not in name:  # measuring goes on counting these
                assert torch.equal(model.state_dict()[name], value)


def test_before_training_the_values_are_those_of_a_network_at_initialisation(digits_path, sound, tmp_path):
    """A measurement sees no difference: its context hands it the network."""
    table, _ = measured(digits_path, sound, tmp_path / "trained", [0, 1], seeds=[0])
    network = Network(arch="resnet-8", init="xavier_uniform", norm="batch", batch_size=128)
    measure.run(job(network, [0], [0]), digits_path, None, tmp_path / "start", threads=1, wanted_device="cpu")
    start = pd.read_parquet(tmp_path / "start" / "values.parquet")
    before, after = (table[table["epoch"] == epoch].reset_index(drop=True)["value"] for epoch in (0, 2))
    assert np.array_equal(before, start["value"], equal_nan=True)
    assert not np.array_equal(before, after, equal_nan=True)


def test_a_network_that_diverged_has_no_rows_but_every_column(digits_path, tmp_path):
    changes = {"norm": "none", "alpha": 1000.0}
    run(digits_path, tmp_path, tmp_path / "state", [0, 1], **changes)
    table, _ = measured(digits_path, tmp_path, tmp_path / "a", [0, 0.5, 1], **changes)
    assert set(table["epoch"]) == {0}
    none, _ = measured(digits_path, tmp_path, tmp_path / "b", [1], **changes)
    assert len(none) == 0
    assert none.columns.tolist() == table.columns.tolist()
    assert none.dtypes.tolist() == table.dtypes.tolist()


def test_weights_that_are_damaged_missing_or_of_another_run_are_refused(digits_path, sound, tmp_path):
    with pytest.raises(UserError, match=r"trained as .*epochs-2.*, not as .*epochs-100"):
        measured(digits_path, sound, tmp_path / "x", [0.01], seeds=[0], epochs=100)
    with pytest.raises(UserError, match="no weights of seed 0 after 1 epochs"):
        other = tmp_path / "without a snapshot"
        run(digits_path, other, tmp_path / "state", [0], snapshots=())
        measured(digits_path, other, tmp_path / "x", [0.5], seeds=[0])
    with pytest.raises(UserError, match="holds no seed 7"):
        measured(digits_path, sound, tmp_path / "x", [1], seeds=[7])
    with pytest.raises(UserError, match="no such file; train that cell first"):
        measured(digits_path, tmp_path, tmp_path / "x", [1])
    run(digits_path, tmp_path, tmp_path / "state", [0], epochs=1)
    flip_a_bit(tmp_path / "weights.pt")
    with pytest.raises(UserError, match=r"weights\.pt: not the file that its job wrote"):
        measured(digits_path, tmp_path, tmp_path / "x", [1], seeds=[0], epochs=1)
    assert not (tmp_path / "x").exists()


ENTRY = {"arch": "resnet-8", "norm": ["batch", "none"], "alpha": [0.1, 0.01], "batch_size": [8, 16], "epochs": 4}
CONFIG = {"preset": "p", "augmentation": {"flip": False}, "initialization": {"measurements": {}}, "grid": [ENTRY]}


def config(changes=None, **options):
    """A config that measures gradient_structure with these options."""
    measurements = {"gradient_structure": {"minibatches": 2} | options}
    return resolve(CONFIG | (changes or {}) | {"trained": {"measurements": measurements}})


def moments(**options):
    """At which shares of training each cell of the grid is measured."""
    resolved = config(**options)
    return times(cells(resolved), resolved.trained.measurements.gradient_structure)


def test_before_training_each_network_is_measured_once():
    both = moments(at=[0, 1])
    assert len(both) == 8
    assert [shares for shares in both.values() if 0 in shares] == [(0, 1)] * 4
    assert {(c.norm, c.batch_size) for c in moments(at=[0])} == {(n, b) for n in ("batch", "none") for b in (8, 16)}
    assert len(moments(at=[0])) == 4


def test_cells_and_moments_are_chosen_by_the_config():
    some = moments(at=[1], where={"norm": ["none"], "batch_size": [16]})
    assert [(c.norm, c.batch_size, c.alpha) for c in some] == [("none", 16, 0.1), ("none", 16, 0.01)]
    assert moments(at=[]) == {}
    place = r"trained\.measurements\.gradient_structure\.where\.norm\[0\]"
    with pytest.raises(UserError, match=rf"{place}: 'bach' is unknown"):
        moments(at=[1], where={"norm": ["bach"]})


def test_the_jobs_of_a_plan_measure_at_these_moments():
    made = plan(config({"seeds": 2}, at=[0, 1])).trained["gradient_structure"]
    assert {job.network: job.options.at for job in made} == moments(at=[0, 1])
    assert [job.seeds for job in made[:2]] == [(0,), (1,)]
    assert made[0].options.where.model_dump() == {}  # where a measurement is made is no part of what a job does


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": [0, 0.3]}, r"trained\.measurements\.gradient_structure\.at\[1\]: 0\.3 is no snapshot"),
        ({"at": [1], "minibatches": 1}, r"gradient_structure\.minibatches: 1 "),
    ],
)
def test_moments_without_a_snapshot_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        config({"snapshots": [0.5]}, **options)


def test_the_main_network_is_that_of_most_cells():
    entries = [
        {"arch": "resnet-14", "norm": "batch", "alpha": 0.1, "epochs": 1},
        {"arch": "resnet-8", "norm": ["batch", "none"], "alpha": [0.1, 0.2], "batch_size": [64, 32], "epochs": 1},
    ]
    assert plan(resolve(CONFIG | {"grid": entries})).main == ("resnet-8", "xavier_uniform", 64)
    assert plan(resolve(CONFIG | {"grid": []})).main is None


def test_networks_are_measured_where_they_first_reached_a_loss(digits_path, tmp_path):
    """Weights are kept after that epoch. What never gets there has no row, and that is no error."""
    losses = (1.0, 1.2, 1e-9)
    training = training_job((0, 1), epochs=3).model_copy(update={"snapshots": (), "snapshot_losses": losses})
    stage.run(training, digits_path, tmp_path / "run", tmp_path / "state", threads=1, wanted_device="cpu")
    history, weights, _ = results(tmp_path / "run")
    by_seed = {seed: rows.set_index("epoch")["train_loss"] for seed, rows in history.groupby("seed")}
    first = {seed: {loss: rows.index[rows <= loss].min() for loss in (1.2, 1.0)} for seed, rows in by_seed.items()}
    assert {seed: {*kept} for seed, kept in weights.items()} == {
        s: {3, *epochs.values()} for s, epochs in first.items()
    }
    kept = [epoch in weights[seed] for seed, epoch in history[["seed", "epoch"]].to_numpy()]
    assert history["clean_train_loss"].notna().tolist() == kept
    made = job(cell(epochs=3), [1], (0, 1))
    made = made.model_copy(update={"options": made.options.model_copy(update={"at_losses": losses})})
    measure.run(made, digits_path, tmp_path / "run" / "weights.pt", tmp_path / "out", threads=1, wanted_device="cpu")
    table = pd.read_parquet(tmp_path / "out" / "values.parquet")
    moments = table[["seed", "epoch", "fraction", "at_loss"]].drop_duplicates().to_numpy()
    expected = [[s, *m] for s in (0, 1) for m in ((3, 1, np.nan), *((e, np.nan, x) for x, e in first[s].items()))]
    assert np.array_equal(moments, np.array(expected), equal_nan=True)
    assert at_shares(table)["epoch"].eq(3).all()
    assert along_training(table)["epoch"].tolist() == [3, 3]
    assert at_losses(table, history).groupby("at_loss")["epoch"].count().to_dict() == {1.0: 2, 1.2: 2}


def test_losses_are_kept_when_a_run_is_resumed(digits_path, tmp_path):
    """The first epoch below a loss is the same, whether the epochs before it were trained by this process or not."""

    class Stop(Exception):
        pass

    def tick(lane):
        if lane.run.epoch == 2 and len(lane.run.losses) == 1:
            raise Stop

    store, interrupted = stores.load(digits_path), fresh(epochs=3)
    with pytest.raises(Stop):
        loop.train([lane(interrupted, store, epochs=3, keep_losses=(100.0, 1e-9))], tick)
    loop.train([lane(interrupted, store, epochs=3, keep_losses=(100.0, 1e-9))])
    assert [*interrupted.snapshots] == [1, 3]


def test_a_measurement_at_losses_alone_is_planned_and_needs_their_snapshots():
    kept = {"snapshot_losses": [1.0, 0.1]}
    made = plan(config(kept, at=[], at_losses=[0.1]))
    assert {job.options.at_losses for job in made.trained["gradient_structure"]} == {(0.1,)}
    assert {job.snapshot_losses for job in made.train} == {(1.0, 0.1)}
    message = r"gradient_structure\.at_losses\[1\]: 0\.5 is not among \[1\.0, 0\.1\], the snapshot_losses"
    with pytest.raises(UserError, match=message):
        config(kept, at=[1], at_losses=[0.1, 0.5])
