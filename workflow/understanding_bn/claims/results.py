"""The result files that claims are judged on, identified by the run.json in the folder of each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files, runs, tables
from understanding_bn.summaries.training import NETWORK, main_network


class NotRunError(Exception):
    """What a claim needs was not run; the text says what."""


class Results:
    """All raw values of a preset, and a note of which files were asked for.

    Args:
        paths: history.parquet and values.parquet files, each with a run.json in its folder.
        roles: the config's `claims` block: which learning rate has which role in the paper.
    """

    def __init__(self, paths: list[Path], roles: dict[str, float]):
        self.roles = roles
        self.forget()
        self.runs: dict[str, dict[str, Any]] = {str(p): files.read_json(p.parent / "run.json") for p in paths}
        runs.must_share_data(self.runs)
        self._finals: dict[tuple[str, float], tuple[set[str], pd.DataFrame]] = {}
        self._tables = {str(path): tables.read([path]) for path in paths}
        trained = self._matching(lambda run: run["stage"] == "train")
        self.main = main_network(self._rows(trained)) if trained else None

    def forget(self) -> None:
        """Forget which files and roles were asked for."""
        self.used: set[str] = set()
        self.used_roles: set[str] = set()

    def alpha(self, role: str) -> float:
        """The learning rate with this role in the paper: "large", "middle", "small", "unstable", …"""
        self.used_roles.add(role)
        return self.roles[f"{role}_alpha"]

    def measurement(self, name: str) -> pd.DataFrame:
        """The values of a measurement at initialisation, all norms and seeds.

        Raises:
            NotRunError: there are none, or not for both batch norm and none.
        """
        table = self._gather(lambda run: run["stage"] == "initialization" and run["settings"]["probe"] == name)
        missing = {"batch", "none"} - set(table["norm"].unique() if len(table) else [])
        if missing:
            raise NotRunError(f"{name} for {' and '.join(sorted(missing))}")
        return table

    def trained(self, name: str) -> pd.DataFrame:
        """The values of a measurement on trained networks, all cells and seeds.

        Raises:
            NotRunError: there are none.
        """
        table = self._gather(lambda run: run["stage"] == "trained" and run["settings"]["probe"] == name)
        return _some(table, f"{name} of trained networks")

    def histories(self) -> pd.DataFrame:
        """The histories of all training runs.

        Raises:
            NotRunError: there are none.
        """
        return _some(self._gather(lambda run: run["stage"] == "train"), "training")

    def matrices(self) -> pd.DataFrame:
        """The singular values of products of Gaussian matrices."""
        return _some(self._gather(lambda run: run["stage"] == "random_matrices"), "random_matrices")

    def final(self, norm: str, alpha: float) -> pd.DataFrame:
        """The last row of each seed's history in the main network's cell (norm, α) with the most epochs, by seed.

        The main network is that of `summaries.training.main_network`.
        Accuracies are in per cent, NaN where the seed diverged.

        Raises:
            NotRunError: there is no such cell.
        """
        if (norm, alpha) not in self._finals:  # many claims ask for the same cells, which may have thousands of files
            self._finals[norm, alpha] = self._final(norm, alpha)
        used, last = self._finals[norm, alpha]
        self.used |= used
        return last.copy()

    def _final(self, norm: str, alpha: float) -> tuple[set[str], pd.DataFrame]:
        """The files of all cells (norm, α), and what `final` says of them."""

        def matches(run: dict[str, Any]) -> bool:
            settings = run["settings"]
            if run["stage"] != "train" or not self._is_main(settings):
                return False
            return settings["norm"] == norm and float(settings["alpha"]) == alpha

        used = self._matching(matches)
        if not used:
            raise NotRunError(f"training with norm {norm} at α = {alpha:g}")
        table = self._rows(used)
        table = table[table["epochs"] == table["epochs"].max()]
        last = table.sort_values("epoch").groupby("seed").tail(1).set_index("seed").sort_index()
        last[["train_accuracy", "test_accuracy"]] *= 100
        return set(used), last

    def alphas(self, norm: str) -> list[float]:
        """The learning rates at which `norm` was trained, ascending."""
        runs = (run["settings"] for run in self.runs.values() if run["stage"] == "train")
        return sorted({float(s["alpha"]) for s in runs if s["norm"] == norm and self._is_main(s)})

    def _is_main(self, settings: dict[str, Any]) -> bool:
        """Whether a training job's network and batch size are those that the paper's claims are judged on."""
        return tuple(settings[name] for name in NETWORK) == self.main

    def _gather(self, matches: Callable[[dict[str, Any]], bool]) -> pd.DataFrame:
        """The rows of all files whose run.json satisfies `matches`; they count as used."""
        paths = self._matching(matches)
        self.used |= set(paths)
        return self._rows(paths) if paths else pd.DataFrame()

    def _matching(self, matches: Callable[[dict[str, Any]], bool]) -> list[str]:
        """The files whose run.json satisfies `matches`."""
        return [path for path, run in self.runs.items() if matches(run)]

    def _rows(self, paths: list[str]) -> pd.DataFrame:
        """The rows of these files, one after the other."""
        return pd.concat([self._tables[path] for path in paths], ignore_index=True)


def _some(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The table, unless it has no rows: then `what` was not run."""
    if table.empty:
        raise NotRunError(what)
    return table
