"""One figure or table: from result files to files for people."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files, record, runs, tables
from understanding_bn.errors import UserError
from understanding_bn.record import Record

NOTE = "note"  # of the text in a PNG that belongs below its caption


def draw(name: str, inputs: dict[str, list[Path]], out: Path) -> None:
    """Draw the figure or table `name` from Parquet files and write it to the folder `out`.

    The module of that name in this package has one of two functions. Their parameters are the tables that they draw
    from, by name: `histories`, a measurement such as `relative_loss`, or `random_matrices`.

    - `draw(**named tables) -> (figure, tables)` for a figure. The table under "" is what is drawn; the others are its
      companions.
    - `tabulate(**named tables) -> (table, markdown)` for a table.

    Either may raise `NothingToShow`: then its sentence is written to all files but the CSV, which has a header alone:
    the module's COLUMNS.

    Args:
        name: a module of this package.
        inputs: the files of each table, by its name.
        out: the folder to write to.

    Raises:
        UserError: there is no such module, it draws from other tables, or a file is not what its job wrote.
    """
    if importlib.util.find_spec(f"understanding_bn.figures.{name}") is None:
        raise UserError(f"{name}: no such figure or table; each is a module in workflow/understanding_bn/figures/")
    module = importlib.import_module(f"understanding_bn.figures.{name}")
    is_table = hasattr(module, "tabulate")
    function = module.tabulate if is_table else module.draw
    _must_fit(name, function, set(inputs))
    records = _records([path for paths in inputs.values() for path in paths])
    runs.must_share_data(records)
    note = precision_note(records.values())
    named = {table: tables.read(paths) for table, paths in inputs.items()}
    from understanding_bn.figures import nothing, style

    sentence = None
    with _all_or_none(out, name):
        try:
            shown, drawn = function(**named)
        except nothing.NothingToShow as reason:
            sentence = str(reason)
            header = pd.DataFrame(columns=module.COLUMNS)
            shown, drawn = (header, f"{sentence}\n") if is_table else (nothing.picture(sentence), {"": header})
        if is_table:
            tables.write(out / f"{name}.csv", shown)
            files.write_text(out / f"{name}.md", f"{drawn}\n{note}\n" if note else drawn)
        else:
            texts = {nothing.KEYWORD: sentence, NOTE: note}
            style.save(shown, drawn, out, name, {keyword: text for keyword, text in texts.items() if text})


@contextmanager
def _all_or_none(out: Path, name: str) -> Iterator[None]:
    """A figure or table keeps no file of an earlier drawing, whose companions may be others, nor a few of its own."""

    def remove() -> None:
        for path in (*out.glob(f"{name}.*"), *out.glob(f"{name}_*.csv")):
            path.unlink()

    remove()
    try:
        yield
    except BaseException:
        remove()
        raise


def _must_fit(name: str, function: Callable[..., Any], given: set[str]) -> None:
    """See that the tables given are those that a figure or table is drawn from."""
    parameters = inspect.signature(function).parameters
    needed = {table for table, parameter in parameters.items() if parameter.default is parameter.empty}
    if not given or not needed <= given <= set(parameters):
        raise UserError(f"{name}: is drawn from {', '.join(parameters)}; got {', '.join(sorted(given)) or 'nothing'}")


def precision_note(records: Iterable[Record | None]) -> str | None:
    """A sentence on the precision of the training behind a figure, unless that is float32 throughout."""
    found = sorted({run.precision for run in records if run is not None and run.precision is not None})
    if not set(found) - {"float32"}:
        return None
    return f"The networks were trained in {' and '.join(found)}; what is measured of them is in float32 or float64."


def note_in(png: Path) -> str | None:
    """That sentence, from a figure's PNG."""
    from PIL import Image

    with Image.open(png) as image:
        return getattr(image, "text", {}).get(NOTE)


def _records(paths: list[Path]) -> dict[str, Record | None]:
    """The record of each file, where there is one."""
    beside = {str(path): path.parent / "run.json" for path in paths}
    return {path: record.read(file) for path, file in beside.items() if file.is_file()}
