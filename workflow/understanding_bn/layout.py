"""Where every job of a preset leaves its results: folders below results/PRESET, and logs of the same names."""

from collections.abc import Callable
from typing import Any

from understanding_bn import grid
from understanding_bn.cell import Cell

TRAIN = f"train/{Cell.PATTERN}/seeds-{{seeds}}"
MEASURED = "initialization/{arch}/{init}/{probe}/norm-{norm}"
TRAINED = f"trained/{{probe}}/{Cell.PATTERN}/seeds-{{seeds}}"
RANDOM_MATRICES = "random_matrices"
READ = ("channel_moments", "gradient_sums", "logit_gradients")  # measured on every reading of the paper


def training(config: dict[str, Any], wanted: Callable[[Cell], bool] = lambda cell: True) -> list[str]:
    """The folders of all training jobs whose cell is wanted, in the grid's order."""
    blocks = grid.seed_blocks(config)
    return [
        f"train/{cell.path}/seeds-{'-'.join(map(str, block))}"
        for cell in grid.cells(config)
        if wanted(cell)
        for block in blocks
    ]


def measured(config: dict[str, Any], probe: str, networks: list[tuple[str, str]] | None = None) -> list[str]:
    """The folders of a measurement at initialisation, for every norm and (arch, init); none if it is not made."""
    if probe not in config["initialization"]["probes"]:
        return []
    return [
        MEASURED.format(arch=arch, init=init, probe=probe, norm=norm)
        for norm in config["initialization"]["norms"]
        for arch, init in (grid.networks(config, probe, norm) if networks is None else networks)
    ]


def trained(config: dict[str, Any], probe: str) -> list[str]:
    """The folders of a measurement on trained networks, for every cell where it is made; none if it is not."""
    if probe not in config["trained"]["probes"]:
        return []
    blocks = grid.seed_blocks(config)
    return [
        f"trained/{probe}/{cell.path}/seeds-{'-'.join(map(str, block))}"
        for cell in grid.moments(config, probe)
        for block in blocks
    ]


def read(config: dict[str, Any], probe: str) -> list[str]:
    """The folders of a measurement on every reading of the paper; none where there is just one."""
    readings = grid.readings(config)
    return measured(config, probe, readings) if probe in READ and len(readings) > 1 else []
