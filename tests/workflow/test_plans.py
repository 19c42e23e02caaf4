"""Dry runs: every target and preset plans; every mistake is one line and leaves nothing behind."""

import itertools

import pytest
import yaml
from checkouts import ROOT, commands, only_line, refused

from understanding_bn.claims.catalogue import CLAIMS
from understanding_bn.docs_pages import rule_graph

FIGURES = ["fig2_gradient_histogram", "fig3_relative_loss", "fig4_divergence_heatmap", "fig5_channel_moments"]
FIGURES += ["fig6_logit_gradients", "fig7_kernel_gradients", "table1_gradient_sums"]
# Those without a number have no short name.
NAMED = {"gradient_noise": 2, "input_mean_correlation": 2, "jacobian_conditioning": 2, "max_learning_rate": 6}


@pytest.fixture
def images(tmp_path):
    """A folder that is taken for a data set of one's own, as long as none of its images is read."""
    for name in ("train.parquet", "test.parquet"):
        (tmp_path / name).write_bytes(b"any")
    for split, name in itertools.product(("train", "test"), ("a class", "another")):
        (tmp_path / split / name).mkdir(parents=True)
        (tmp_path / split / name / "image.png").write_bytes(b"any")
    return tmp_path


def test_the_whole_preset_plans(plans):
    jobs = plans.rules_planned(tiny=False)
    assert jobs["all"] == jobs["report"] == jobs["claims"] == jobs["data"] == jobs["random_matrices"] == 1
    assert jobs["train"] == 6
    assert jobs["trained"] == 6 + 5  # gradients everywhere, curvature without the single final BN
    assert jobs["initialization"] == 2 * 10 + NAMED["max_learning_rate"]


@pytest.mark.slow
def test_the_runs_of_a_sitting_are_targets(plans):
    """One run is a training job and what is measured on its networks; all of them are every job but those that draw."""
    done = plans.package("missing", "quick", "--first", "1")
    jobs = plans.rules_planned("--", *done.stdout.split(), tiny=False)
    assert jobs == {"data": 1, "train": 1, "trained": 2}, done.stderr
    listed = plans.package("missing", "quick").stdout.split()
    jobs = plans.rules_planned("--", *listed, tiny=False)
    assert sum(jobs.values()) == len(listed) + jobs["data"] and "fig1_accuracy" not in jobs


def test_a_config_chooses_what_is_measured_and_the_command_line_sets_any_key(plans, tmp_path):
    (tmp_path / "mine.yaml").write_text("initialization: {arch: resnet-20, measurements: [channel_moments]}\n")
    mine = ["--configfile", str(tmp_path / "mine.yaml"), "--config"]
    nested = ["subset={train: 100}", "augmentation={flip: False}", "snapshots=[0.5]", "trained={measurements: []}"]
    nested += ["grid=[{arch: resnet-8, norm: [batch, none], alpha: [0.1, 1e-2], batch_size: 16, epochs: 1}]"]
    nested += ["initialization={batch_size: 16}"]
    jobs = plans.rules_planned(*mine, *nested, tiny=False)
    assert (jobs["initialization"], jobs["train"], "trained" in jobs) == (2, 4, False)
    empty = only_line(plans.plan(*mine, "seeds={}", tiny=False)["said"])
    assert empty.startswith("error: config key seeds: {} is a block of keys, expected a list of whole numbers")
    (tmp_path / "mine.yaml").write_text("seeds: 1\nseeds: 2\n")
    assert "key 'seeds' stands twice, in lines 1 and 2" in only_line(plans.plan(*mine[:2], tiny=False)["said"])


@pytest.mark.parametrize("name", FIGURES)
def test_figures_at_initialisation_train_nothing(plans, name):
    jobs = plans.rules_planned(name.split("_")[0], tiny=False)
    assert jobs.pop(name.split("_")[0]) == 1
    assert jobs == {name: 1, "initialization": 2, "data": 1}
    assert plans.rules_planned(name, tiny=False) == jobs


@pytest.mark.parametrize(("name", "measurements"), NAMED.items())
def test_measurements_train_nothing(plans, name, measurements):
    jobs = plans.rules_planned(name, tiny=False)
    assert jobs == {name: 1, "initialization": measurements, "data": 1}


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("fig1", "error: preset cifar10-init has nothing to draw fig1 from; it draws fig2, fig3, "),
        ("fig12", "error: preset cifar10-init has no target 'fig12'; expected one of fig2, fig3, "),
        (
            "results/cifar10-init/train/x/run.json",
            "error: preset cifar10-init makes no file 'results/",
        ),
    ],
)
def test_a_target_that_cannot_be_made_is_refused_before_any_job(checkout, images, target, says):
    options = ["--configfile", "workflow/presets/cifar10-init.yaml", "--config", f"data_dir={images}"]
    done = checkout.run("--dry-run", target, *options, tiny=False)
    assert done.returncode != 0
    last = (done.stdout + done.stderr).strip().splitlines()[-1]
    assert last.startswith(says)
    assert not (checkout.folder / "results" / "cifar10-init").exists()


def test_the_whole_paper_plans_with_every_cell_and_seed(plans, images):
    arguments = ["--config", f"data_dir={images}", "--configfile"]
    jobs = plans.rules_planned(*arguments, "workflow/presets/paper.yaml", tiny=False)
    # Six learning rates with and without BN, three for layer and group norm, one for the single final BN.
    assert jobs["train"] == 5 * (2 * 6 + 2 * 3 + 1)
    figures = {
        "fig1_accuracy",
        "fig7_kernel_gradients",
        "single_final_bn",
        "other_norms",
        "max_learning_rate",
        "readings",
    }
    assert all(jobs[name] == 1 for name in figures)
    assert plans.rules_planned(*arguments, "workflow/presets/paper-short.yaml", tiny=False)["train"] == 2 * 19


def test_fig1_and_fig8(plans):
    jobs = plans.rules_planned("fig1", tiny=False)
    assert (jobs["train"], jobs["data"]) == (6, 1)
    assert "initialization" not in jobs
    jobs = plans.rules_planned("fig8", tiny=False)
    assert jobs == {"random_matrices": 1, "fig8_singular_values": 1, "fig8": 1}


def test_targets_by_path(plans):
    jobs = plans.rules_planned("results/quick/figures/fig5_channel_moments.pdf", tiny=False)
    assert jobs == {"fig5_channel_moments": 1, "initialization": 2, "data": 1}
    assert plans.rules_planned("results/quick/claims.json", tiny=False)["claims"] == 1


@pytest.mark.parametrize("preset", sorted((ROOT / "workflow/presets").glob("*.yaml")), ids=lambda p: p.stem)
def test_presets_plan(plans, preset):
    jobs = plans.rules_planned("--configfile", f"workflow/presets/{preset.name}", tiny=False)
    assert jobs["all"] == 1


def test_the_slurm_profile_is_found_by_its_short_name(checkout):
    done = checkout.run("--dry-run", "--profile", "slurm", "--executor", "dryrun", tiny=False)
    assert done.returncode == 0, done.stderr
    profile = yaml.safe_load((checkout.folder / "slurm" / "config.yaml").read_text())
    assert profile["executor"] == "slurm"


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["seeds=0"], ["seeds", "0 is too few"]),
        (["dataset=mnist"], ["dataset", "digits, cifar10, parquet"]),
        (["preset=../up"], ["preset", "not allowed"]),
        (["preset=benchmark"], ["preset", "reserved"]),
        (["extends=papre"], ["extends", "'papre' is no preset", "did you mean 'paper'?"]),
        (["sedes=3"], ["'sedes' is unknown", "did you mean 'seeds'?"]),
        (["data_dir=nowhere"], ["data_dir", "dataset 'digits' is embedded"]),
        (["dataset=parquet"], ["data_dir: missing"]),
        (["dataset=parquet", "data_dir=nowhere"], ["data_dir", "not a folder"]),
        (["dataset=cifar10", "data_dir=workflow"], ["data_dir", "holds no cifar10 data"]),
    ],
)
def test_mistakes_on_the_command_line(plans, settings, parts):
    line = refused(plans, "--config", *settings)
    assert all(part in line for part in parts), line


def test_a_mistake_ends_a_real_start_with_one_line(checkout):
    done = checkout.run("--config", "sedes=3", tiny=False)
    assert done.returncode != 0
    assert only_line(done.stdout + done.stderr).startswith("error: config key (top level): key 'sedes' is unknown")
    assert not (checkout.folder / "results").exists()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"norm": "bacth"}, ["grid[0].norm", "'bacth' is unknown", "did you mean 'batch'?"]),
        ({"alpha": -0.1}, ["grid[0].alpha[0]", "-0.1 is too small; expected more than 0"]),
        ({"alpha": "1e-4"}, ["grid[0].alpha[0]", "'1e-4' is text", "write 0.0001"]),
    ],
)
def test_mistakes_in_a_config_file(plans, tmp_path, change, parts):
    quick = yaml.safe_load((ROOT / "config.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"grid": [quick["grid"][0] | change]}))
    line = refused(plans, "--configfile", tmp_path / "mine.yaml")
    assert all(part in line for part in parts), line


def test_alpha_as_yaml_reads_it(plans, tmp_path):
    text = (ROOT / "config.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("alpha: 0.1,", "alpha: 1e-4,", 1))
    assert "'1e-4' is text" in refused(plans, "--configfile", tmp_path / "mine.yaml")


@pytest.mark.parametrize("command", commands())
def test_the_pages_commands_plan(plans, images, command):
    arguments = command.replace("FOLDER", str(images)).split()[1:]
    if "slurm" in arguments:
        arguments += ["--executor", "dryrun"]
    answer = plans.plan(*arguments, tiny=False)
    assert answer["status"] == 0, answer["said"]


def test_the_kept_graph_of_the_rules_is_that_of_today(checkout, tmp_path):
    (tmp_path / "rules.mmd").write_text(checkout.run("--rulegraph", "mermaid-js", tiny=False).stdout)
    kept = ROOT / "results/reference/rules.mmd"
    assert rule_graph.diagram(tmp_path / "rules.mmd") == rule_graph.diagram(kept), "run `make record`"


def test_missing_captions_do_not_go_unnoticed():
    figures = {claim.figure for claim in CLAIMS if claim.figure}
    assert all((ROOT / f"workflow/report/{name}.rst").is_file() for name in figures)
