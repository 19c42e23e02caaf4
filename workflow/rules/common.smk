"""The config, resolved and checked; where things lie; helpers that several rules use."""

import json
import os
import sys
from pathlib import Path

# Jobs run `python -m understanding_bn`; this checkout's package must be the one they find.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(workflow.basedir) / "workflow"), os.environ.get("PYTHONPATH")])
)
sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

from understanding_bn import config as configs
from understanding_bn.cell import Cell
from understanding_bn.data import sources
from understanding_bn.errors import UserError
from understanding_bn.provenance import fingerprint


def checked_config():
    """The resolved config and the data set's tag; any mistake ends the run with one line."""
    try:
        resolved = configs.resolve(config)
        folder = Path(resolved["data_dir"]).expanduser() if resolved["data_dir"] else None
        tag = sources.tag(resolved["dataset"], folder)
        marker = Path("results") / resolved["preset"] / "dataset.txt"
        other = marker.read_text().strip() if marker.is_file() else tag
        if other != tag:
            raise UserError(
                f"config key preset: results/{resolved['preset']} holds results of data set {other}, not {tag}; "
                f"name another folder, such as --config preset={resolved['preset']}-{tag}"
            )
    except UserError as error:
        sys.exit(f"error: {error}")
    return resolved, folder, tag


CONFIG, DATA_DIR, DATA_TAG = checked_config()
RESULTS = f"results/{CONFIG['preset']}"
STORE = f"results/data/{DATA_TAG}/store.npz"
STATE = "results/.state"
ENVIRONMENT = "../../envs/analysis.yaml"
START = CONFIG["initialization"]
CELLS = configs.cells(CONFIG)


onstart:
    # Read above, at the next start: results of different data sets never share a folder.
    Path(RESULTS).mkdir(parents=True, exist_ok=True)
    (Path(RESULTS) / "dataset.txt").write_text(f"{DATA_TAG}\n")


# Memory of a job on this data set, in MB: torch and its libraries, the images as float32, and activations, which
# grow with depth, batch size and the area of an image. The factors are measured; see docs/design.md.
def job_memory(arch, batch_size, attempt):
    depth = int(arch.split("-")[1])
    side = 8 if CONFIG["dataset"] == "digits" else 32
    images = 0 if CONFIG["dataset"] == "digits" else 1100
    activations = 3.2 * depth * batch_size / 128 * (side / 32) ** 2 * 2
    return round((700 + images + 4 * activations) * attempt)


# Locally one training job at a time gets the GPU, where there is one. On a cluster the profile asks for it.
LOCAL_GPU = int(Path("/dev/nvidia0").exists())

# The settings of SGD and augmentation that every stage takes, as one shared piece of a command line.
SGD = "--momentum {params.momentum} --weight-decay {params.weight_decay} --pad {params.pad} {params.flip}"
SGD_PARAMS = {
    "momentum": CONFIG["optimiser"]["momentum"],
    "weight_decay": CONFIG["optimiser"]["weight_decay"],
    "pad": CONFIG["augmentation"]["pad"],
    "flip": "--flip" if CONFIG["augmentation"]["flip"] else "--no-flip",
}


wildcard_constraints:
    arch="resnet-[0-9]+",
    init="[a-z0-9_]+",
    norm="[a-z0-9-]+",
    alpha="[0-9.]+",
    batch_size="[0-9]+",
    epochs="[0-9]+",
    seeds="[0-9-]+",
    probe="[a-z_]+",
