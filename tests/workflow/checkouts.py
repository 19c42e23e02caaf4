"""A copy of the checkout to run Snakemake in, and a config that is small enough to run whole."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from understanding_bn.benchmark.scale import copy_workflow
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.stages import train

ROOT = Path(__file__).resolve().parent.parent.parent

MAIN = {"arch": "resnet-8", "init": "kaiming", "alpha": 0.05, "batch_size": 128, "epochs": 1}
AT_INITIALIZATION = {
    "gradient_histogram": {"layer": 4, "minibatches": 2},
    "relative_loss": {
        "alpha": {"default": 0.01},
        "minibatches": [1, 2],
        "smallest_step": 0.001,
        "largest_step": 10,
        "steps_per_decade": 2,
    },
    "divergence_path": {
        "alpha": 100,
        "layers": [2, 4, 6],
        "percent_step": 50,
        "most_updates": 3,
        "site": "convolution",
    },
    "channel_moments": {"layers": [2, 4, 6, 8]},
    "logit_gradients": {},
    "gradient_sums": {"layers": [2, 4, 6]},
    "kernel_gradients": {"layer": 4},
    "input_mean_correlation": {},
    "gradient_noise": {"batch_sizes": [8, 32], "minibatches": 4, "alphas": [0.01, 0.1]},
    "jacobian_conditioning": {
        "networks": {"archs": ["resnet-8", "plain-8"], "inits": ["kaiming", "fixup"]},
        "batch_size": 4,
    },
    "max_learning_rate": {
        "archs": ["resnet-14"],
        "inits": [],
        "batch_size": 16,
        "updates": 3,
        "smallest_alpha": 0.0001,
        "largest_alpha": 1000,
        "steps_per_decade": 1,
    },
}

# A little of everything: it runs in a minute.
TINY = {
    "preset": "tiny",
    "dataset": "digits",
    "seeds": 2,
    "seeds_per_job": 2,
    "plugins": "half.py",
    "augmentation": {"pad": 1, "flip": False},
    "grid": [
        MAIN | {"norm": ["batch", "half"]},
        # At α = 1000 a network without norm and with Kaiming's start overflows at its second mini-batch, for any seed.
        MAIN | {"norm": "none", "alpha": 1000},
    ],
    "trained": {
        "measurements": {
            "gradient_structure": {"at": [1], "where": {"norm": ["batch"]}, "minibatches": 2},
            "hessian_spectrum": {"at": []},
        },
    },
    "initialization": {
        "arch": "resnet-8",
        "norms": ["batch", "none"],
        "batch_size": 16,
        "measurements": dict.fromkeys(AT_INITIALIZATION) | {"logit_gradients": {}},
    },
    "random_matrices": {"size": 50, "factors": [1, 2], "draws": 3},
}

# Every measurement, so that there is every figure and table.
WHOLE = TINY | {
    "grid": [
        MAIN | {"norm": ["batch", "half"]},
        MAIN | {"norm": "none", "alpha": [0.05, 1000]},
        MAIN | {"norm": "batch-final"},
        MAIN | {"norm": "batch", "batch_size": 256},
    ],
    "trained": {
        "measurements": {
            "gradient_structure": {"at": [0, 1], "minibatches": 2},
            "hessian_spectrum": {
                "at": [1],
                "where": {"norm": ["batch"], "batch_size": [128]},
                "subset": 64,
                "top": 1,
                "probes": 2,
                "steps": 3,
            },
        },
    },
    "initialization": TINY["initialization"]
    | {"measurements": AT_INITIALIZATION, "readings": [{"arch": "resnet-padded-8"}]},
}


# A plug-in with a norm.
PLUGIN = """
from torch import nn


class Half(nn.Module):
    def forward(self, x):
        return x / 2


def norm_half(channels):
    return Half()
"""


def _end(process):
    """Close the pipes of a process and wait for it, unless that was done."""
    if process.returncode is None:
        process.communicate()


class Checkout:
    """A copy of the project in a folder of its own."""

    def __init__(self, folder: Path, config: str = "tiny.yaml", source: Path | None = None):
        """`config`: what is run unless a test says otherwise; `source`: a checkout to copy, instead of the project."""
        self.folder = folder
        self.results = folder / "results/tiny"
        self.config = config
        self._planner: subprocess.Popen | None = None
        if source is not None:
            shutil.copytree(source, folder, symlinks=True)
            return
        folder.mkdir(parents=True)
        copy_workflow(folder)
        (folder / "slurm").symlink_to("profiles/slurm")
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
        (folder / "whole.yaml").write_text(yaml.safe_dump(WHOLE))
        (folder / "half.py").write_text(PLUGIN)

    def run(self, *arguments, tiny=True):
        """`snakemake ARGUMENTS` here, with the checkout's tiny config unless told otherwise."""
        command = self.command(*arguments, tiny=tiny)
        return subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True)

    def plan(self, *arguments, tiny=True):
        """What `snakemake ARGUMENTS --dry-run` answers here: a dict with `status`, `jobs` and what it `said`.

        All plans of a checkout are made in one process, which saves most of what Snakemake needs to start.
        """
        if self._planner is None:
            program = Path(__file__).with_name("planner.py")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._planner = subprocess.Popen(
                [sys.executable, program], cwd=self.folder, env=environment(), text=True, **pipes
            )
            # Also where a test forgets to close its checkout: a process that nobody waits for is a warning.
            weakref.finalize(self, _end, self._planner)
        words = ["--dry-run", *self.command(*arguments, tiny=tiny)[3:]]  # before what may be targets
        self._planner.stdin.write(json.dumps(words) + "\n")
        self._planner.stdin.flush()
        answer = self._planner.stdout.readline()
        assert answer, f"the planner ended at {' '.join(words)}"
        return json.loads(answer)

    def close(self):
        """End the process that plans, if there is one."""
        if self._planner is not None:
            if self._planner.returncode is None:
                self._planner.communicate()
            self._planner = None

    def start(self, *arguments, tiny=True):
        """The same in the background, in a process group of its own. What it says goes to said.txt."""
        path = self.folder / "said.txt"
        path.unlink(missing_ok=True)  # a job of a run before this one may still write to the old one
        with path.open("w") as said:
            return subprocess.Popen(
                self.command(*arguments, tiny=tiny),
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                # A shell starts what it puts into the background deaf to Ctrl-C, and children inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def package(self, *arguments):
        """`python -m understanding_bn ARGUMENTS` here, with this copy's code."""
        command = [sys.executable, "-m", "understanding_bn", *map(str, arguments)]
        env = environment() | {"PYTHONPATH": str(self.folder / "workflow")}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)

    def said(self):
        """What the run in the background has said."""
        return (self.folder / "said.txt").read_text()

    def command(self, *arguments, tiny=True):
        """`snakemake ARGUMENTS` as a list of words."""
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]
        return command + (["--configfile", self.config] if tiny else [])

    def rules_planned(self, *arguments, tiny=True):
        """The number of jobs of each rule that a dry run plans."""
        answer = self.plan(*arguments, tiny=tiny)
        assert answer["status"] == 0, answer["said"]
        return answer["jobs"]


def environment():
    """What Snakemake is started with: this interpreter's folder first, and no one else's packages."""
    found = dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    found.pop("PYTHONPATH", None)
    return found


def only_line(said):
    """What a run that must fail says; it must be one line besides Snakemake's own on the files that it reads."""
    usual = ("Using workflow specific profile", "Config file ")
    lines = [line for line in said.splitlines() if not line.startswith(usual)]
    assert len(lines) == 1, lines
    return lines[0]


def refused(checkout, *arguments):
    """The one line with which a start of Snakemake must fail; it must have written nothing."""
    answer = checkout.plan(*arguments, tiny=False)
    assert answer["status"] != 0
    line = only_line(answer["said"])
    assert line.startswith("error: ")
    assert not (checkout.folder / "results").exists()
    assert not (checkout.folder / "logs").exists()
    return line


def cells(checkout, *grid, seeds=1, measured_at=(), **keys):
    """The configuration file of a preset that trains these cells (of ResNet-8, if they don't say) and little else.

    `keys`: further keys of the configuration.
    """
    base = {"arch": "resnet-8", "alpha": 0.05, "batch_size": 128}
    config = {"preset": "cells", "dataset": "digits", "seeds": seeds, "augmentation": {"pad": 1, "flip": False}}
    config |= {"grid": [base | cell for cell in grid], "initialization": {"measurements": {}}, **keys}
    config["trained"] = {"measurements": {"gradient_structure": {"at": [*measured_at], "minibatches": 2}}}
    (checkout.folder / "cells.yaml").write_text(yaml.safe_dump(config))
    return "cells.yaml"


def undisturbed(checkout, digits_path, folder):
    """Train the same cells here, and compare."""
    config = load.resolve(load.load(checkout.folder / "cells.yaml"))
    for job in plan(config).train:
        train.run(job, digits_path, folder / job.folder, folder / "state", threads=1, wanted_device="cpu")
        must_equal(folder / job.folder, checkout.folder / "results/cells" / job.folder)


def must_equal(left, right):
    """The results of two training jobs, in their folders, must be the same bit for bit."""
    ours, theirs = (pd.read_parquet(folder / "history.parquet") for folder in (left, right))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (torch.load(folder / "weights.pt", weights_only=True) for folder in (left, right))
    assert ours.keys() == theirs.keys()
    for seed, epochs in ours.items():
        assert epochs.keys() == theirs[seed].keys()
        for epoch, weights in epochs.items():
            assert all(torch.equal(value, theirs[seed][epoch][name]) for name, value in weights.items())


def write_parquet(folder, size=12, classes=3):
    """A grey data set of stripes whose direction is the class."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    for name, count in (("train", 96), ("test", 30)):
        labels = np.arange(count) % classes
        cells = []
        for label in labels:
            phase = (x * np.cos(label) + y * np.sin(label)) * 1.5 + rng.uniform(0, 6)
            buffer = io.BytesIO()
            Image.fromarray((127 + 100 * np.sin(phase)).astype(np.uint8)).save(buffer, "PNG")
            cells.append({"bytes": buffer.getvalue(), "path": None})
        pd.DataFrame({"image": cells, "label": labels}).to_parquet(folder / f"{name}.parquet")


def wait_until(true, what, process=None, seconds=180):
    """Wait for something to come true; fail if the process ends first."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        assert process is None or process.poll() is None, f"Snakemake ended before {what}"
        time.sleep(0.1)
    return value


def commands(program="snakemake"):
    """Every command of a page that begins so, also in text; those of docs/extending.md have a test of their own."""
    text = (ROOT / "README.md").read_text()
    text += "".join(page.read_text() for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "extending")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    lines += re.findall(rf"`({program} [^`]*)`", text)
    found = {line.split("#")[0].strip().removeprefix("sudo .venv/bin/") for line in lines}
    return sorted(command for command in found if command.startswith(program))
