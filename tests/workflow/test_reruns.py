"""What reruns when code, config or data change after the tiny preset has run: dry runs only."""

from contextlib import contextmanager

import pytest
import yaml

pytestmark = pytest.mark.slow

# What is drawn from every training run.
FROM_TRAINING = ("fig1_accuracy", "single_final_bn", "other_norms", "alpha_batch_grid", "hessian_spectrum")
FROM_TRAINING += ("noise_along_training", "noise_by_architecture")
# All jobs that train or rest on training.
TRAINING = {"train": 6, "trained": 7} | dict.fromkeys((*FROM_TRAINING, "claims", "report", "all"), 1)


@contextmanager
def edited(checkout, module, before, after):
    """While the block runs, a module of the checkout's package says something else where it first says `before`."""
    path = checkout.folder / "workflow/understanding_bn" / module
    source = path.read_text()
    assert before in source, f"{module} has no {before!r}"
    try:
        path.write_text(source.replace(before, after, 1))
        yield
    finally:
        path.write_text(source)


@contextmanager
def appended(path, text):
    """While the block runs, a file ends in `text`."""
    before = path.read_text()
    try:
        path.write_text(before + text)
        yield
    finally:
        path.write_text(before)


def with_config(checkout, change):
    """What is planned with a changed config; `change` edits the whole one in place."""
    config = yaml.safe_load((checkout.folder / checkout.config).read_text())
    change(config)
    (checkout.folder / "other.yaml").write_text(yaml.safe_dump(config))
    return checkout.rules_planned("--configfile", "other.yaml", tiny=False)


def test_nothing_is_left_to_do(whole):
    assert whole[0].rules_planned() == {}


@pytest.mark.parametrize(
    ("module", "before"),
    [
        ("progress.py", '"""'),
        ("training/loop.py", '"""'),
        ("training/checkpoint.py", 'print(f"'),
        ("data/sources.py", 'UserError(f"'),
        ("measurements/gradient_sums.py", '"""'),
        ("experiment/checks.py", 'f"'),
        ("plugins.py", 'UserError(f"'),
    ],
)
def test_other_words_in_docstrings_and_messages_rerun_nothing(whole, module, before):
    checkout, _ = whole
    with edited(checkout, module, before, f"{before}Mind: "):
        assert checkout.rules_planned() == {}


def test_remarks_in_training_code_rerun_nothing(whole):
    checkout, _ = whole
    with appended(checkout.folder / "workflow/understanding_bn/training/loop.py", "\n# a remark\n"):
        assert checkout.rules_planned() == {}


@pytest.mark.parametrize("text", ["\nCHANGED = True\n", "\n# a remark\n"])
def test_changed_figure_code_reruns_that_figure_and_no_training(whole, text):
    checkout, _ = whole
    with appended(checkout.folder / "workflow/understanding_bn/figures/fig3_relative_loss.py", text):
        assert checkout.rules_planned() == {"fig3_relative_loss": 1, "report": 1, "all": 1}


def test_the_words_on_an_axis_redraw_that_figure_and_judge_nothing(whole):
    checkout, _ = whole
    with edited(checkout, "figures/gradient_noise.py", 'ylabel="', 'ylabel="the '):
        assert checkout.rules_planned() == {"gradient_noise": 1, "report": 1, "all": 1}


def test_a_changed_constant_reruns_training_and_what_rests_on_it(whole):
    checkout, _ = whole
    with edited(checkout, "training/divergence.py", "BOUND = 1e3", "BOUND = 1e4"):
        # So do the measurements that stop at the same bound.
        measured = {"initialization": 4 + 2, "max_learning_rate": 1, "fig4_divergence_heatmap": 1}
        assert checkout.rules_planned() == TRAINING | measured


def test_data_that_are_prepared_anew_do_not_keep_from_what_is_missing(whole):
    """Snakemake passes over jobs with an `ancient` input whose rule runs again, even if their results are missing."""
    checkout, _ = whole
    with appended(checkout.folder / "workflow/understanding_bn/data/store.py", "\nCHANGED = True\n"):
        jobs = checkout.rules_planned("--config", "preset=another")
    assert jobs["data"] == 1
    assert jobs["train"] == len(list(checkout.folder.glob("results/tiny/train/**/run.json")))
    assert {"initialization", "trained", "report", "all"} <= set(jobs)


def test_changed_training_code_reruns_training(whole):
    checkout, _ = whole
    with appended(checkout.folder / "workflow/understanding_bn/stages/train.py", "\nCHANGED = True\n"):
        assert checkout.rules_planned() == TRAINING


def test_a_changed_plug_in_reruns_what_uses_it(whole):
    checkout, _ = whole
    with appended(checkout.folder / "half.py", "\nCHANGED = True\n"):
        jobs = checkout.rules_planned()
    drawn = dict.fromkeys({*FROM_TRAINING} - {"single_final_bn", "hessian_spectrum"}, 1)
    everything = {"hessian_spectrum": 1}  # its figure also draws histories
    assert jobs == {"train": 1, "trained": 1, "claims": 1, "report": 1, "all": 1} | drawn | everything


def test_a_changed_measurement_reruns_its_own_jobs(whole):
    checkout, _ = whole
    with appended(checkout.folder / "workflow/understanding_bn/measurements/kernel_gradients.py", "\nCHANGED = True\n"):
        jobs = checkout.rules_planned()
    assert jobs == {"initialization": 2, "fig7_kernel_gradients": 1, "claims": 1, "report": 1, "all": 1}


def test_one_changed_option_reruns_its_own_measurement(whole):
    def change(config):
        config["initialization"]["measurements"]["gradient_sums"]["layers"] = [2, 4]

    # Its own network's and the other reading's, for both norms.
    drawn = ("table1_gradient_sums", "readings", "claims", "report", "all")
    assert with_config(whole[0], change) == {"initialization": 4} | dict.fromkeys(drawn, 1)


def test_a_grid_that_grows_reruns_what_is_drawn_from_it(whole):
    def change(config):
        config["grid"][2]["alpha"] = [0.05, 0.1]

    drawn = {*FROM_TRAINING} - {"other_norms"}
    expected = {"train": 1, "trained": 1} | dict.fromkeys((*drawn, "claims", "report", "all"), 1)
    assert with_config(whole[0], change) == expected


def test_a_grid_that_shrinks_reruns_what_is_drawn_from_it(whole):
    def change(config):
        config["grid"][1]["alpha"] = [0.05]

    assert with_config(whole[0], change) == dict.fromkeys((*FROM_TRAINING, "claims", "report", "all"), 1)


def test_resources_rerun_nothing(whole):
    assert whole[0].rules_planned("--set-resources", "train:mem_mb=5000", "train:runtime=7") == {}
