"""A grid of 10,000 cells: it plans in bounded memory, and no command grows with the number of its inputs."""

import pytest
import yaml
from checkouts import TINY, Checkout
from planner import planned

from understanding_bn.benchmark import scale

pytestmark = pytest.mark.slow

CELLS = 10_000
MOST_MEMORY_MIB = 2048
# Linux allows 128 KiB for the one argument that a shell is given. The names of this grid's histories have 700 KiB.
MOST_CHARACTERS = 4096


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """What a dry run of the grid prints, each command with it, and its cost."""
    checkout = Checkout(tmp_path_factory.mktemp("scale") / "checkout")
    config = TINY | {
        "preset": "scale",
        "seeds": 5,
        "seeds_per_job": 5,
        "trained": {"measurements": {"gradient_structure": {"at": []}, "hessian_spectrum": {"at": []}}},
        "grid": scale.grid(CELLS),
    }
    (checkout.folder / "scale.yaml").write_text(yaml.safe_dump(config))
    return scale.command(checkout.folder, "--dry-run", "--configfile", "scale.yaml")


def test_every_cell_is_planned_once(plan):
    text, _ = plan
    jobs = planned(text)
    assert jobs["train"] == CELLS
    for name in ("data", "fig1_accuracy", "other_norms", "claims", "report", "all"):
        assert jobs[name] == 1


def test_planning_stays_in_memory(plan):
    _, cost = plan
    assert cost.peak_memory_mib < MOST_MEMORY_MIB


def test_no_command_grows_with_its_inputs(plan):
    text, _ = plan
    commands = [line for line in text.splitlines() if "python -m understanding_bn" in line]
    stages = {line.split("understanding_bn ")[1].split()[0] for line in commands}
    assert {"train", "figure", "claims", "report"} <= stages
    assert any("figure fig1_accuracy --inputs results/scale/inputs/fig1_accuracy.json" in line for line in commands)
    assert max(map(len, commands)) < MOST_CHARACTERS
