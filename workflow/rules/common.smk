"""The config, resolved and checked; where things lie; helpers that several rules use."""

import functools
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

# The Snakefile imports the package, and jobs run `python -m understanding_bn`: in both cases this checkout's.
PACKAGE = Path(workflow.basedir) / "workflow"
if set("{}\n") & set(str(PACKAGE)):  # Snakemake takes braces in a path of its own for something to fill in
    sys.exit(f"error: {workflow.basedir!r}: in a folder whose path has braces Snakemake can't work; move the checkout")
sys.path.insert(0, str(PACKAGE))
# A scheduler signals every process of a job. The shell and `tee` must outlive the stage, which has things to save.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(PACKAGE))}:$" + "{{PYTHONPATH:-}}; "
    "trap : TERM USR1; tee() {{ trap '' TERM USR1; command tee \"$@\"; }}; "
)

from understanding_bn import architecture
from understanding_bn import config as configs
from understanding_bn import files, grid, layout, plugins
from understanding_bn.cell import Cell
from understanding_bn.data import sources
from understanding_bn.errors import UserError
from understanding_bn.provenance import fingerprint
from understanding_bn.training import event_log

try:
    BASES = configs.bases(config)
except UserError as error:
    sys.exit(f"error: {error}")
for base in BASES:

    # A preset may build on others. What it says itself, and the command line, is applied again after each, and wins.
    configfile: str(base)


def checked_config():
    """The resolved config and the data set's tag; any mistake ends the run with one line."""
    try:
        resolved = configs.resolve(config)
        folder = sources.folder(resolved["data_dir"]) if resolved["data_dir"] else None
        tag = sources.tag(resolved["dataset"], folder, **resolved["subset"])
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
# What jobs are told by the environment is no part of what they are known by: to watch a run must not run it again.
os.environ[plugins.VARIABLE] = json.dumps([str(Path(name).resolve()) for name in CONFIG["plugins"]])
os.environ[event_log.VARIABLE] = str(Path(RESULTS, "tensorboard").resolve()) if CONFIG["tensorboard"] else ""
CELLS = grid.cells(CONFIG)
SEED_BLOCKS = grid.seed_blocks(CONFIG)


# Inputs by the thousand do not fit on a command line: Linux allows 128 KiB for the one string that a shell is given.
# So each job that takes many reads their names from a file.
LISTS = {}


def listed(item, paths):
    """The argument that names these paths to an item's command: @ and the list file, which is written on start."""
    LISTS[f"{RESULTS}/inputs/{item}.txt"] = paths
    return f"@{RESULTS}/inputs/{item}.txt"


onstart:
    try:
        # Read above, at the next start: results of different data sets never share a folder.
        files.write_text(Path(RESULTS) / "dataset.txt", f"{DATA_TAG}\n")
        files.write_json(Path(RESULTS) / "config.json", CONFIG)
        for path, paths in LISTS.items():
            files.write_list(Path(path), paths)
    except OSError as error:
        sys.exit(f"error: {files.trouble(error) or error}")


# The embedded images are 1/16 as large as CIFAR-10's, and there are 1,437 of them to train on.
EMBEDDED = CONFIG["dataset"] == "digits"


# Memory of a job, in MB: torch and its libraries, the images as float32, and activations, which grow with depth, batch
# size and the area of an image. Fitted with a margin to the benchmarks in logs/ of presets quick and cifar10-init, and
# to what SLURM counts, which is the job's own Snakemake too.
def job_memory(arch, batch_size, attempt):
    activations = 12 * architecture.depth(arch) * batch_size / 128 / (16 if EMBEDDED else 1)
    return round((1500 + (0 if EMBEDDED else 1300) + activations) * attempt)


def training_minutes(wildcards, attempt):
    """Minutes of one CPU core, half again as long as measured: 57 images/s of ResNet-110 at 32×32, testing included.

    Profiles of clusters with GPUs put their own estimate in its place.
    """
    runs = int(wildcards.epochs) * len(wildcards.seeds.split("-"))
    epoch = 24 * architecture.depth(wildcards.arch) / 110 / (200 if EMBEDDED else 1)
    whole = grid.IMAGES["digits" if EMBEDDED else "cifar10"]["train"]
    epoch *= (CONFIG["subset"]["train"] or whole) / whole
    return round((15 + epoch * runs) * attempt)


def measuring_minutes(wildcards, attempt):
    """Minutes on a CPU, with a margin of two or more: see logs/cifar10-init for what was measured."""
    search = START["probes"][wildcards.probe]
    longer = search["updates"] * search["batch_size"] / 2560 if wildcards.probe == "max_learning_rate" else 1
    return round((10 if EMBEDDED else 60) * max(1, longer) * attempt)


def own_code(wildcards, *modules):
    """What the code of a job's stage is known by. Of the user's plug-ins only those that the job needs count, so that
    a new one, or a change in it, reruns nothing else."""
    networks = START["probes"].get(getattr(wildcards, "probe", None), {}).get("networks", {})
    return code_with(wildcards.norm, (wildcards.init, *networks.get("inits", [])), modules)


@functools.cache  # of thousands of jobs few differ in it
def code_with(norm, inits, modules):
    return "".join(fingerprint(module, plugins.sources(norm, *inits)) for module in modules)


# Locally one training job at a time gets the GPU, where there is one. On a cluster the profile asks for it.
LOCAL_GPU = int(shutil.which("nvidia-smi") is not None)


START_PATTERN = f"{RESULTS}/{layout.MEASURED}"
TRAIN_PATTERN = f"{RESULTS}/{layout.TRAIN}"
TRAINED_PATTERN = f"{RESULTS}/{layout.TRAINED}"


def measured(probe):
    """The values of a measurement, for every network and norm; none if the preset does not make it."""
    return [f"{RESULTS}/{folder}/values.parquet" for folder in layout.measured(CONFIG, probe)]


def records(values):
    """The run.json of every job that made one of these files, each once."""
    return list(dict.fromkeys(str(Path(path).parent / "run.json") for path in values))


def training(file, wanted=lambda cell: True):
    """The path of one output file of every training job whose cell is wanted."""
    return [f"{RESULTS}/{layout.train(c, block)}/{file}" for c in CELLS if wanted(c) for block in SEED_BLOCKS]


MOMENTS = {probe: grid.moments(CONFIG, probe) for probe in CONFIG["trained"]["probes"]}


def trained(probe):
    """The values of a measurement on trained networks, for every cell; none if the preset does not make it."""
    cells = MOMENTS.get(probe, {})
    return [f"{RESULTS}/{layout.trained(probe, c, block)}/values.parquet" for c in cells for block in SEED_BLOCKS]


# The paper's figures of training are of one network and batch size, whatever else a grid holds.
MAIN = grid.main_network(CONFIG)
NORMS = {cell.norm for cell in CELLS if cell.network == MAIN}
COMPARED = {"none", "batch"}


def histories(*names):
    """The histories of these norms and of those that every norm is compared with; none if none of them was trained."""
    wanted = set(names) & NORMS
    return training("history.parquet", lambda c: c.network == MAIN and c.norm in wanted | COMPARED) if wanted else []


def with_histories(*measurements):
    """Measurements on trained networks and all histories; none if no measurement was made."""
    found = [path for paths in measurements for path in paths]
    return [*training("history.parquet"), *found] if found else []


# Whether both α and B vary on one network.
GRID = len({cell.batch_size for cell in CELLS if cell.network[:2] == MAIN[:2]}) > 1


READ = [f"{RESULTS}/{folder}/values.parquet" for probe in layout.READ for folder in layout.read(CONFIG, probe)]


# The options of SGD and augmentation that every stage with a network takes.
SGD = [
    f"--momentum {CONFIG['optimiser']['momentum']}",
    f"--weight-decay {CONFIG['optimiser']['weight_decay']}",
    f"--pad {CONFIG['augmentation']['pad']}",
    "--flip" if CONFIG["augmentation"]["flip"] else "--no-flip",
]


wildcard_constraints:
    arch="[a-z-]+-[0-9]+",
    init="[a-z0-9_]+",
    norm="[a-z0-9-]+",
    alpha="[0-9.]+",
    batch_size="[0-9]+",
    epochs="[0-9]+",
    seeds="[0-9-]+",
    probe="[a-z_]+",
