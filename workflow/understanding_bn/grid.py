"""What a resolved config asks for: the cells of its grid, blocks of seeds, and the networks that it measures."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import Any

from understanding_bn.cell import Cell
from understanding_bn.complaints import canonical

# How many images there are in each split, where that is known before the data is read.
IMAGES = {"digits": {"train": 1437, "test": 360}, "cifar10": {"train": 50_000, "test": 10_000}}


def cells(config: dict[str, Any]) -> list[Cell]:
    """The cells of a resolved config's grid, in order, each once."""
    found: dict[Cell, None] = {}
    for entry in config["grid"]:
        factors = (entry[key] for key in ("arch", "init", "norm", "alpha", "batch_size"))
        for arch, init, norm, alpha, batch_size in itertools.product(*factors):
            epochs = max(1, round(entry["epochs"] * config["epochs_fraction"]))
            found[Cell(arch, init, norm, canonical(alpha), batch_size, epochs)] = None
    return list(found)


def images(config: dict[str, Any], split: str) -> float:
    """The number of images in a split, "train" or "test"; infinite where it is not known before the data is read."""
    return config["subset"][split] or IMAGES.get(config["dataset"], {}).get(split, math.inf)


def main_network(config: dict[str, Any]) -> tuple[str, str, int] | None:
    """The (arch, init, batch_size) of most cells, the first of several: what the paper's own figures are drawn from."""
    counts = Counter(cell.network for cell in cells(config))
    return max(counts, key=lambda network: counts[network]) if counts else None


def seed_blocks(config: dict[str, Any]) -> list[list[int]]:
    """The seeds of a resolved config, in blocks of one job each."""
    size = config["seeds_per_job"]
    return [config["seeds"][i : i + size] for i in range(0, len(config["seeds"]), size)]


def networks(config: dict[str, Any], probe: str, norm: str) -> list[tuple[str, str]]:
    """The (arch, init) that a measurement is made on: the preset's own, and those that it varies, one at a time.

    Initialisations are varied only without normalisation: the claim about them is made there.
    """
    start = config["initialization"]
    own = (start["arch"], start["init"])
    options = start["probes"][probe]
    varied = [(arch, own[1]) for arch in options.get("archs", [])]
    varied += [(own[0], init) for init in options.get("inits", []) if norm == "none"]
    return list(dict.fromkeys([own, *varied]))


def options(config: dict[str, Any], probe: str) -> dict[str, Any]:
    """What a measurement itself is told: its block of the config without the networks."""
    block = config["initialization"]["probes"][probe]
    return {key: value for key, value in block.items() if key not in ("archs", "inits")}


def trained_options(config: dict[str, Any], probe: str) -> dict[str, Any]:
    """What a measurement on trained networks itself is told: its block of the config without moments and cells."""
    return {key: value for key, value in config["trained"]["probes"][probe].items() if key not in ("at", "where")}


def moments(config: dict[str, Any], probe: str) -> dict[Cell, list[float]]:
    """At which shares of training a measurement is made, for every cell where there is one.

    Before training a network is the same for every α and number of epochs: it is measured in the first such cell.
    """
    found: dict[Cell, list[float]] = {}
    seen: set[Cell] = set()
    for cell in cells(config):
        options = config["trained"]["probes"][probe]
        if not all(getattr(cell, factor) in allowed for factor, allowed in options["where"].items()):
            continue
        start = replace(cell, alpha="", epochs=0)
        shares = [share for share in sorted(options["at"]) if share or start not in seen]
        seen.add(start)
        if shares:
            found[cell] = shares
    return found


def readings(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The (arch, init) of the preset's network and of every other reading of the paper that is set beside it."""
    start = config["initialization"]
    own = {"arch": start["arch"], "init": start["init"]}
    found = [own, *(own | reading for reading in start["readings"])]
    return list(dict.fromkeys((reading["arch"], reading["init"]) for reading in found))
