"""What tests ask about the jobs of a checkout on a test cluster."""

import re
import signal
from pathlib import Path

import psutil

from understanding_bn import record


def resumed(checkout, norm):
    """The seeds that training of the cell with this norm took up from a checkpoint."""
    run_json = next((checkout.folder / "results/cells/train").rglob(f"norm-{norm}/**/run.json"))
    return record.read(run_json).training.resumed_seeds


def log(checkout, norm):
    """What the training job of the cell with this norm has said, in its last attempt."""
    found = list((checkout.folder / "logs/cells/train").rglob(f"norm-{norm}/**/*.log"))
    return found[0].read_text() if found else ""


def loading(norm):
    """Whether a stage that trains with this norm has begun: it hears signals, and imports torch for some seconds."""
    for each in psutil.process_iter(["cmdline"]):
        words = each.info["cmdline"] or []
        if words[1:4] == ["-m", "understanding_bn", "train"] and f'"norm":"{norm}"' in words[5]:
            caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{each.pid}/status").read_text())[1]
            return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
    return False


def comments(cluster):
    """The running jobs: SLURM's id of each, by the wildcards that the executor puts into its comment."""
    lines = cluster.run("squeue", "--noheader", "--states=R", "--format=%i %k").splitlines()
    return {comment: number for number, _, comment in (line.partition(" ") for line in lines)}


def training(checkout, cluster, norm):
    """SLURM's id of the job that trains the cell with this norm at this moment, if one does."""
    number = next((n for comment, n in comments(cluster).items() if f"_{norm}_0.05_" in comment), None)
    locks = (checkout.folder / "results/.state").glob("*/lock")
    return number if number and any(f"(SLURM job {number})" in lock.read_text() for lock in locks) else None


def everything(cluster):
    """What accounting says of all jobs: rows of JobID, State, Start, End, Elapsed (s), AllocTRES, Comment."""
    names = ["JobID", "State", "Start", "End", "ElapsedRaw", "AllocTRES", "Comment"]
    since = "--starttime=now-1days"  # of itself it starts at midnight
    text = cluster.run("sacct", "-X", "--noheader", "--parsable2", "--duplicates", since, f"--format={','.join(names)}")
    return [dict(zip(names, line.split("|"), strict=True)) for line in text.splitlines()]


def jobs(checkout, cluster):
    """The rows of this test's jobs, oldest first; a job that SLURM started again has several."""
    return [row for row in everything(cluster) if row["JobID"] not in checkout.earlier]


def states(checkout, cluster, norm):
    """How each start of the jobs that trained the cell with this norm ended, oldest first."""
    return [row["State"].split()[0] for row in jobs(checkout, cluster) if f"_{norm}_0.05_" in row["Comment"]]
