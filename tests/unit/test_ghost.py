"""Ghost batch norm: its statistics, its place among norms, what must be a multiple of its groups, training with it."""

import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn
from torch.nn import functional as F
from training_runs import fresh, job, lane, left_in_the_second_epoch, results

from understanding_bn import plugins
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.figures import style
from understanding_bn.measurements import gradient_structure
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.models import norms, resnet
from understanding_bn.stages import train as stage
from understanding_bn.training import checkpoint, loop


def images(count=12, channels=4, size=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    drawn = 3 + 2 * torch.randn(count, channels, size, size, generator=generator, dtype=torch.float64)
    return drawn.to(dtype).to(memory_format=torch.channels_last)


def trained(module):
    """The module with a scale and a shift as after some training."""
    nn.init.uniform_(module.weight, 0.5, 2)
    nn.init.normal_(module.bias)
    return module


def test_each_group_is_normalised_by_its_own_moments_forward_and_back():
    torch.manual_seed(0)
    module = trained(norms.ghost(4, 3).double())
    x, outward = images().requires_grad_(), torch.randn(12, 4, 5, 5, dtype=torch.float64)
    parts = []
    for group in x.reshape(4, 3, 4, 5, 5):
        mean, square = group.mean((0, 2, 3), keepdim=True), group.square().mean((0, 2, 3), keepdim=True)
        scale, shift = (each.view(1, 4, 1, 1) for each in (module.weight, module.bias))
        parts.append((group - mean) / (square - mean**2 + 1e-5).sqrt() * scale + shift)
    found, expected = module(x), torch.cat(parts)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    leaves = [x, module.weight, module.bias]
    for ours, theirs in zip(*(torch.autograd.grad(y, leaves, outward) for y in (found, expected)), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-11)


def test_running_statistics_move_once_towards_the_mean_over_the_groups():
    module = norms.ghost(4, 3).double()
    x = images()
    module(x), module(2 * x)
    groups = x.reshape(4, 3, 4, 5, 5)
    means = groups.mean((1, 3, 4)).mean(0)
    variances = groups.var((1, 3, 4), correction=1).mean(0)
    assert torch.allclose(module.running_mean, (0.09 + 2 * 0.1) * means, rtol=1e-12)
    assert torch.allclose(module.running_var, 0.81 + (0.09 + 4 * 0.1) * variances, rtol=1e-12)
    assert module.num_batches_tracked == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_group_of_the_whole_mini_batch_is_batch_norm_to_the_bit(dtype):
    torch.manual_seed(0)
    batch, ghost = trained(norms.batch(4)), norms.ghost(4, 12)
    ghost.load_state_dict(batch.state_dict())
    x, outward = images(dtype=dtype), images(dtype=dtype).square()
    gradients = []
    for module in (batch, ghost):
        leaf = x.clone().requires_grad_()
        output = module(leaf)
        gradients.append([output, *torch.autograd.grad(output, [leaf, module.weight, module.bias], outward)])
    assert all(map(torch.equal, *gradients))
    for name, value in batch.state_dict().items():
        assert torch.equal(ghost.state_dict()[name], value), name


def test_eval_mode_is_batch_norms_and_layout_stays():
    ghost, batch = norms.ghost(4, 3), norms.batch(4)
    assert ghost(images(dtype=torch.float32)).is_contiguous(memory_format=torch.channels_last)
    batch.load_state_dict(ghost.state_dict())
    some = images(7, dtype=torch.float32)  # no whole number of groups, nor need it be
    assert torch.equal(ghost.eval()(some), batch.eval()(some))


def test_the_order_within_groups_and_of_groups_does_not_matter_but_who_is_together_does():
    model = resnet.build("resnet-8", "ghost-3", "kaiming", 4, 10, 0).double()
    x, labels = images(), torch.arange(12) % 10

    def loss(order):
        return F.cross_entropy(model(x[order]), labels[order]).item()

    first = loss(list(range(12)))
    assert loss([2, 0, 1, 9, 11, 10, 3, 4, 5, 8, 7, 6]) == pytest.approx(first, rel=1e-12)
    assert abs(loss([3, 1, 2, 0, *range(4, 12)]) - first) > 1e-4


@pytest.mark.parametrize("count", [2, 7])
def test_a_mini_batch_that_is_no_multiple_is_refused(count):
    with pytest.raises(
        UserError, match=f"norm ghost-3: {count} images are no whole number of groups of 3; expected a multiple"
    ):
        norms.ghost(4, 3)(images(count))


def test_a_single_value_in_a_group_is_batch_norms_error():
    for module, count in ((norms.batch(4), 1), (norms.ghost(4, 1), 2)):
        with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
            module(images(count, size=1, dtype=torch.float32))


# Names


def resolved(entry=(), initialization=(), trained=(), **top):
    cell = {"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "batch_size": 32, "epochs": 1} | dict(entry)
    base = load.load(None)
    start = base["initialization"] | dict(initialization)
    return load.resolve(base | {"grid": [cell], "initialization": start} | top | dict(trained))


def test_a_ghost_norm_has_its_images_in_its_name_wherever_a_norm_is_named():
    config = resolved(
        {"norm": ["batch", "ghost-16", "ghost-32"]},
        {"norms": ["ghost-4"], "measurements": [{"relative_loss": STEPS | {"alpha": {"default": 1, "ghost-4": 0.1}}}]},
    )
    assert config.initialization.measurements.relative_loss.alpha.of("ghost-4") == 0.1
    assert [each.cell.norm for each in plan(config).train] == ["batch", "ghost-16", "ghost-32"]
    assert "norm-ghost-16/" in plan(config).train[1].folder
    made = plugins.make("norm", "ghost-16")(8)
    assert (made.images, made.num_features) == (16, 8)


@pytest.mark.parametrize("name", ["ghost", "ghost-M", "ghost-0", "ghost-08", "ghost-1.5", "ghost--2", "ghost-99999999"])
def test_other_names_like_it_are_unknown(name):
    with pytest.raises(UserError, match=r"^config key grid\[0\].norm\[0\]: .* is unknown; expected one of .*ghost-M"):
        resolved({"norm": name})


def test_a_plug_in_cannot_take_its_name(tmp_path):
    (tmp_path / "mine.py").write_text("def norm_ghost_16(channels): ...\n")
    with pytest.raises(UserError, match="norm_ghost_16: there is a norm 'ghost-16' already; rename it"):
        resolved(plugins=[str(tmp_path / "mine.py")])


def test_figures_call_it_by_its_name_and_give_each_a_colour_of_its_own():
    names = pd.Series(["ghost-16", "ghost-4", "batch", "ghost-128"])
    assert style.ordered(names) == ["batch", "ghost-4", "ghost-16", "ghost-128"]
    assert style.label("ghost-16") == "ghost-16"
    colours = style.colours(["batch", "ghost-4", "ghost-16", "ghost-128", "mine"])
    assert len(set(colours.values())) == 5
    assert style.colours(["ghost-16"])["ghost-16"] == colours["ghost-16"]


# What must be a multiple

AT_START = "initialization.measurements"
STEPS = {"minibatches": [1], "smallest_step": 0.1, "largest_step": 1, "steps_per_decade": 1}
STABLE = {"batch_size": 30, "updates": 2, "smallest_alpha": 0.1, "largest_alpha": 1, "steps_per_decade": 1}
NETWORKS = {"archs": ["resnet-8"], "inits": ["kaiming"]}
DESCENT = {"descents": [{"loss": "mse", "alphas": {"default": [0.1]}}], "updates": 1, "every": 1}
SPECTRUM = {"at": [1], "subset": 64, "top": 1, "probes": 1, "steps": 2, "batch_size": 30}


def measured(name, **options):
    return {"initialization": {"norms": ["batch", "ghost-16"], "measurements": [{name: options}]}}


def hessian(entry=(), **options):
    block = {"trained": {"measurements": {"hessian_spectrum": SPECTRUM | options}}}
    return {"entry": {"norm": ["batch", "ghost-16"]} | dict(entry), "trained": block}


@pytest.mark.parametrize(
    ("changes", "place", "size"),
    [
        ({"entry": {"norm": ["none", "ghost-16"], "batch_size": [32, 40]}}, "grid[0].batch_size[1]", 40),
        ({"entry": {"norm": "ghost-16", "batch_size": 8}}, "grid[0].batch_size[0]", 8),
        ({"initialization": {"norms": ["ghost-16"], "batch_size": 24}}, "initialization.batch_size", 24),
        (
            measured("gradient_noise", batch_sizes=[32, 60], minibatches=2, alphas=[0.1, 1]),
            f"{AT_START}.gradient_noise.batch_sizes[1]",
            60,
        ),
        (measured("max_learning_rate", **STABLE), f"{AT_START}.max_learning_rate.batch_size", 30),
        (
            measured("jacobian_conditioning", networks=NETWORKS, batch_size=30),
            f"{AT_START}.jacobian_conditioning.batch_size[0]",
            30,
        ),
        (
            measured("noise_by_depth", networks=NETWORKS, batch_size=30, minibatches=2, hessian_minibatches=1),
            f"{AT_START}.noise_by_depth.batch_size",
            30,
        ),
        (measured("edge_of_stability", **DESCENT, images=30), f"{AT_START}.edge_of_stability.images", 30),
        (measured("edge_of_stability", **DESCENT, images=0), f"{AT_START}.edge_of_stability.images", 1437),
        (hessian(), "trained.measurements.hessian_spectrum.batch_size", 30),
    ],
)
def test_a_size_that_is_no_multiple_of_its_groups_is_a_mistake_in_the_config(changes, place, size):
    with pytest.raises(UserError) as caught:
        resolved(**changes)
    text = (
        f"{size} images are no whole number of groups of 16, the images of norm 'ghost-16'; expected a multiple of 16"
    )
    assert str(caught.value) == f"config key {place}: {text}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"initialization": {"norms": ["ghost-16"], "batch_size": 32, "measurements": [{"logit_gradients": {}}]}},
        hessian(bn_modes=["eval"]),
        hessian(batch_size=None),
        hessian(where={"norm": ["batch"]}),
        hessian(where={"arch": ["resnet-14"]}),
    ],
)
def test_sizes_that_no_ghost_norm_sees_in_train_mode_may_be_any(changes):
    resolved(**changes)


# Training and measurements


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_taken_up_again_is_the_run(digits, tmp_path, precision):
    settings = {"norm": "ghost-64", "batch_size": 256}
    whole, part, again = (fresh(**settings) for _ in range(3))
    loop.train([lane(whole, digits, precision=precision, **settings)])
    left_in_the_second_epoch(lane(part, digits, precision=precision, **settings), tmp_path)
    assert checkpoint.restore(again, tmp_path)
    loop.train([lane(again, digits, precision=precision, **settings)])
    pd.testing.assert_frame_equal(pd.DataFrame(whole.rows), pd.DataFrame(again.rows), check_exact=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert pd.DataFrame(whole.rows)["train_loss"].iloc[-1] < 2.2  # it learns: ln 10 = 2.30 at chance


def test_a_group_of_the_whole_mini_batch_trains_as_batch_norm(digits_path, tmp_path):
    for norm in ("batch", "ghost-128"):
        stage.run(job([0], norm=norm, epochs=1), digits_path, tmp_path / norm, tmp_path / "s", 1, "cpu")
    batch, ghost = (results(tmp_path / norm) for norm in ("batch", "ghost-128"))
    same = [name for name in batch[0] if name not in ("norm", "seconds")]
    pd.testing.assert_frame_equal(batch[0][same], ghost[0][same], check_exact=True)


def test_its_noise_is_measured_in_train_mode_and_of_single_images_in_eval_mode(digits):
    context = context_of(digits)
    weights = context.model("ghost-8", 0).state_dict()
    options = GradientStructure(at=[1], minibatches=2, samples=2)
    table = gradient_structure.measure(context.of(weights), "ghost-8", 0, options)
    modes = table.groupby("quantity")["bn_mode"].unique()
    assert list(modes["noise"]) == ["train"] and list(modes["sample_constant"]) == ["eval"]
    assert table["value"].notna().all()
