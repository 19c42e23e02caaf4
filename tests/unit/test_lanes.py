"""Lanes: runs side by side, and steps that are recorded and replayed as graphs, with a stand-in for a GPU's."""

import pandas as pd
import pytest
import torch
from fake_graphs import FakeGraphs
from training_runs import (
    BATCHES,
    LOOKS,
    cell,
    fresh,
    interrupted,
    job,
    lane,
    left_in_the_second_epoch,
    results,
    run,
    signal_at,
    train,
)

from understanding_bn.errors import Stopped, UserError
from understanding_bn.stages import train as stage
from understanding_bn.training import checkpoint, graphs, loop, precision
from understanding_bn.training.compiled import compile_blocks


def same(left, right):
    """Whether two runs went the same way, bit for bit."""
    pd.testing.assert_frame_equal(pd.DataFrame(left.rows), pd.DataFrame(right.rows), check_exact=True)
    assert left.failure == right.failure
    assert left.snapshots.keys() == right.snapshots.keys()
    for epoch, weights in left.snapshots.items():
        for name, value in weights.items():
            assert torch.equal(value.nan_to_num(), right.snapshots[epoch][name].nan_to_num()), (epoch, name)


def on_the_device(seed=0, **changes):
    """A run whose learning rate is a tensor, as on a GPU, where a graph reads it."""
    made = fresh(seed, **changes)
    for group in made.optimiser.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    return made


class Step(graphs.Recorder):
    """Records nothing: what a graph does is done by Python, on the same tensors."""

    def place(self):
        return FakeGraphs().place()

    def record(self, function):
        return function

    def arrived(self):
        return True


CHANGES = [
    pytest.param({"norm": "batch", "keep": [1]}, id="batch"),
    pytest.param({"norm": "none", "alpha": 0.01}, id="none"),
    pytest.param({"norm": "group", "epochs": 3}, id="group"),
    pytest.param({"norm": "ghost-64"}, id="ghost-64"),
    pytest.param({"norm": "batch-final", "batch_size": 400}, id="batch-final"),
]


@pytest.mark.parametrize("changes", CHANGES)
def test_a_replayed_step_is_the_step(digits, changes):
    """The plan of an epoch, the position in it and the learning rate are read from tensors, none from Python."""
    settings = {name: value for name, value in changes.items() if name != "keep"}
    plain, replayed = (on_the_device(**settings) for _ in range(2))
    recorder = FakeGraphs()
    loop.train([lane(plain, digits, recorder=Step(), **changes)])
    loop.train([lane(replayed, digits, recorder=recorder, **changes)])
    same(plain, replayed)
    per_epoch = 1437 // settings.get("batch_size", 128)
    assert recorder.replays == settings.get("epochs", 2) * (per_epoch + 1)  # and the test split


@pytest.mark.parametrize("changes", CHANGES)
def test_recording_leaves_the_run_as_it_was(digits, changes):
    """So that training with graphs equals training without: warm-up steps and the recorded one are undone."""
    settings = {name: value for name, value in changes.items() if name != "keep"}
    recorded, alone = on_the_device(**settings), on_the_device(**settings)
    loop.train([lane(recorded, digits, recorder=FakeGraphs(), **changes)])
    loop.train([lane(alone, digits, **changes)])  # no recorder at all: the path of a CPU
    same(recorded, alone)


def test_a_fake_graph_shows_what_python_left_in_a_step():
    """The stand-in is of use only if it keeps numbers that Python works out."""
    position, seen = torch.zeros(1), torch.zeros(1)
    python = iter(range(10))

    def step():
        seen.copy_(position + next(python))
        position.add_(1)

    replay = FakeGraphs().record(step)
    replay()
    assert seen.item() == 3 + 2  # the position moves on, Python's number stays
    with pytest.raises(AssertionError, match="makes a GPU wait"):
        FakeGraphs().record(lambda: position.item())


def test_a_run_taken_up_in_the_middle_of_an_epoch_is_recorded_anew(digits, tmp_path):
    whole, part = on_the_device(), on_the_device()
    loop.train([lane(whole, digits, recorder=FakeGraphs())])
    left_in_the_second_epoch(lane(part, digits, recorder=FakeGraphs()), tmp_path)
    again = on_the_device()
    assert checkpoint.restore(again, tmp_path)
    assert again.where == "1 epochs and 4 mini-batches"
    loop.train([lane(again, digits, recorder=FakeGraphs())])
    same(whole, again)
    assert {name: int(value) for name, value in again.model.state_dict().items() if "tracked" in name} == {
        name: 2 * BATCHES for name in again.model.state_dict() if "tracked" in name
    }


def test_lanes_of_different_cells_and_lengths_equal_runs_alone(digits):
    """One of them diverges beside the others; where one ends, the next takes its place."""
    cells = [
        {"norm": "batch", "epochs": 3},
        {"norm": "none", "alpha": 1000.0, "epochs": 3},
        {"norm": "layer", "batch_size": 700, "epochs": 1},
        {"norm": "group", "batch_size": 32},
    ]
    side_by_side = [fresh(seed, **changes) for seed, changes in enumerate(cells)]
    most, ends = [0], []
    going = set()

    def tick(lane):
        going.add(lane)
        most.append(len(going))

    def ended(lane):
        going.discard(lane)
        ends.append(lane.seed)

    pairs = list(enumerate(zip(side_by_side, cells, strict=True)))
    made = (lane(each, digits, seed, **changes) for seed, (each, changes) in pairs)
    loop.train(made, tick, lambda number: number < 3, ended)
    assert max(most) == 3
    assert sorted(ends) == [0, 1, 2, 3]
    assert ends[0] == 1  # at its second mini-batch
    for seed, (run_, changes) in pairs:
        alone = fresh(seed, **changes)
        loop.train([lane(alone, digits, seed, **changes)])
        same(run_, alone)
    assert side_by_side[1].diverged


def test_on_a_device_divergence_is_found_at_the_epochs_end_at_its_exact_step(digits):
    settings = {"norm": "none", "alpha": 1000.0}
    at_once, later = fresh(**settings), on_the_device(**settings)
    loop.train([lane(at_once, digits, **settings)])
    loop.train([lane(later, digits, recorder=FakeGraphs(late=3), **settings)])
    assert later.failure == at_once.failure
    assert later.diverged
    assert at_once.failure.first_bad_step <= at_once.steps < later.steps == BATCHES


def test_a_lane_that_waits_for_its_device_lets_the_others_go_on(digits):
    slow, quick = on_the_device(), on_the_device(1)
    at_the_end = []

    def ended(lane):
        at_the_end.append((lane.seed, quick.epoch if lane.seed == 0 else slow.epoch))

    both = [lane(slow, digits, recorder=FakeGraphs(late=50)), lane(quick, digits, 1, recorder=FakeGraphs())]
    loop.train(both, room=lambda going: going < 2, ended=ended)
    assert at_the_end == [(1, 0), (0, 2)]


def test_jobs_side_by_side_equal_jobs_one_after_the_other(digits_path, tmp_path):
    """Two jobs of three seeds in all, three lanes: each leaves the files that it leaves alone."""
    work = [(job([0, 2]), tmp_path / "a"), (job([1], norm="none", alpha=0.01, epochs=1), tmp_path / "b")]
    stage.together(work, digits_path, tmp_path / "state", 1, "cpu", lanes=3)
    for each, folder in work:
        alone = tmp_path / "alone" / folder.name
        stage.run(each, digits_path, alone, tmp_path / "s", 1, "cpu")
        ours, theirs = results(folder), results(alone)
        pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
        assert ours[2].outputs == theirs[2].outputs  # weights too, to the byte
    assert not any((tmp_path / "state").iterdir())
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a", "alone", "b", "s", "state"]


def test_tf32_is_a_setting_of_the_process(digits_path, tmp_path):
    work = [(job([0]), tmp_path / "a"), (job([0]).model_copy(update={"precision": "tf32"}), tmp_path / "b")]
    with pytest.raises(ValueError, match="jobs in tf32 need one of their own"):
        stage.together(work, digits_path, tmp_path / "state", 1, "cpu")


def test_told_to_stop_all_lanes_are_saved(digits_path, tmp_path):
    state, out = tmp_path / "state", tmp_path / "out"
    stop_late = signal_at(2 * (LOOKS + 3))  # in the second epoch of both

    with pytest.raises(Stopped, match=r"in seed \d after 1 epochs and"):
        stage.run(job([0, 1]), digits_path, out, state, 1, "cpu", 2, tick=stop_late)
    assert len(list(state.glob("*/newest.checkpoint"))) == 2
    stage.run(job([0, 1]), digits_path, out, state, 1, "cpu", 2)
    ours = results(out)
    assert ours[2].training.resumed_seeds == (0, 1)
    theirs = train(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1])
    pd.testing.assert_frame_equal(ours[0], theirs[0], check_exact=True)
    assert ours[2].outputs == theirs[2].outputs


def test_a_job_that_fails_beside_another_keeps_what_that_had(digits_path, tmp_path):
    """The first job has ended when the second one fails; its files stand."""
    looks = iter(range(10**6))

    def tick():
        if next(looks) > LOOKS + 4:
            raise ZeroDivisionError

    work = [(job([0], epochs=1), tmp_path / "a"), (job([1], epochs=3), tmp_path / "b")]
    with pytest.raises(ZeroDivisionError):
        stage.together(work, digits_path, tmp_path / "state", 1, "cpu", tick=tick)
    assert (tmp_path / "a" / "run.json").is_file()
    assert not (tmp_path / "b").exists()


def test_a_gpus_room_is_its_memory():
    """How many lanes go side by side where none are asked for."""
    assert [stage.fits(0, 0, 100), stage.fits(1, 60, 50), stage.fits(2, 80, 60)] == [True, False, True]
    assert not stage.fits(stage.MOST_LANES, 8, 10**6)


def test_bfloat16_keeps_pooling_linear_layer_and_loss_in_float32(digits):
    half, whole = fresh(), fresh()
    network = precision.forward(half.model, "bfloat16")
    seen = {}
    half.model.linear.register_forward_pre_hook(lambda module, inputs: seen.update(linear=inputs[0].dtype))
    half.model.blocks.register_forward_hook(lambda module, inputs, output: seen.update(blocks=output.dtype))
    images = torch.randn(16, 1, 8, 8)
    logits = network(images)
    assert seen == {"linear": torch.float32, "blocks": torch.bfloat16}
    assert logits.dtype == torch.float32
    exact = whole.model(images)
    difference = (logits - exact).abs().max() / exact.abs().max()
    assert 0 < difference < 0.05  # eight bits, through seven layers
    assert all(p.dtype == torch.float32 for p in half.model.parameters())


def test_precision_is_part_of_a_runs_identity(digits_path, tmp_path):
    first = job([0], epochs=1)
    second = first.model_copy(update={"precision": "bfloat16"})
    assert first.spec != second.spec
    stage.run(second, digits_path, tmp_path / "half", tmp_path / "state", 1, "cpu")
    stage.run(first, digits_path, tmp_path / "whole", tmp_path / "state", 1, "cpu")
    half, whole = results(tmp_path / "half"), results(tmp_path / "whole")
    assert (half[2].dtype, whole[2].dtype) == ("bfloat16", "float32")
    assert half[2].training.state_keys != whole[2].training.state_keys
    assert not half[0]["train_loss"].equals(whole[0]["train_loss"])
    assert half[0]["train_loss"].item() == pytest.approx(whole[0]["train_loss"].item(), rel=0.05)


def test_tf32_is_refused_on_a_cpu_in_one_line(digits_path, tmp_path):
    asked = job([0]).model_copy(update={"precision": "tf32"})
    with pytest.raises(
        UserError, match="config key precision: tf32 is a precision of GPUs, and this job runs on a CPU"
    ):
        stage.run(asked, digits_path, tmp_path / "out", tmp_path / "state", 1, "cpu")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("model name\t: X\nflags\t\t: fpu avx512f avx512_bf16 sse\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("flags\t\t: fpu avx2\n", False),
        ("", False),
        (None, False),
    ],
)
def test_whether_a_processor_has_bfloat16(tmp_path, text, has):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert precision.cpu_has_bfloat16(tmp_path / "cpuinfo") is has


def test_without_the_instructions_a_line_says_that_it_will_be_slow(digits_path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: False)
    asked = job([0], epochs=1).model_copy(update={"precision": "bfloat16"})
    stage.run(asked, digits_path, tmp_path / "out", tmp_path / "state", 1, "cpu")
    assert "no instructions for bfloat16: training will be slower than in float32" in capsys.readouterr().err


def test_counting_mini_batches_is_left_to_the_epochs_end():
    norms = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3, momentum=None), torch.nn.ReLU())
    images = torch.randn(4, 3, 2, 2)
    with graphs.uncounted(norms):
        norms(images)
    assert [int(norms[0].num_batches_tracked), int(norms[1].num_batches_tracked)] == [0, 1]  # the second one needs it
    graphs.count(norms, 7)
    assert [int(norms[0].num_batches_tracked), int(norms[1].num_batches_tracked)] == [7, 1]
    assert "num_batches_tracked" in norms[0].state_dict()


def test_interrupted_alone_or_side_by_side_is_the_same_checkpoint(digits_path, tmp_path):
    """Which lane a run was in is no part of its state."""
    interrupted(LOOKS + 2, digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    stage.run(job([0, 1]), digits_path, tmp_path / "out", tmp_path / "state", 1, "cpu", 2)
    ours = results(tmp_path / "out")
    run(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1])
    assert ours[2].outputs == results(tmp_path / "whole")[2].outputs
    assert ours[2].training.resumed_seeds == (0,)
    assert cell().epochs == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_compiled_blocks_compute_the_same(digits):
    """Up to rounding. Names of parameters stay, so that weights can be read without compiling."""
    compiled, plain = fresh(), fresh()
    compile_blocks(compiled.model)
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    for each in (compiled, plain):
        loop.train([lane(each, digits)])
    ours, theirs = (pd.DataFrame(each.rows)["train_loss"] for each in (compiled, plain))
    assert ours.to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-2)
