"""TensorBoard's view of a run, for those who watch their runs there (config key `tensorboard`)."""

import os
import shutil
from pathlib import Path
from typing import Any

VARIABLE = "UNDERSTANDING_BN_TENSORBOARD"  # a folder; where it isn't set, nothing is written
SCALARS = {  # the history's column: TensorBoard's name, one chart each, grouped by the part before the /
    "train_loss": "loss/train",
    "test_loss": "loss/test",
    "train_accuracy": "accuracy/train",
    "test_accuracy": "accuracy/test",
    "weight_norm": "weights/norm",
    "learning_rate": "schedule/learning_rate",
}


class EventLog:
    """Writes the rows of one run's history as scalars, against the epoch, as they come.

    What an earlier process wrote of the same run is replaced, because TensorBoard would draw both: the rows that a
    resumed run starts with are written again. Nothing here is a result, and no result depends on it.
    """

    def __init__(self, run: str):
        """
        Args:
            run: the run's folder below that of `VARIABLE`; its parts are what TensorBoard's filter sees.
        """
        self.rows = 0
        self.writer = None
        folder = os.environ.get(VARIABLE)
        if folder:
            # Only here: the import takes as long as torch's own.
            from torch.utils.tensorboard import SummaryWriter

            shutil.rmtree(Path(folder) / run, ignore_errors=True)
            self.writer = SummaryWriter(str(Path(folder) / run))

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Write the rows of a history that are new. The epoch of a bad loss has missing values, which are left out."""
        if self.writer is None or len(rows) == self.rows:
            return
        for row in rows[self.rows :]:
            for column, name in SCALARS.items():
                if row[column] is not None:
                    self.writer.add_scalar(name, row[column], row["epoch"])
        self.rows = len(rows)
        self.writer.flush()

    def close(self) -> None:
        """Write what is buffered and let go of the file."""
        if self.writer is not None:
            self.writer.close()
