"""`snakemake --profile slurm` on a real cluster of one node, and what befalls jobs there.

Every test ends by comparing what the cluster made with an undisturbed run in this process, bit for bit.
"""

import csv
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cluster as clusters
import pytest
import yaml
from checkouts import cells, environment, undisturbed, wait_until
from cluster import Cluster, missing
from damage import flip_a_bit
from slurm_jobs import comments, everything, jobs, loading, log, resumed, states, training

from understanding_bn import record

pytestmark = pytest.mark.slow

EPOCHS = {"batch": 250, "group": 50, "none": 20}
SETTINGS = ["--profile", "slurm", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "20"]


def skip_without(accounting):
    if why := missing(accounting):
        pytest.skip(why)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """With accounting, and one GPU."""
    skip_without(accounting=True)
    each = Cluster(tmp_path_factory.mktemp("cluster"))
    each.start()
    yield each
    stop(each)


def stop(cluster):
    """End a cluster, and leave in pytest's output what it did: each job, how long it ran and how it ended."""
    listing = ["sacct", "-X", "--duplicates", "--format=JobID,State%16,Elapsed,ReqMem,AllocTRES%45,Comment%75"]
    print(cluster.run(*listing, check=False))
    cluster.stop()


@pytest.fixture
def scratch(checkout, cluster):
    """A checkout whose jobs are gone when the test ends, and which knows those that were there before it began."""
    checkout.earlier = {row["JobID"] for row in everything(cluster)}
    yield checkout
    cluster.start_controller()  # where a test failed during an outage
    cluster.run("scontrol", "update", "NodeName=node1", "State=RESUME", check=False)
    cluster.run("scancel", "--user=root", check=False)


@pytest.mark.parametrize(
    ("owner", "left"), [("nobody", True), ("this process", False), (None, False), ("a gone folder", True)]
)
def test_a_cluster_whose_tests_were_killed_is_known(tmp_path, monkeypatch, owner, left):
    """Its link stands in nobody's way; the link of a cluster in use, or of one that is not ours, does."""
    monkeypatch.setattr(clusters, "DEFAULT_CONF", tmp_path / "slurm.conf")
    assert not clusters.left_over()  # no configuration at all
    target = tmp_path / "earlier" / "slurm.conf"
    (tmp_path / "slurm.conf").symlink_to(target)
    if owner != "a gone folder":
        target.parent.mkdir()
        target.touch()
    if owner in ("nobody", "this process"):
        ended = subprocess.Popen(["true"])
        ended.wait()
        target.with_name("owner").write_text(str(ended.pid if owner == "nobody" else os.getpid()))
    assert clusters.left_over() is left


def test_the_command_that_starts_it_needs_no_search_path():
    """As on the page: `python tests/workflow/cluster.py start FOLDER`."""
    done = subprocess.run([sys.executable, clusters.__file__, "--help"], env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_quick_presets_training_and_a_figure(scratch, cluster):
    """One job at a time has the GPU, the measurements share a job without. One seed, three cells, a few epochs."""
    quick = yaml.safe_load((scratch.folder / "config.yaml").read_text())
    grid = [entry | {"epochs": 2} for entry in (quick["grid"][0], quick["grid"][-1])]
    (scratch.folder / "shorter.yaml").write_text(yaml.safe_dump({"grid": grid, "seeds": 1}))
    done = scratch.run("fig1", "fig6", *SETTINGS, "--configfile", "shorter.yaml", tiny=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for name in ("fig1_accuracy", "fig6_logit_gradients"):
        assert (scratch.folder / f"results/quick/figures/{name}.png").is_file()
    records = [record.read(path) for path in (scratch.folder / "results/quick/train").rglob("run.json")]
    rows = jobs(scratch, cluster)
    assert all(row["State"] == "COMPLETED" for row in rows), rows
    with_gpu = [row for row in rows if "gres/gpu=1" in row["AllocTRES"]]
    assert len(records) == len(with_gpu) == 3
    holders = sorted((row["Start"], row["End"]) for row in with_gpu)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(holders))
    others = [row for row in rows if "gres/gpu" not in row["AllocTRES"]]
    assert len(others) == 1  # both of Fig. 6's measurements
    held = sum(int(row["ElapsedRaw"]) for row in with_gpu)
    trained = sum(sum(each.training.seconds) for each in records)
    print(f"the GPU was held {held / 3:.1f} s a job, {trained / 3:.1f} s of it in training")
    assert 0 < trained < held
    report = next((scratch.folder / "logs/slurm").glob("efficiency_report_*.csv"))
    with report.open() as lines:
        assert {row["RuleName"].split("_wildcards")[0] for row in csv.DictReader(lines)} >= {"rule_train"}
    # SLURM's own files of jobs that went well are gone; what stages said is where it always is.
    assert not list((scratch.folder / "logs/slurm").rglob("*.log"))
    assert len(list((scratch.folder / "logs/quick/train").rglob("*.log"))) == 3


def test_a_limit_a_cancellation_and_too_little_memory(scratch, cluster, digits_path, tmp_path):
    """Three jobs at once, each with a trouble of its own; the second attempt of each goes on and ends right."""
    config = cells(scratch, *({"norm": norm, "epochs": epochs} for norm, epochs in EPOCHS.items()))
    needs = [
        "train:gpu=0",
        "train:slurm_extra='--signal=TERM@90'",
        "train:mem_mb=(500, 2000)[attempt - 1] if wildcards.norm == 'none' else 2000",
    ]
    process = scratch.start("fig1", *SETTINGS, "--set-resources", *needs, "--configfile", config, tiny=False)
    limited = wait_until(lambda: training(scratch, cluster, "batch"), "training with batch norm", process)
    cluster.run("scontrol", "update", f"JobId={limited}", "TimeLimit=1")
    cancelled = wait_until(lambda: training(scratch, cluster, "group"), "training with group norm", process)
    cluster.run("scancel", cancelled)
    assert process.wait(400) == 0, scratch.said()[-4000:]
    # Told to stop ahead of its limit, a job fails by itself; on a busy machine it is already past it, and timed out.
    for norm, first in (("batch", {"FAILED", "TIMEOUT"}), ("group", {"CANCELLED"}), ("none", {"FAILED"})):
        before, after = states(scratch, cluster, norm)
        assert before in first, norm
        assert after == "COMPLETED", norm
    assert "exceeded memory limit" in "".join(path.read_text() for path in scratch.folder.rglob("slurm/**/*.log"))
    for norm in ("batch", "group"):
        kept = [path.read_text() for path in scratch.folder.glob(f"logs/slurm/rule_train/*_{norm}_0.05_*/*.log")]
        assert any("stopped by SIGTERM in seed 0 after " in text for text in kept), norm
    # Both logs of either job are shown, training's own and SLURM's.
    assert scratch.said().count("stopped by SIGTERM in seed 0 after ") == 4
    assert resumed(scratch, "batch") == resumed(scratch, "group") == (0,)
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
def test_an_outage_of_slurm(scratch, cluster, digits_path, tmp_path):
    """A job is submitted after it, and one that ends in the next one is noticed after that."""
    config = cells(scratch, {"norm": "batch", "epochs": 80})
    cluster.kill_controller()
    process = scratch.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
    wait_until(lambda: "is submitted as soon as it does" in scratch.said(), "the submission to wait", process)
    cluster.start_controller()
    outlive_an_outage(scratch, cluster, process)
    assert states(scratch, cluster, "batch") == ["COMPLETED"]
    undisturbed(scratch, digits_path, tmp_path)


def outlive_an_outage(checkout, cluster, process):
    """SLURM does not answer while the only training job ends. The run must notice that, and end well."""
    wait_until(lambda: list(checkout.folder.glob("results/.state/*/lock")), "training", process)
    cluster.kill_controller()
    wait_until(lambda: list(checkout.folder.glob("results/cells/train/**/run.json")), "results", process)
    wait_until(lambda: "SLURM does not answer: asking again" in checkout.said(), "the run to notice", process)
    cluster.start_controller()
    assert process.wait(120) == 0, checkout.said()[-4000:]
    assert "SLURM answers again, after " in checkout.said()
    assert "SLURM account" not in checkout.said()


@pytest.mark.evidence
def test_an_outage_without_end(scratch, cluster, digits_path, tmp_path):
    """The run ends with a line that says what to type. That done, the job's results are right."""
    module = scratch.folder / "workflow/understanding_bn/slurm.py"
    module.write_text(module.read_text().replace("PATIENCE = 24 * 3600.0", "PATIENCE = 5.0"))
    config = cells(scratch, {"norm": "batch", "epochs": 80})
    process = scratch.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
    wait_until(lambda: training(scratch, cluster, "batch"), "training", process)
    cluster.kill_controller()
    assert process.wait(90) != 0
    assert "error: SLURM has not answered for 5 s. Jobs that run go on. When squeue works" in scratch.said()
    assert "Traceback" not in scratch.said()
    cluster.start_controller()
    again = scratch.run("fig1", *SETTINGS, "--configfile", config, tiny=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
def test_interrupted_during_an_outage(scratch, cluster, digits_path, tmp_path):
    """Ctrl-C ends the run, which says how to cancel its jobs. They save then, and the next start goes on from there."""
    config = cells(scratch, {"norm": "batch", "epochs": 500})
    process = scratch.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
    wait_until(lambda: training(scratch, cluster, "batch"), "training", process)
    cluster.kill_controller()
    wait_until(lambda: "SLURM does not answer: asking again" in scratch.said(), "the run to notice", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(90) != 0
    told = re.search(r"To cancel them when SLURM answers: (scancel --name=\S+)", scratch.said())
    assert told, scratch.said()[-4000:]
    cluster.start_controller()
    cluster.run(*told[1].split())
    wait_until(lambda: not cluster.run("squeue", "--noheader"), "an empty queue")
    assert log(scratch, "batch").splitlines()[-1].startswith("stopped by SIGTERM in seed 0 after ")
    again = scratch.run("fig1", *SETTINGS, "--configfile", config, tiny=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert resumed(scratch, "batch") == (0,)
    undisturbed(scratch, digits_path, tmp_path)


def test_a_signal_before_training_begins(scratch, cluster, digits_path, tmp_path):
    """Cancelled as soon as SLURM has started it, and while Python loads: the next attempt trains from the beginning."""
    config = cells(scratch, {"norm": ["batch", "group"], "epochs": 2})
    settings = [*SETTINGS, "--set-resources", "train:gpu=0", "--configfile", config]
    process = scratch.start("fig1", *settings, tiny=False)

    def running(norm):
        return next((number for comment, number in comments(cluster).items() if f"_{norm}_0.05_" in comment), None)

    cluster.run("scancel", wait_until(lambda: running("batch"), "the first job", process))
    wait_until(lambda: loading("group"), "the second job's stage", process)
    cluster.run("scancel", running("group"))
    assert process.wait(180) == 0, scratch.said()[-4000:]
    for norm in ("batch", "group"):
        assert states(scratch, cluster, norm) == ["CANCELLED", "COMPLETED"], norm
        assert resumed(scratch, norm) == (), norm
    # Training's log and SLURM's are shown; of the job that had only begun there is SLURM's alone.
    assert scratch.said().count("stopped by SIGTERM with nothing new to save") == 2
    assert re.search(r"\*\*\* JOB \d+ ON node1 CANCELLED AT", scratch.said())
    assert "Traceback" not in scratch.said()
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
@pytest.mark.parametrize("gpus", [0, 1])
def test_snakemake_killed_and_its_job_still_waiting(scratch, cluster, digits_path, tmp_path, gpus):
    """Its job and that of the next Snakemake start at once, or one after the other where both need the only GPU.

    Either way one trains, and the other takes its results.
    """
    config = cells(scratch, {"norm": "batch", "epochs": 80})
    settings = [*SETTINGS, "--set-resources", f"train:gpu={gpus}", "--configfile", config]

    def submit():
        process = scratch.start("fig1", *settings, tiny=False)
        wait_until(lambda: "has been submitted with SLURM jobid" in scratch.said(), "a submission", process)
        return process

    cluster.run("scontrol", "update", "NodeName=node1", "State=DRAIN", "Reason=test")
    process = submit()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert scratch.run("--unlock", "--configfile", config, tiny=False).returncode == 0
    process = submit()
    assert len(cluster.run("squeue", "--noheader", "--states=PD").splitlines()) == 2
    cluster.run("scontrol", "update", "NodeName=node1", "State=RESUME")
    assert process.wait(180) == 0, scratch.said()[-4000:]
    wait_until(lambda: not cluster.run("squeue", "--noheader"), "an empty queue")
    assert states(scratch, cluster, "batch") == ["COMPLETED", "COMPLETED"]
    said = "".join(path.read_text() for path in (scratch.folder / "logs").rglob("*.log"))
    assert "another start of this job has finished it: its results are taken" in said
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
def test_a_node_that_loses_power_and_comes_back(scratch, cluster, digits_path, tmp_path):
    """SLURM starts the job again under its number, and it goes on from its checkpoint; Snakemake only waits."""
    config = cells(scratch, {"norm": "batch", "epochs": 250})
    process = scratch.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
    number = wait_until(lambda: training(scratch, cluster, "batch"), "training", process)
    wait_until(lambda: list(scratch.folder.glob("results/.state/*/newest.checkpoint")), "a checkpoint", process)
    cluster.kill_node()
    cluster.start_node()
    # SLURM holds the job back for two minutes. Hurried on, it fails now and then: the node still refuses its number.
    assert process.wait(400) == 0, scratch.said()[-4000:]
    assert {row["JobID"] for row in jobs(scratch, cluster)} == {number}
    assert states(scratch, cluster, "batch") == ["NODE_FAIL", "COMPLETED"]
    assert "Trying to restart" not in scratch.said()
    assert resumed(scratch, "batch") == (0,)
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
def test_interrupted_and_started_again(scratch, cluster, digits_path, tmp_path):
    """Ctrl-C cancels the jobs, which save. The same command again goes on from there."""
    config = cells(scratch, {"norm": ["batch", "group"], "epochs": 40})
    process = scratch.start("fig1", *SETTINGS, "--configfile", config, tiny=False)

    def under_way():
        return next((norm for norm in ("batch", "group") if training(scratch, cluster, norm)), None)

    norm = wait_until(under_way, "training", process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) != 0
    wait_until(lambda: not cluster.run("squeue", "--noheader"), "an empty queue")
    assert log(scratch, norm).splitlines()[-1].startswith("stopped by SIGTERM in seed 0 after ")
    again = scratch.run("fig1", *SETTINGS, "--configfile", config, tiny=False)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert resumed(scratch, norm) == (0,)
    undisturbed(scratch, digits_path, tmp_path)


@pytest.mark.evidence
def test_snakemake_killed_and_its_job_still_running(scratch, cluster, digits_path, tmp_path):
    """The job goes on without its Snakemake. The next one's job for the same run waits for it and trains nothing."""
    config = cells(scratch, {"norm": "batch", "epochs": 500})  # still at it when Snakemake has started twice more
    settings = [*SETTINGS, "--set-resources", "train:gpu=0", "--configfile", config]  # both jobs run at once
    process = scratch.start("fig1", *settings, tiny=False)
    orphan = wait_until(lambda: training(scratch, cluster, "batch"), "training", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    refused = scratch.run("fig1", *settings, tiny=False)
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    assert scratch.run("--unlock", "--configfile", config, tiny=False).returncode == 0
    process = scratch.start("fig1", *settings, tiny=False)
    wait_until(lambda: "waiting for it to end" in log(scratch, "batch"), "the second job to wait", process)
    assert process.wait(300) == 0, scratch.said()[-4000:]
    assert f"(SLURM job {orphan}) is at this run already" in log(scratch, "batch")
    assert "another start of this job has finished it: its results are taken" in log(scratch, "batch")
    assert states(scratch, cluster, "batch") == ["COMPLETED", "COMPLETED"]
    undisturbed(scratch, digits_path, tmp_path)


def test_a_job_that_cannot_succeed_says_why_in_one_line(scratch, cluster):
    """A damaged data set: every attempt ends at once with the same line, and nothing is left behind."""
    config = cells(scratch, {"norm": "batch", "epochs": 1})
    settings = [*SETTINGS, "--retries", "1", "--configfile", config]
    assert scratch.run("data", *settings, tiny=False).returncode == 0
    flip_a_bit(next(scratch.folder.glob("results/data/digits/store-*.npz")))
    done = scratch.run("fig1", *settings, "--rerun-triggers", "params", tiny=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    lines = [line for line in text.splitlines() if line.startswith("error: ")]
    # Two attempts, and each is told by training's log and by SLURM's.
    assert len(lines) == 4
    assert len(set(lines)) == 1
    assert ".npz: damaged data store (" in lines[0]
    assert "Traceback" not in text
    assert states(scratch, cluster, "batch") == ["FAILED", "FAILED"]
    assert not (scratch.folder / "results/cells/train").exists()


@pytest.mark.evidence
def test_a_node_that_is_lost_for_good(checkout, cluster, tmp_path_factory, digits_path, tmp_path):
    """Its jobs go on elsewhere: one is started again by SLURM, one must not be and is submitted again.

    It takes the cluster down, like the test after it.
    """
    stop(cluster)
    pair = Cluster(tmp_path_factory.mktemp("pair"))
    pair.start(nodes=2, min_job_age=30)
    checkout.earlier = set()
    try:
        config = cells(checkout, {"norm": ["batch", "group"], "epochs": 250})
        extra = "train:slurm_extra='--no-requeue' if wildcards.norm == 'group' else ''"
        settings = [*SETTINGS, "--set-resources", "train:gpu=0", extra, "--configfile", config]
        process = checkout.start("fig1", *settings, tiny=False)
        for norm in ("batch", "group"):
            wait_until(lambda norm=norm: training(checkout, pair, norm), f"training with {norm} norm", process)
        wait_until(lambda: len(list(checkout.folder.glob("results/.state/*/newest.checkpoint"))) == 2, "checkpoints")
        assert pair.run("squeue", "--noheader", "--format=%N").split() == ["node1", "node1"]
        pair.kill_node("node1")
        assert process.wait(400) == 0, checkout.said()[-4000:]
        rows = jobs(checkout, pair)
    finally:
        stop(pair)
    numbers = {norm: [row["JobID"] for row in rows if f"_{norm}_0.05_" in row["Comment"]] for norm in EPOCHS}
    assert [len(set(numbers[norm])) for norm in ("batch", "group")] == [1, 2]
    for norm in ("batch", "group"):
        ends = [row["State"] for row in rows if f"_{norm}_0.05_" in row["Comment"]]
        assert ends == ["NODE_FAIL", "COMPLETED"], norm
        assert resumed(checkout, norm) == (0,), norm
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.evidence
def test_a_cluster_without_accounting(checkout, cluster, tmp_path_factory, digits_path, tmp_path):
    """Last in this file, because it takes the cluster down. There, too, are an outage and a job that SLURM forgets."""
    stop(cluster)
    bare = Cluster(tmp_path_factory.mktemp("bare"))
    bare.start(accounting=False, min_job_age=30)
    try:
        config = cells(checkout, {"norm": "batch", "epochs": 80})
        process = checkout.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
        outlive_an_outage(checkout, bare, process)
        assert "submitted with SLURM jobid 1 " in checkout.said()
        undisturbed(checkout, digits_path, tmp_path / "first")

        config = cells(checkout, {"norm": "group", "epochs": 2})
        process = checkout.start("fig1", *SETTINGS, "--configfile", config, tiny=False)
        wait_until(lambda: log(checkout, "group"), "the second job", process)
        os.killpg(process.pid, signal.SIGSTOP)
        wait_until(lambda: not bare.run("squeue", "--noheader", "--states=all"), "SLURM to forget all jobs", process)
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait(120) == 0, checkout.said()[-4000:]
    finally:
        bare.stop()
    assert [f"submitted with SLURM jobid {number} " in checkout.said() for number in (2, 3, 4)] == [True, True, False]
    undisturbed(checkout, digits_path, tmp_path / "second")
    assert not Path("/etc/slurm/slurm.conf").exists()
