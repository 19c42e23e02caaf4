"""The training loop: schedule, divergence, independence of seeds."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F
from training_runs import AUGMENTATION, CPU, MILESTONES, fresh, job, lane, train

from understanding_bn.data import store as stores
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.settings import Augmentation
from understanding_bn.stages import train as stage
from understanding_bn.training import divergence, loop
from understanding_bn.training.state import state_of, weight_norm
from understanding_bn.training.update import step


@pytest.mark.parametrize(
    ("epochs", "drops"), [(8, (4, 6)), (165, (83, 124)), (1, (1, 1)), (2, (1, 2)), (3, (2, 3)), (4, (2, 3))]
)
def test_learning_rate_falls_at_half_and_three_quarters(epochs, drops):
    """In the first epoch that begins when so much is done: a training of one epoch keeps α throughout."""
    rates = [loop.learning_rate(0.1, epoch, epochs, MILESTONES) for epoch in range(epochs)]
    expected = [0.1 * 0.1 ** sum(epoch >= drop for drop in drops) for epoch in range(epochs)]
    assert rates == pytest.approx(expected)


def test_learning_rate_follows_other_milestones():
    assert [loop.learning_rate(1, epoch, 10, []) for epoch in (0, 9)] == [1, 1]
    thrice = [loop.learning_rate(1, epoch, 10, [0.1, 0.5, 0.9]) for epoch in (0, 1, 5, 9)]
    assert thrice == pytest.approx([1, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_a_milestone_is_the_share_that_is_written(hundredths):
    """0.29 · 100 is 28.999999999999996 in floats, 0.07 · 100 is 7.000000000000001."""
    rates = [loop.learning_rate(1, epoch, 100, [hundredths / 100]) for epoch in range(100)]
    assert rates.index(pytest.approx(0.1)) == hundredths
    ninety = [loop.learning_rate(1, epoch, 90, [hundredths / 100]) for epoch in range(90)]
    assert sum(rate == 1 for rate in ninety) == -(-hundredths * 90 // 100)


def test_a_network_whose_logits_are_the_same_for_every_image_has_collapsed():
    row = torch.tensor([[1.0, -3.0, 2.0]])
    assert divergence.collapsed(row.repeat(8, 1))
    spread = row.repeat(8, 1)
    spread[0, 1] += 0.1
    assert not divergence.collapsed(spread)
    assert not divergence.collapsed(torch.full((8, 3), float("nan")))  # that is divergence, and judged there


def judge(*losses):
    """The record of a run with these losses, which must not depend on how they are cut into epochs."""
    array = np.array(losses, dtype=np.float32)
    records = set()
    for length in range(1, len(losses) + 1):
        record, steps, last = divergence.Divergence(), 0, None
        while steps < len(losses) and record.first_bad_step is None:
            epoch = array[steps : steps + length]
            record = divergence.judge(epoch, losses[0], record, steps, last)
            steps, last = steps + len(epoch), float(epoch[-1])
        records.add(record)
    assert len(records) == 1
    return records.pop()


def test_a_sound_run_has_no_bad_step():
    assert judge(2.3, 5, 1, 0.2) == divergence.Divergence()


def test_relative_and_absolute_bounds_are_recorded_apart():
    found = judge(2.0, 999.0, 1500.0, 2001.0, 5.0)
    assert (found.kind, found.first_bad_step, found.first_absolute_step) == ("overflow", 4, 3)
    assert found.last_finite_loss == 2001.0
    # A network that starts beyond 1e3 has not diverged by that alone.
    assert judge(1200.0, 1100.0, 900.0) == divergence.Divergence(first_absolute_step=1)


@pytest.mark.parametrize(("bad", "kind"), [(math.inf, "overflow"), (math.nan, "NaN")])
def test_losses_that_are_not_finite(bad, kind):
    assert judge(2.0, 3.0, bad, bad) == divergence.Divergence(kind, 3, 3, 3.0)
    assert judge(bad, 1.0) == divergence.Divergence(kind, 1, 1, None)


def test_stuck_at_chance_is_what_guessing_gives():
    assert divergence.stuck_at_chance(0.105, 1437, 0.1023)
    assert divergence.stuck_at_chance(0.05, 1437, 0.1023)
    assert not divergence.stuck_at_chance(0.2, 1437, 0.1023)
    assert not divergence.stuck_at_chance(0.11, 50_000, 0.1)


def test_first_update_is_momentum_sgd_with_weight_decay(digits):
    split = Split(digits, "train", 1, CPU)
    run = fresh()
    reference = fresh().model.double()
    images, labels = next(split.epoch(0, 0, 128, AUGMENTATION))
    loss = F.cross_entropy(reference(images.double()), labels)
    gradients = torch.autograd.grad(loss, list(reference.parameters()))
    ours, _ = step(run.model, run.optimiser, images, labels)
    assert ours.item() == pytest.approx(loss.item(), rel=1e-5)
    for ours, theirs, gradient in zip(run.model.parameters(), reference.parameters(), gradients, strict=True):
        expected = theirs.detach() - 0.05 * (gradient + 5e-4 * theirs.detach())
        assert torch.allclose(ours.double(), expected, atol=1e-5)


def test_history_is_what_the_optimiser_saw(digits_path, digits, tmp_path):
    history, weights, record = train(digits_path, tmp_path / "a", tmp_path / "state", [0])
    assert history["epoch"].tolist() == [1, 2]
    assert history["fraction"].tolist() == [0.5, 1.0]
    assert history["learning_rate"].tolist() == pytest.approx([0.05, 0.005])
    assert history[["norm", "alpha", "batch_size"]].iloc[0].tolist() == ["batch", 0.05, 128]
    # Test accuracy and loss belong to the final weights, in eval mode.
    run = fresh()
    run.model.load_state_dict(weights[0][2])
    run.model.eval()
    images, labels = next(Split(digits, "test", 0, CPU).in_order(1000))
    with torch.no_grad():
        logits = run.model(images)
    assert history["test_accuracy"].iloc[-1] == (logits.argmax(1) == labels).float().mean().item() or (
        history["test_accuracy"].iloc[-1] == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    )
    assert history["test_loss"].iloc[-1] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert record.job == job([0])
    assert record.place == job([0]).folder
    assert record.data.sha256 == digits.info["sha256"]
    assert (record.device, record.threads, record.code_fingerprint) == ("cpu", 1, job([0]).code)
    assert not any((tmp_path / "state").iterdir())


def test_clean_accuracies_and_which_test_images_are_correct(digits_path, digits, tmp_path):
    """Of the final weights and the snapshot's, in eval mode, without augmentation; a bit for each test image."""
    history, weights, _ = train(digits_path, tmp_path / "a", tmp_path / "state", [0], epochs=4)
    run = fresh()
    for epoch in (2, 4):
        run.model.load_state_dict(weights[0][epoch])
        run.model.eval()
        images, labels = next(Split(digits, "train", 0, CPU).in_order(2000))
        with torch.no_grad():
            logits = run.model(images)
        row = history[history["epoch"] == epoch].iloc[0]
        assert row["clean_train_accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean().item())
        assert row["clean_train_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert history["clean_train_accuracy"].notna().tolist() == [False, True, False, True]
    assert history["test_correct"].isna().tolist() == [True, True, True, False]
    images, labels = next(Split(digits, "test", 0, CPU).in_order(1000))
    with torch.no_grad():
        right = run.model(images).argmax(1) == labels
    bits = np.frombuffer(history["test_correct"].iloc[-1], dtype=np.uint8)
    assert len(bits) == 45
    assert np.unpackbits(bits, count=360).tolist() == right.int().tolist()
    assert history["test_accuracy"].iloc[-1] == pytest.approx(right.double().mean().item())


def test_a_seed_alone_equals_the_same_seed_in_a_block(digits_path, tmp_path):
    block, block_weights, _ = train(digits_path, tmp_path / "block", tmp_path / "s", [5, 1, 3])
    alone, alone_weights, _ = train(digits_path, tmp_path / "alone", tmp_path / "s", [1])
    theirs = block[block["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(theirs, alone, check_exact=True)
    assert list(alone_weights[1]) == [1, 2]  # half of training, and its end
    assert all(torch.equal(block_weights[1][2][k], v) for k, v in alone_weights[1][2].items())
    assert not torch.equal(block_weights[5][2]["linear.weight"], block_weights[3][2]["linear.weight"])


def test_snapshots_are_the_weights_of_their_moment(digits_path, tmp_path):
    """Those of a run that is stopped there, because the learning rate has not fallen by then."""
    _, long, record = train(digits_path, tmp_path / "long", tmp_path / "s", [0], epochs=4)
    assert record.job.snapshots == (0.5,)
    assert list(long[0]) == [2, 4]
    run = fresh(epochs=4)

    class Stop(Exception):
        pass

    def tick(lane):
        if run.epoch == 2:
            raise Stop

    with pytest.raises(Stop):
        loop.train([lane(run, stores.load(digits_path), epochs=4)], tick)
    assert all(torch.equal(long[0][2][name], value) for name, value in run.model.state_dict().items())
    assert not torch.equal(long[0][2]["linear.weight"], long[0][4]["linear.weight"])


def test_diverged_runs_are_results(digits_path, tmp_path):
    history, _, _ = train(digits_path, tmp_path / "d", tmp_path / "s", [0, 1], norm="none", alpha=1000.0, epochs=3)
    last = history.groupby("seed").tail(1)
    assert last["failure"].isin(["overflow", "NaN"]).all()
    assert (last["first_bad_step"] >= 2).all()
    assert np.isfinite(last["last_finite_loss"]).all()
    assert history["epoch"].max() == 1  # it stops there
    measured = history[["train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_norm"]]
    assert measured.isna().all(axis=None)
    assert history["train_loss"].dtype == np.float64


def test_flip_is_refused_for_digits(digits_path, tmp_path):
    with pytest.raises(UserError, match="mirrored digits are different characters"):
        flipped = job([0]).model_copy(update={"augmentation": Augmentation(pad=1, flip=True)})
        stage.run(flipped, digits_path, tmp_path, tmp_path, threads=1, wanted_device="cpu")


def test_weight_norm_is_that_of_all_parameters_together():
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0]]))
        model.bias.fill_(12.0)
    assert weight_norm(model) == pytest.approx(13)


def test_a_run_that_blows_up_in_its_last_update_has_diverged(digits_path, tmp_path):
    """One update in all, and a large one: the loss before it is that of any network."""
    options = {"norm": "none", "alpha": 1000.0, "epochs": 1, "batch_size": 1437}
    history, _, _ = train(digits_path, tmp_path / "d", tmp_path / "s", [0], **options)
    assert history["failure"].tolist() in (["overflow"], ["NaN"])
    assert history["first_bad_step"].tolist() == [2]
    assert np.isfinite(history["last_finite_loss"].item())
    assert history[["train_loss", "test_loss", "test_accuracy", "weight_norm"]].isna().all(axis=None)


def test_judging_the_last_update_leaves_the_network_as_it_is(digits):
    split = Split(digits, "train", 1, CPU)
    training = fresh()
    minibatch = next(iter(split.epoch(0, 0, 64, AUGMENTATION)))
    with torch.no_grad():
        expected = torch.nn.functional.cross_entropy(training.model.train()(minibatch[0]), minibatch[1]).item()
    before = state_of(training.model)
    assert loop.loss_after(training.model, training.model, minibatch) == expected
    assert all(torch.equal(value, before[name]) for name, value in state_of(training.model).items())
