"""The config and the plan that follows from it; where files are; helpers that several rules use."""

import importlib
import os
import shlex
import shutil
import sys
from pathlib import Path

# The Snakefile imports the package, and jobs run `python -m understanding_bn`: in both cases this checkout's, wherever
# Snakemake was started and whether this workflow is used by itself or as a module of another.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).resolve().parents[1]
PACKAGE = PROJECT / "workflow"
if set("{}\n") & set(str(PACKAGE)):  # Snakemake takes braces in a path of its own for something to fill in
    sys.exit(f"error: {str(PROJECT)!r}: in a folder whose path has braces Snakemake can't work; move the checkout")
sys.path.insert(0, str(PACKAGE))
from understanding_bn import architecture, failures, files, fingerprint, finished, slurm, terminal, warm
from understanding_bn.data import sources
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.config import IMAGES
from understanding_bn.experiment.jobs import Matrices, Measure, Train
from understanding_bn.experiment.plan import plan
from understanding_bn.training import event_log

# A scheduler signals every process of a job. The shell and `tee` must outlive the stage, which has things to save.
# Where the run is shown in short (`terminal`), a job's lines go to its log alone.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(PACKAGE))}:$" + "{{PYTHONPATH:-}}; "
    "trap : TERM USR1; tee() {{ trap '' TERM USR1; "
    f'if [ "${{{{{terminal.QUIET_JOBS}:-}}}}" ]; then cat > "$1"; else command tee "$1"; fi; }}}}; '
)


def near(path):
    """A file of this project, relative where it can be, so that a moved checkout reruns nothing."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def resolved():
    """The config, the data set's folder and its tag; any mistake ends the run with one line."""
    try:
        # In a module, the config is the one that the other workflow gives; otherwise what files and command line add.
        given = workflow.config_settings
        main = workflow.modifier.is_main_snakefile()
        own = load.own(given.configfiles, given.config) if main else [config]
        checked = load.resolve(load.complete(*own))
        folder = sources.folder(checked.data_dir) if checked.data_dir else None
        subset, form = checked.subset, (checked.channels, checked.image_size)
        tag = sources.tag(checked.dataset, folder, subset.train, subset.test, *form, subset.validation)
        marker = Path("results") / checked.preset / "dataset.txt"
        other = marker.read_text().strip() if marker.is_file() else tag
        if other != tag:
            raise UserError(
                f"config key preset: results/{checked.preset} holds results of data set {other}, not {tag}; "
                f"name another folder, such as --config preset={checked.preset}-{tag}"
            )
        return plan(checked), folder, tag
    except UserError as error:
        sys.exit(f"error: {error}")


PLAN, DATA_DIR, DATA_TAG = resolved()
CONFIG = PLAN.config
RESULTS = f"results/{CONFIG.preset}"
LOGS = f"logs/{CONFIG.preset}"
# Its code is in its name and no parameter, which would make it run again. Snakemake passes over jobs that have the output
# of such a job as an `ancient` input, even those that lack their results, and the run would end without them.
STORE = f"results/data/{DATA_TAG}/store-{PLAN.prepare.code}.npz"
STATE = "results/.state"
ENVIRONMENT = "../../envs/analysis.yaml"
CAPTIONS = PROJECT / "workflow" / "report"
os.environ[finished.VARIABLE] = "1"  # jobs leave their results aside, because Snakemake may die before it records them
# An environment variable and no parameter of a rule: watching a run must not run it again.
os.environ[event_log.VARIABLE] = str(Path(RESULTS, "tensorboard").resolve()) if CONFIG.tensorboard else ""
JOBS = {job.folder: job for job in PLAN.measured}


def job_of(pattern):
    """The job that a rule's wildcards name, as a function of them; `pattern` is that of its folder."""
    return lambda wildcards: JOBS[pattern.format(**wildcards)]


def spec(pattern):
    """The spec for the rule's command, as a function of the wildcards."""
    return lambda wildcards: job_of(pattern)(wildcards).spec


def code(pattern):
    """The fingerprint of the code behind the rule's job, as a function of the wildcards."""
    return lambda wildcards: code_of(job_of(pattern)(wildcards))


CODES = {}


def code_of(job):
    """The fingerprint of a job's code, computed once for all jobs that share it."""
    key = (job.rule, getattr(job, "measurement", ""), job.plugins)
    if key not in CODES:
        CODES[key] = job.code
    return CODES[key]


def values(jobs):
    """The files of values that these jobs write."""
    return [f"{RESULTS}/{job.values}" for job in jobs]


# Inputs by the thousand do not fit on a command line: Linux allows 128 KiB for the one string that a shell is given.
# So each command that reads many gets a file that lists them, which is written when a run starts.
LISTS = {}


def listed(name, inputs):
    """The file that lists a command's inputs by table."""
    LISTS[f"{RESULTS}/inputs/{name}.json"] = {table: values(jobs) for table, jobs in inputs.items()}
    return f"{RESULTS}/inputs/{name}.json"


RUNS = sorted(f"{RESULTS}/{job.folder}/run.json" for job in PLAN.measured)
RUN_LIST = f"{RESULTS}/inputs/report.txt"


WARM = []  # the process that this run's jobs are forked from, which lives as long as this one


onstart:
    if workflow.executor_plugin.name == "slurm":
        if not shutil.which("sbatch"):
            sys.exit(
                "error: there is no Slurm here (no command sbatch): log in where jobs are submitted, or leave --profile out"
            )
        slurm.mend(importlib.import_module("snakemake_executor_plugin_slurm"))
    try:
        # `resolved` reads this at the next start: results of different data sets never share a folder.
        files.write_text(Path(RESULTS) / "dataset.txt", f"{DATA_TAG}\n")
        files.write_text(Path(RESULTS) / "config.json", CONFIG.model_dump_json(indent=2) + "\n")
        for path, tables in LISTS.items():
            files.write_json(Path(path), tables)
        files.write_list(Path(RUN_LIST), RUNS)
        if any(job.rule.name == "ahead" for job in workflow.dag.needrun_jobs()):
            listed_jobs = [{"spec": job.spec, "out": f"{RESULTS}/{job.folder}"} for job in AHEAD]
            files.write_json(Path(RESULTS) / "inputs" / "ahead.json", listed_jobs)
        forget_recorded()
    except OSError as error:
        sys.exit(f"error: {files.trouble(error) or error}")
    logs = [str(job.log[0]) for job in workflow.dag.needrun_jobs() if job.log]
    terminal.foresee(logs, CONFIG.preset)
    # A cluster's nodes and other environments have no use for it.
    if workflow.local_exec and not workflow.deployment_settings.deployment_method:
        tracing = ("hessian_spectrum", "edge_of_stability", "initial_sharpness")
        traced = any(name in log for log in logs for name in tracing)
        WARM.append(warm.start(len(logs), [warm.TRACING] if traced else []))


def forget_recorded():
    """Remove what jobs have left aside that Snakemake has recorded by now, or that it was told to run anew."""
    dag, given = workflow.dag, workflow.dag_settings
    # Snakemake's own word for these also holds for jobs that were not recorded.
    told = {*given.forcerun, *(dag.targetfiles if given.forcetargets else ())}
    for job in dag.jobs:
        forced = job.rule in dag.forcerules or not told.isdisjoint(job.output)
        if "run" in job.output.keys() and (forced or dag.finished(job) or not dag.needrun(job)):
            finished.forget(Path(job.output.run).parent)


def both(first, then):
    """What Snakemake calls when a run starts or ends, made of two such functions."""
    return lambda log: (first(log), then(log))


# Snakemake calls those of the main Snakefile only. A module's lists must be there too, so that its own is called first;
# a Snakefile with an `onstart` of its own after the module calls `NAME.onstart()` in it, and so on.
if not workflow.modifier.is_main_snakefile():
    workflow._onstart = both(workflow._onstart, lambda log: onstart())


# The embedded images are 1/16 as large as CIFAR-10's, and there are 1,437 of them to train on.
EMBEDDED = CONFIG.dataset == "digits"


# Memory of a job, in MB: torch and its libraries, the images as float32, and activations, which grow with depth, batch
# size and the area of an image. Fitted with a margin to the benchmarks in logs/ of presets quick and cifar10-init, and
# to what SLURM counts, which is the job's own Snakemake too.
def job_memory(arch, batch_size, attempt):
    activations = 12 * architecture.depth(arch) * batch_size / 128 / (16 if EMBEDDED else 1)
    return round((2000 + (0 if EMBEDDED else 1300) + activations) * attempt)


def training_minutes(wildcards, attempt):
    """Minutes of one CPU core, half again as long as measured: 57 images/s of ResNet-110 at 32×32, testing included.

    Profiles of clusters with GPUs put their own estimate in its place.
    """
    runs = int(wildcards.epochs) * len(wildcards.seeds.split("-"))
    epoch = 24 * architecture.depth(wildcards.arch) / 110 / (200 if EMBEDDED else 1)
    whole = IMAGES["digits" if EMBEDDED else "cifar10"]["train"]
    epoch *= min(CONFIG.images("train"), whole) / whole
    return round((15 + epoch * runs) * attempt)


def measuring_minutes(wildcards, attempt):
    """Minutes on a CPU, with a margin of two or more: see logs/cifar10-init for what was measured."""
    options = job_of(Measure.INITIAL)(wildcards).options
    share = {"edge_of_stability": 4}.get(wildcards.measurement, 1)
    if wildcards.measurement == "max_learning_rate":
        share = options.updates * options.batch_size / 2560
    if wildcards.measurement == "effective_learning_rate":  # trains so many networks, at 57 images/s of ResNet-110
        runs = len(CONFIG.seeds) * len(options.decayed) * len(options.alphas) * len(options.weight_decays)
        share = runs * options.updates * options.batch_size * architecture.depth(wildcards.arch) / 110 / (57 * 3600)
    return round((10 if EMBEDDED else 60) * max(1, share) * attempt)


# Locally one training job at a time gets the GPU, where there is one. On a cluster the profile asks for it.
LOCAL_GPU = int(shutil.which("nvidia-smi") is not None)


wildcard_constraints:
    arch="[a-z-]+-[0-9]+",
    init="[a-z0-9_]+",
    norm="[a-z0-9-]+",
    alpha="[0-9.]+",
    batch_size="[0-9]+",
    epochs="[0-9]+",
    seeds="[0-9-]+",
    measurement="[a-z_]+",
