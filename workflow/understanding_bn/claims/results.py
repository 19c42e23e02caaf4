"""The result files that claims are judged on, identified by the run.json in the folder of each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn import record, runs, tables
from understanding_bn.cell import Cell
from understanding_bn.claims.scores import Scores
from understanding_bn.experiment.jobs import Matrices, Measure, Train
from understanding_bn.record import Record
from understanding_bn.summaries.training import CELL, main_network

ACCURACIES = ["train_accuracy", "clean_train_accuracy", "validation_accuracy", "test_accuracy"]


class NotRunError(Exception):
    """What a claim needs was not run; the text says what."""


class Results:
    """All raw values of a preset, and a note of which files were asked for.

    Args:
        inputs: files of values by table, each with its run.json in its folder.
    """

    def __init__(self, inputs: dict[str, list[Path]]):
        self.forget()
        paths = [path for of_table in inputs.values() for path in of_table]
        self.runs: dict[str, Record] = {str(path): record.read(path.parent / "run.json") for path in paths}
        runs.must_fit_together(self.runs)
        self._finals: dict[tuple[str, float, str | None], tuple[set[str], pd.DataFrame]] = {}
        self._tables = {str(path): tables.read([path]) for path in paths}
        trained = self._training()
        self.main = main_network(self._rows([*trained])) if trained else None

    def forget(self) -> None:
        """Forget which files, cells and learning rates were asked for."""
        self.used: set[str] = set()
        self.compared: list[tuple[str, float, str | None]] = []  # norm, α and init, as asked for
        self.alphas_for: dict[str, float] = {}  # by their role in the paper

    def measurement(self, name: str, norms: tuple[str, ...] = ("batch", "none")) -> pd.DataFrame:
        """The values of a measurement at initialisation, all norms and seeds.

        Raises:
            NotRunError: there are none, or not for each of `norms`.
        """
        table = self._gather(lambda run: isinstance(run.job, Measure) and run.job.measurement == name)
        missing = {*norms} - set(table["norm"].unique() if len(table) else [])
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

    def final(self, norm: str, alpha: float, init: str | None = None) -> pd.DataFrame:
        """The last row of each seed's history in the main network's cell (norm, α) with the most epochs, by seed.

        The main network is that of `summaries.training.main_network`; `init` is another initialisation of it.
        Accuracies are in per cent, NaN where the seed diverged.

        Raises:
            NotRunError: there is no such cell.
        """
        used, last = self._final(norm, alpha, init)
        self.used |= used
        return last.copy()

    def failed(self, norm: str, alpha: float) -> pd.Series:
        """Whether each seed of a cell (see `final`) failed. To ask is not to use: no file is noted."""
        return self._final(norm, alpha, None)[1]["failure"].notna()

    def scores(self, norm: str, alpha: float, init: str | None = None) -> Scores:
        """The final accuracies of a cell (see `final`), which counts as compared with others."""
        last = self.final(norm, alpha, init)
        if (norm, alpha, init) not in self.compared:
            self.compared.append((norm, alpha, init))
        return self.scores_of(last)

    def scores_of(self, last: pd.DataFrame) -> Scores:
        """The accuracies of a cell's last rows, as `final` and `ends` give them."""
        images = next(run.data.test_images for run in self.runs.values() if run.data)
        correct = {
            seed: np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=images).astype(bool)
            for seed, bits in last["test_correct"].items()
            if isinstance(bits, bytes)
        }
        return Scores(last["test_accuracy"], last["clean_train_accuracy"], correct)

    @property
    def cells(self) -> list[Cell]:
        """The cells of all training, each once. To ask is not to use: no file is noted."""
        return list(dict.fromkeys(self._training().values()))

    def ends(self, cell: Cell) -> pd.DataFrame:
        """The last row of each seed's history in one of `cells`, by seed, as `final` has them."""
        used = [path for path, other in self._training().items() if other == cell]
        self.used |= set(used)
        return self._last(used)

    def _final(self, norm: str, alpha: float, init: str | None) -> tuple[set[str], pd.DataFrame]:
        """The files of all cells of `final`, and what it says of them."""
        if (norm, alpha, init) in self._finals:  # many claims ask for the same cells, which may have thousands of files
            return self._finals[norm, alpha, init]
        used = []
        if self.main is not None:
            family = (self.main[0], init or self.main[1], self.main[2])
            cells = {path: cell for path, cell in self._training().items() if cell.family == family}
            used = [path for path, cell in cells.items() if (cell.norm, cell.alpha) == (norm, alpha)]
        if not used:
            raise NotRunError(
                f"training with norm {norm} at α = {alpha:g}" + (f", {init} initialisation" if init else "")
            )
        self._finals[norm, alpha, init] = set(used), self._last(used)
        return self._finals[norm, alpha, init]

    def _last(self, paths: list[str]) -> pd.DataFrame:
        """The last row of each seed's history in these files, of those with the most epochs; accuracies in per cent."""
        table = self._rows(paths)
        table = table[table["epochs"] == table["epochs"].max()]
        last = table.sort_values("epoch").groupby("seed").tail(1).set_index("seed").sort_index()
        # Records of earlier versions lack some columns.
        last = last.reindex(columns=last.columns.union([*ACCURACIES, "test_correct"], sort=False))
        last[ACCURACIES] = 100 * last[ACCURACIES].astype(float)
        return last

    def alphas(self, norm: str) -> list[float]:
        """The learning rates at which `norm` was trained, ascending."""
        cells = self._training().values()
        return sorted({cell.alpha for cell in cells if cell.norm == norm and cell.family == self.main})

    def of_shared_seeds(self, table: pd.DataFrame, name: str = "histories") -> pd.DataFrame:
        """The rows of the seeds that were run in every cell of the table, so that each seed's mean is over all of them.

        A run that failed is a run, whether it has rows or not. `table` has CELL; `name` is what it was made from.

        Raises:
            NotRunError: the cells share no seed.
        """
        seeds: dict[tuple[object, ...], set[int]] = {}
        for run in self.runs.values():
            if not isinstance(run.job, Matrices) and run.job.table == name:
                for network in run.job.networks:
                    seeds.setdefault(tuple(getattr(network, factor, None) for factor in CELL), set()).update(run.seeds)
        cells = table[CELL].drop_duplicates().itertuples(index=False, name=None)
        shared = set.intersection(*(seeds[cell] for cell in cells)) if len(table) else set()
        return _some(table[table["seed"].isin(shared)], "a seed in every one of the cells that are compared")

    def _training(self) -> dict[str, Cell]:
        """The cell of every training job, by its file."""
        return {path: run.job.cell for path, run in self.runs.items() if isinstance(run.job, Train)}

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
