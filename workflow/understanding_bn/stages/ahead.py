"""Training ahead of Snakemake: many jobs in one process, side by side on one GPU.

Snakemake starts a process a job, and processes take turns on a GPU. This one trains the runs of all jobs in lanes, each
job's results are left aside as it ends (see `finished`), and Snakemake's own jobs then take them.
"""

from collections.abc import Sequence
from pathlib import Path

from understanding_bn import device as devices
from understanding_bn import files, finished
from understanding_bn.data import store as stores
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Train
from understanding_bn.stages import train


def run(
    work: Sequence[tuple[Train, Path]],
    store_path: Path,
    state: Path,
    threads: int,
    wanted_device: str = "auto",
    lanes: int | None = None,
) -> None:
    """Train those of these jobs that have no results yet, in this order; each has its folder.

    Raises:
        UserError: a setting does not suit the data or the device.
        Stopped: the process was asked to stop by a signal, and has saved the state of all runs.
    """
    device = devices.prepare(threads, wanted_device)
    facts = {"data": stores.load(store_path).info["sha256"], "device": device.type, "threads": threads}
    left = [(job, out) for job, out in work if not finished.has_results(out, job, facts)]
    print(f"{len(left)} of {len(work)} training jobs are left", flush=True)
    if left:
        train.together(left, store_path, state, threads, wanted_device, lanes, done=finished.leave)


def read(listed: Path) -> list[tuple[Train, Path]]:
    """The training jobs in a list, with their folders.

    Args:
        listed: JSON, [{"spec": a job's spec, "out": its folder}, …], as Snakemake writes it when a run starts.

    Raises:
        UserError: the file is missing or is something else.
    """
    try:
        return [(Train.model_validate_json(entry["spec"]), Path(entry["out"])) for entry in files.read_json(listed)]
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"{listed}: not a list of training jobs ({files.first_line(error)}); snakemake writes it when a run starts"
        ) from None
