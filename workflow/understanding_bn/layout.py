"""Where every job of a preset leaves its results: folders below results/PRESET, and logs of the same names."""

from typing import Any

from understanding_bn import grid
from understanding_bn.cell import Cell

TRAIN = f"train/{Cell.PATTERN}/seeds-{{seeds}}"
MEASURED = "initialization/{arch}/{init}/{probe}/norm-{norm}"
TRAINED = f"trained/{{probe}}/{Cell.PATTERN}/seeds-{{seeds}}"
RANDOM_MATRICES = "random_matrices"
READ = ("channel_moments", "gradient_sums", "logit_gradients")  # measured on every reading of the paper


def train(cell: Cell, seeds: list[int]) -> str:
    """The folder of the training job of a cell and a block of seeds."""
    return f"train/{_run(cell, seeds)}"


def trained(probe: str, cell: Cell, seeds: list[int]) -> str:
    """The folder of a measurement on the networks of that training job."""
    return f"trained/{probe}/{_run(cell, seeds)}"


def _run(cell: Cell, seeds: list[int]) -> str:
    return f"{cell.path}/seeds-{'-'.join(map(str, seeds))}"


def measured(config: dict[str, Any], probe: str, networks: list[tuple[str, str]] | None = None) -> list[str]:
    """The folders of a measurement at initialisation, for every norm and (arch, init); none if it is not made."""
    if probe not in config["initialization"]["probes"]:
        return []
    return [
        MEASURED.format(arch=arch, init=init, probe=probe, norm=norm)
        for norm in config["initialization"]["norms"]
        for arch, init in (grid.networks(config, probe, norm) if networks is None else networks)
    ]


def read(config: dict[str, Any], probe: str) -> list[str]:
    """The folders of a measurement on every reading of the paper; none where there is just one."""
    readings = grid.readings(config)
    return measured(config, probe, readings) if probe in READ and len(readings) > 1 else []
