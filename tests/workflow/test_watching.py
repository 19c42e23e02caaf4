"""Ways to watch a run, in a terminal and in TensorBoard: they show it, and change none of it."""

import os
import pty
import re
import subprocess

import pandas as pd
import pytest
from checkouts import cells, environment
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def in_a_terminal(checkout, *arguments):
    """What `snakemake ARGUMENTS` shows in a terminal, without colours and movements of the cursor."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        checkout.command(*arguments, tiny=False),
        cwd=checkout.folder,
        env=environment() | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # so a terminal ends that nobody writes to any more
        pass
    os.close(ours)
    assert process.wait() == 0, shown[-3000:]
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


@pytest.mark.slow
def test_a_live_line_and_tensorboard(checkout):
    preset = cells(checkout, {"norm": "batch", "epochs": 2})
    history = "results/cells/train/resnet-8/xavier_uniform/norm-batch/alpha-0.05/batch-128/epochs-2/seeds-0"
    plain = ["--configfile", preset, "--config", "tensorboard=True"]
    shown = in_a_terminal(checkout, *plain, "--logger", "brief", "--", f"{history}/history.parquet")
    assert re.search(r"1 of 2  data/digits  \d+ s", shown), "a line for each job"
    assert re.search(r"2 of 2  cells/train/resnet-8/\S+/seeds-0  \d+ s", shown)
    assert "1 of 2 jobs · " in shown, "the live line"
    assert "rule train" not in shown
    assert "epochs" in (checkout.folder / "logs/cells" / f"{history.removeprefix('results/cells/')}.log").read_text()
    log = history.replace("/train/", "/tensorboard/").replace("/seeds-0", "/seed-0")
    events = EventAccumulator(str(checkout.folder / log)).Reload().Scalars("accuracy/test")
    accuracy = pd.read_parquet(checkout.folder / history / "history.parquet")["test_accuracy"]
    assert [round(event.value, 6) for event in events] == accuracy.round(6).tolist()
    assert "train" not in checkout.rules_planned("--configfile", preset, tiny=False), "watched or not, it is done"
