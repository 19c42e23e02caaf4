"""One figure or table: from result files to files for people."""

import importlib
import importlib.util
from pathlib import Path

from understanding_bn import files, tables
from understanding_bn.errors import UserError


def draw(name: str, inputs: list[Path], out: Path) -> None:
    """Draw the figure or table `name` from the rows of `inputs` (Parquet).

    The module of that name beside this one has either `draw(values) -> (figure, tables)`, for a figure, where the
    table under "" holds exactly what is drawn, or `tabulate(values) -> (table, markdown)`, for a table.
    """
    if importlib.util.find_spec(f"understanding_bn.figures.{name}") is None:
        raise UserError(f"{name}: no such figure or table; each is a module in workflow/understanding_bn/figures/")
    module = importlib.import_module(f"understanding_bn.figures.{name}")
    values = tables.read(inputs)
    if hasattr(module, "tabulate"):
        table, markdown = module.tabulate(values)
        tables.write(out / f"{name}.csv", table)
        files.write_text(out / f"{name}.md", markdown)
        return
    from understanding_bn.figures import style

    figure, drawn = module.draw(values)
    style.save(figure, drawn, out, name)
