"""The result files that claims are judged on, identified by the run.json in the folder of each."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from understanding_bn import record, runs, tables
from understanding_bn.cell import Cell
from understanding_bn.experiment.config import Roles
from understanding_bn.experiment.jobs import Matrices, Measure, Train
from understanding_bn.record import Record
from understanding_bn.summaries.training import main_network


class NotRunError(Exception):
    """What a claim needs was not run; the text says what."""


class Results:
    """All raw values of a preset, and a note of which files were asked for.

    Args:
        inputs: files of values by table, each with its run.json in its folder.
        roles: the config's `claims` block: which learning rate has which role in the paper.
    """

    def __init__(self, inputs: dict[str, list[Path]], roles: Roles):
        self.roles = roles
        self.forget()
        paths = [path for of_table in inputs.values() for path in of_table]
        self.runs: dict[str, Record] = {str(path): record.read(path.parent / "run.json") for path in paths}
        runs.must_fit_together(self.runs)
        self._finals: dict[tuple[str, float], tuple[set[str], pd.DataFrame]] = {}
        self._tables = {str(path): tables.read([path]) for path in paths}
        trained = self._training()
        self.main = main_network(self._rows([*trained])) if trained else None

    def forget(self) -> None:
        """Forget which files and roles were asked for."""
        self.used: set[str] = set()
        self.used_roles: set[str] = set()

    def alpha(self, role: str) -> float:
        """The learning rate with this role in the paper: "large", "middle", "small", "unstable", …"""
        self.used_roles.add(role)
        return getattr(self.roles, f"{role}_alpha")

    def measurement(self, name: str) -> pd.DataFrame:
        """The values of a measurement at initialisation, all norms and seeds.

        Raises:
            NotRunError: there are none, or not for both batch norm and none.
        """
        table = self._gather(lambda run: isinstance(run.job, Measure) and run.job.measurement == name)
        missing = {"batch", "none"} - set(table["norm"].unique() if len(table) else [])
        if missing:
            raise NotRunError(f"{name} for {' and '.join(sorted(missing))}")
        return table

    def trained(self, name: str) -> pd.DataFrame:
        """The values of a measurement on trained networks, all cells and seeds.

        Raises:
            NotRunError: there are none.
        """
        table = self._gather(lambda run: isinstance(run.job, Measure) and run.job.measurement == name)
        return _some(table, f"{name} of trained networks")

    def histories(self) -> pd.DataFrame:
        """The histories of all training runs.

        Raises:
            NotRunError: there are none.
        """
        return _some(self._gather(lambda run: isinstance(run.job, Train)), "training")

    def matrices(self) -> pd.DataFrame:
        """The singular values of products of Gaussian matrices."""
        return _some(self._gather(lambda run: isinstance(run.job, Matrices)), "random_matrices")

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
        cells = self._training(main=True).items()
        used = [path for path, cell in cells if (cell.norm, cell.alpha) == (norm, alpha)]
        if not used:
            raise NotRunError(f"training with norm {norm} at α = {alpha:g}")
        table = self._rows(used)
        table = table[table["epochs"] == table["epochs"].max()]
        last = table.sort_values("epoch").groupby("seed").tail(1).set_index("seed").sort_index()
        last[["train_accuracy", "test_accuracy"]] *= 100
        return set(used), last

    def alphas(self, norm: str) -> list[float]:
        """The learning rates at which `norm` was trained, ascending."""
        return sorted({cell.alpha for cell in self._training(main=True).values() if cell.norm == norm})

    def _training(self, main: bool = False) -> dict[str, Cell]:
        """The cell of every training job, by its file; only those of the main network if asked so."""
        cells = {path: run.job.cell for path, run in self.runs.items() if isinstance(run.job, Train)}
        return {path: cell for path, cell in cells.items() if not main or cell.family == self.main}

    def _gather(self, matches: Callable[[Record], bool]) -> pd.DataFrame:
        """The rows of all files whose run.json satisfies `matches`; they count as used."""
        paths = self._matching(matches)
        self.used |= set(paths)
        return self._rows(paths) if paths else pd.DataFrame()

    def _matching(self, matches: Callable[[Record], bool]) -> list[str]:
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
