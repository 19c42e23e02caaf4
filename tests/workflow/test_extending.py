"""docs/extending.md as a reader would follow it: its files saved, its lines added, its commands run."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from checkouts import ROOT, Checkout, only_line
from PIL import Image

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/extending.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.S)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]


def follow(folder):
    """Save the blocks that name a file, and add those that name a place in one."""
    done = []
    for _, text in BLOCKS:
        first, _, rest = text.partition("\n")
        if found := re.fullmatch(r"# file: (\S+)", first):
            assert not (folder / found[1]).exists(), "an example must not replace anything"
            (folder / found[1]).write_text(rest)
        elif found := re.fullmatch(r"# at the end of (\S+)", first):
            (folder / found[1]).write_text((folder / found[1]).read_text() + "\n\n" + rest)
        elif found := re.fullmatch(r"# after (.+) in (\S+)", first):
            before, place, after = (folder / found[2]).read_text().partition(found[1] + "\n")
            assert place, f"{found[2]} has no {found[1]}"
            (folder / found[2]).write_text(before + place + rest + after)
        else:
            continue
        done.append(found[0])
    return done


def draw_shapes(folder):
    """A data set of discs and squares, as image files."""
    rows, columns = np.indices((8, 8))
    shapes = {"disc": (rows - 3.5) ** 2 + (columns - 3.5) ** 2 < 9, "square": (abs(rows - 3.5) < 3) & (columns > 1)}
    noise = np.random.default_rng(0)
    for split, count in (("train", 80), ("test", 10)):
        for name, mask in shapes.items():
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                grey = (mask * 200 + noise.integers(0, 50, mask.shape)).astype(np.uint8)
                Image.fromarray(grey).save(folder / split / name / f"{number:04}.png")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    checkout = Checkout(tmp_path_factory.mktemp("extended") / "checkout")
    assert len(follow(checkout.folder)) == 12
    draw_shapes(checkout.folder / "shapes")
    yield checkout
    checkout.close()


def run(checkout, command, *more):
    arguments = command.removeprefix("snakemake ").replace("--cores all", "--cores 2").split()
    if "--" in arguments:
        arguments[arguments.index("--") : arguments.index("--")] = more
    else:
        arguments += more
    done = checkout.run(*arguments, tiny=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def command(ending):
    return next(line for line in COMMANDS if line.endswith(ending))


def test_ones_own_norm_and_initialisation_are_in_the_figures(extended):
    run(extended, command("fig1 other_norms"))
    figures = extended.folder / "results/mine/figures"
    for name in ("fig1_accuracy", "other_norms"):
        assert set(pd.read_csv(figures / f"{name}.csv", keep_default_na=False)["norm"]) == {"batch", "none", "rms"}
    inits = {name: set(pd.read_csv(figures / f"{name}.csv")["init"]) for name in ("fig1_accuracy", "other_norms")}
    assert inits == {"fig1_accuracy": {"xavier_uniform", "tenth"}, "other_norms": {"xavier_uniform"}}
    cell = extended.folder / "results/mine/train/resnet-8/xavier_uniform/norm-rms/alpha-0.1/batch-64/epochs-2"
    assert list(json.loads((cell / "seeds-0-1/run.json").read_text())["plugins"]) == ["mine.py"]


def test_a_norm_of_the_projects_own_plug_ins_is_trained(extended):
    run(extended, command("skipinit.yaml -- fig1"))
    table = pd.read_csv(extended.folder / "results/skipinit/figures/fig1_accuracy.csv", keep_default_na=False)
    assert set(table["norm"]) == {"batch", "none", "skipinit"}


def test_ones_own_figure_is_drawn(extended):
    run(extended, command("-- loss_gap"))
    table = pd.read_csv(extended.folder / "results/mine/figures/loss_gap.csv", keep_default_na=False)
    assert set(table["norm"]) == {"batch", "none", "rms"}
    assert set(table["init"]) == {"xavier_uniform", "tenth"}
    assert (extended.folder / "results/mine/figures/loss_gap.svg").is_file()


def test_a_change_in_ones_own_file_reruns_what_uses_it_and_nothing_else(extended):
    run(extended, command("fig1 other_norms"))
    with (extended.folder / "mine.py").open("a") as mine:
        mine.write("\nmore = 1\n")
    jobs = extended.rules_planned("fig1", "--configfile", "mine.yaml", tiny=False)
    # The norm and the initialisation are both in that file, and Fig. 1 has all networks.
    assert jobs == {"train": 2, "fig1_accuracy": 1, "fig1": 1}


def test_ones_own_claim_is_judged(extended):
    run(extended, command("fig1 other_norms"))
    histories = sorted(map(str, (extended.folder / "results/mine/train").rglob("history.parquet")))
    (extended.folder / "inputs.json").write_text(json.dumps({"histories": histories}))
    done = extended.package(
        "claims", "--inputs", "inputs.json", "--out", "claims.json", "--followups", "followups.json"
    )
    assert done.returncode == 0, done.stderr
    claim = json.loads((extended.folder / "followups.json").read_text())[0]
    assert (claim["id"], claim["source"], claim["seeds"]) == ("L0", "this page", 2)
    assert claim["verdict"] != "not run"
    assert any("norm-rms" in path for path in claim["runs"])


def test_ones_own_measurement_is_made(extended):
    run(extended, command("values.parquet"))
    values = pd.read_parquet(extended.folder / command("values.parquet").split()[-1])
    assert list(values) == ["dataset", "arch", "init", "norm", "batch_size", "seed", "layer", "cosine"]
    assert values.groupby("seed")["layer"].apply(list).to_dict() == {0: [2, 30, 60], 1: [2, 30, 60]}
    assert values["cosine"].between(-1, 1).all()
    jobs = extended.rules_planned("--configfile", "agreement.yaml", tiny=False)
    assert jobs["initialization"] == 26 + 1, "the other norm's, and the quick preset's own"
    (extended.folder / "deep.yaml").write_text((extended.folder / "agreement.yaml").read_text().replace("60", "200"))
    answer = extended.plan("--configfile", "deep.yaml", tiny=False)
    place = "config key initialization.measurements.gradient_agreement.layers[2]"
    assert only_line(answer["said"]) == f"error: {place}: layer 200 is too deep; expected 1 to 109 in resnet-110"


def test_images_in_folders_are_a_data_set(extended):
    run(extended, command("preset=shapes -- fig6"))
    run_json = next((extended.folder / "results/shapes").rglob("logit_gradients/norm-batch/run.json"))
    data = json.loads(run_json.read_text())["data"]
    assert (data["source"], data["classes"], data["train_images"]) == ("image files (PNG, 2 classes)", 2, 160)


def test_the_pages_other_commands_plan(extended):
    (extended.folder / "tables").mkdir()
    for name in ("train", "test"):
        (extended.folder / f"tables/{name}.parquet").write_bytes(b"any")
    run(extended, command("preset=tables -- fig6"), "--dry-run")
    # The whole preset takes the norm wherever norms are compared.
    said = run(extended, command("--configfile mine.yaml"), "--forceall", "--dry-run", "--quiet", "host")
    for name in ("fig1_accuracy", "other_norms", "noise_by_architecture", "loss_gap"):
        rule = re.search(rf"rule {name}:\n\s+input: (.*)", said)
        assert "norm-rms" in rule[1], name


def test_every_command_of_the_page_is_run_or_planned():
    endings = [
        "fig1 other_norms",
        "skipinit.yaml -- fig1",
        "shapes -- fig6",
        "tables -- fig6",
        "-- loss_gap",
        "--configfile mine.yaml",
    ]
    endings.append("norm-batch/values.parquet")
    assert [command(ending) for ending in endings] == COMMANDS
