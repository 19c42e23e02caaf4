"""What goes wrong on one machine: what the user sees, what is kept, and that the result is right in the end.

Each test is a row of the table in docs/faults.md.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import psutil
import pytest
from checkouts import Checkout, cells, undisturbed, wait_until
from damage import flip_a_bit
from processes import still_runs

ONE = {"norm": "batch", "epochs": 30}
SHORT = ONE | {"epochs": 2}
TRAINED = "results/cells/train/resnet-8/xavier_uniform/norm-{}/alpha-0.05/batch-128/epochs-{}/seeds-0"
TAKEN = "another start of this job has finished it: its results are taken"


def target(cell):
    """What training this cell makes last."""
    return TRAINED.format(cell["norm"], cell["epochs"]) + "/run.json"


def begin(checkout, cell, *targets):
    """Snakemake at work on this cell, and the process that trains as soon as it is in training."""
    config = cells(checkout, cell)
    process = checkout.start(target(cell), *targets, "--configfile", config, tiny=False)
    lock = wait_until(lambda: next(checkout.folder.glob("results/.state/*/lock"), None), "training", process)
    text = wait_until(lock.read_text, "the trainer's name", process)
    return process, psutil.Process(int(re.match(r"process (\d+) on ", text)[1]))


def again(checkout, *targets):
    """The same command once more; it must end well. Returns what it says."""
    done = checkout.run(*targets, "--configfile", "cells.yaml", tiny=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def errors(text):
    """The lines in which the package says what is wrong; nothing else may look like a crash."""
    assert "Traceback" not in text
    return [line for line in text.splitlines() if line.startswith("error: ")]


def left_over(checkout):
    """Files that were not finished."""
    return list((checkout.folder / "results").rglob("*.part*"))


@pytest.fixture
def small_disk(checkout):
    """A file system of its own for results/, of 1 MB; `size` and `ro` remount it."""
    results = checkout.folder / "results"
    results.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", results]).returncode:
        pytest.skip("mounting a small file system needs root")

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", results], check=True)

    yield remount
    subprocess.run(["umount", "--lazy", results], check=True)


def test_training_is_killed(checkout, digits_path, tmp_path):
    process, trainer = begin(checkout, ONE)
    trainer.kill()
    assert process.wait(120) != 0
    assert "Error in rule train" in checkout.said()
    assert not (checkout.folder / TRAINED.format("batch", 30)).exists()
    again(checkout, target(ONE))
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_training_is_told_to_stop_and_its_checkpoint_is_damaged(checkout, digits_path, tmp_path):
    process, trainer = begin(checkout, ONE)
    trainer.terminate()
    assert process.wait(120) != 0
    assert "stopped by SIGTERM in seed 0 after " in checkout.said()
    flip_a_bit(next(checkout.folder.glob("results/.state/*/newest.checkpoint")))
    text = again(checkout, target(ONE))
    assert "newest.checkpoint: not used, it is damaged (its checksum differs)" in text
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.evidence
def test_ctrl_c(checkout, digits_path, tmp_path):
    process, trainer = begin(checkout, ONE)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) != 0
    assert not still_runs(trainer.pid)
    assert "Traceback" not in checkout.said()
    assert "seed 0: going on after " in again(checkout, target(ONE))
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_snakemake_is_told_to_stop(checkout, digits_path, tmp_path):
    """It lets running jobs end, starts no others, and the next start does the rest."""
    process, _ = begin(checkout, ONE, "fig1")
    process.terminate()
    process.wait(180)
    assert "Will exit after finishing currently running jobs" in checkout.said()
    assert (checkout.folder / TRAINED.format("batch", 30) / "run.json").is_file()
    assert not (checkout.folder / "results/cells/figures/fig1_accuracy.png").exists()
    assert "rule train:" not in again(checkout, "fig1")
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_snakemake_is_killed_and_two_run_at_once(checkout, digits_path, tmp_path):
    """A second run is refused while the first holds the folder, and when it left its lock; the job goes on alone."""
    process, trainer = begin(checkout, ONE)
    trainer.suspend()  # however long the rest takes, it is in training
    second = checkout.run(target(ONE), "--configfile", "cells.yaml", tiny=False)
    assert second.returncode != 0
    assert "cannot be locked" in second.stdout + second.stderr
    process.kill()
    process.wait()
    assert still_runs(trainer.pid)
    assert checkout.run("--unlock", "--configfile", "cells.yaml", tiny=False).returncode == 0
    third = checkout.start(target(ONE), "--configfile", "cells.yaml", tiny=False)
    waiting = f"process {trainer.pid} on {socket.gethostname()} is at this run already: waiting for it to end"
    wait_until(lambda: waiting in checkout.said(), "a job that waits for the first", third)
    trainer.resume()
    assert third.wait(180) == 0, checkout.said()
    assert TAKEN in checkout.said()
    assert not still_runs(trainer.pid)
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_a_job_ends_while_no_snakemake_is_there(checkout, digits_path, tmp_path):
    """Snakemake counts it as incomplete, deletes its files and starts it again; but nothing is trained anew."""
    process, trainer = begin(checkout, SHORT)
    trainer.suspend()
    process.kill()
    process.wait()
    trainer.resume()
    run_json = checkout.folder / target(SHORT)
    wait_until(run_json.is_file, "training to end alone")
    wait_until(lambda: not still_runs(trainer.pid), "its process to end")
    first = run_json.read_bytes()
    assert checkout.run("--unlock", "--configfile", "cells.yaml", tiny=False).returncode == 0
    assert TAKEN in again(checkout, target(SHORT))
    assert run_json.read_bytes() == first
    assert not list((checkout.folder / "results").rglob(".*.finished"))  # now it is recorded
    undisturbed(checkout, digits_path, tmp_path)
    # Who asks for it gets it trained once more.
    assert TAKEN not in again(checkout, target(SHORT), "--forcerun", "train")
    assert run_json.read_bytes() != first
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_a_run_that_has_not_made_what_was_asked_for_says_so(checkout):
    """Where the command that prepares data has changed, Snakemake prepares them anew, and looks at nothing else."""
    config = cells(checkout, SHORT)
    assert checkout.run("data", "--configfile", config, tiny=False).returncode == 0
    rules = checkout.folder / "workflow/rules/data.smk"
    rules.write_text(rules.read_text().replace("2>&1 | tee", "2>&1  | tee"))
    done = checkout.run(target(SHORT), "--configfile", config, tiny=False)
    assert done.returncode != 0
    first = target(SHORT).replace("run.json", "history.parquet")  # of the job's files
    line = f"error: {first}: not made yet; start Snakemake again with the same command"
    assert line in (done.stdout + done.stderr).splitlines()
    again(checkout, target(SHORT))
    assert (checkout.folder / target(SHORT)).is_file()


@pytest.mark.slow
def test_the_disk_is_full(checkout, small_disk, digits_path, tmp_path):
    config = cells(checkout, SHORT)
    for size in ("40k", "150k", "400k"):  # too small to begin, then for the data, then for the weights
        small_disk(f"size={size}")
        done = checkout.run(target(SHORT), "--configfile", config, tiny=False)
        assert done.returncode != 0
        said = errors(done.stdout + done.stderr)
        assert said
        assert all("no room left on the disk; nothing half-written is left" in line for line in said)
        assert not left_over(checkout)
    assert not (checkout.folder / TRAINED.format("batch", 2)).exists()
    small_disk("size=20m")
    again(checkout, target(SHORT))
    undisturbed(checkout, digits_path, tmp_path)


@pytest.mark.slow
def test_the_results_folder_is_read_only(checkout, small_disk):
    config = cells(checkout, SHORT)
    small_disk("ro")
    done = checkout.run("fig1", "--configfile", config, tiny=False)
    assert done.returncode != 0
    assert errors(done.stdout + done.stderr) == [
        "error: results/cells: cannot be written (read-only file system); "
        "nothing half-written is left, mend that and run again"
    ]


@pytest.mark.slow
def test_the_prepared_data_are_damaged(checkout):
    config = cells(checkout, SHORT)
    assert checkout.run("data", "--configfile", config, tiny=False).returncode == 0
    store = next(checkout.folder.glob("results/data/digits/store-*.npz"))
    before = store.stat()
    flip_a_bit(store)
    os.utime(store, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = checkout.run(target(SHORT), "--configfile", config, tiny=False)
    assert done.returncode != 0
    said = errors(done.stdout + done.stderr)
    assert said
    assert all(".npz: damaged data store (" in line and "delete it and run again" in line for line in said)
    assert not list(checkout.folder.glob("results/cells/train/**/*.parquet"))
    store.unlink()
    again(checkout, target(SHORT))


@pytest.mark.evidence
def test_a_history_of_another_cell(checkout):
    """A figure is refused, and drawn again when what the line says has been done."""
    checkout.run("fig1", "--configfile", cells(checkout, {"norm": ["batch", "none"], "epochs": 1}), tiny=False)
    mine, other = (checkout.folder / TRAINED.format(norm, 1) for norm in ("batch", "none"))
    shutil.copy(other / "history.parquet", mine / "history.parquet")
    done = checkout.run("fig1", "--forcerun", "fig1_accuracy", "--configfile", "cells.yaml", tiny=False)
    assert done.returncode != 0
    said = errors(done.stdout + done.stderr)
    assert said
    assert all("norm-batch" in line and "not the file that its job wrote" in line for line in said)
    shutil.rmtree(mine)
    again(checkout, "fig1")


@pytest.mark.slow
def test_the_folder_of_another_seed(checkout):
    """Copied over one seed's folder, another seed's is refused: it would count twice."""
    config = cells(checkout, {"norm": "batch", "epochs": 1}, seeds=2, seeds_per_job=1)
    assert checkout.run("fig1", "--configfile", config, tiny=False).returncode == 0
    first = checkout.folder / TRAINED.format("batch", 1)
    second = first.with_name("seeds-1")
    shutil.rmtree(second)
    shutil.copytree(first, second)
    done = checkout.run("fig1", "--forcerun", "fig1_accuracy", "--configfile", "cells.yaml", tiny=False)
    assert done.returncode != 0
    (line,) = set(errors(done.stdout + done.stderr))
    place = first.relative_to(checkout.folder / "results/cells")
    assert f"{second.relative_to(checkout.folder)}/history.parquet: belongs to {place}" in line
    shutil.rmtree(second)
    again(checkout, "fig1")


@pytest.mark.slow
def test_results_are_copied_without_their_dates(checkout):
    config = cells(checkout, {"arch": "resnet-20", "norm": "batch", "epochs": 1}, measured_at=[1])
    targets = ("noise_along_training", "--configfile", config)
    done = checkout.run(*targets, tiny=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (weights,) = (checkout.folder / "results").rglob("weights.pt")
    assert weights.stat().st_size > 1_000_000, "Snakemake's own limit, above which it goes by dates alone"
    choose = random.Random(0)
    for folder in ("results", "logs"):
        for path in (checkout.folder / folder).rglob("*"):
            date = time.time() - 3600 * choose.random()
            os.utime(path, (date, date))
    assert checkout.rules_planned(*targets, tiny=False) == {}


@pytest.mark.slow
def test_without_slurm_its_profile_is_refused_before_any_job(checkout, monkeypatch, tmp_path):
    assert checkout.run("fig8").returncode == 0
    (figure,) = (checkout.folder / "results").rglob("fig8_singular_values.png")
    for name in ("bash", "which", "tee", "cat", "git"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    done = checkout.run("fig8", "--forcerun", "fig8_singular_values", "--profile", "slurm")
    assert done.returncode != 0
    assert errors(done.stdout + done.stderr) == [
        "error: there is no Slurm here (no command sbatch): log in where jobs are submitted, or leave --profile out"
    ]
    assert figure.is_file()


@pytest.mark.slow
def test_a_figure_that_fails_leaves_the_report_with_the_others(finished, tmp_path):
    checkout = Checkout(tmp_path / "copy", source=finished[0].folder)
    trained = {path: path.stat().st_mtime_ns for path in checkout.results.rglob("run.json")}
    module = checkout.folder / "workflow/understanding_bn/figures/fig6_logit_gradients.py"
    whole = module.read_text()
    module.write_text(f"{whole}\n\ndef draw(logit_gradients):\n    return 1 / 0\n")
    done = checkout.run()
    assert done.returncode == 1
    reason = "ZeroDivisionError: division by zero (workflow/understanding_bn/figures/fig6_logit_gradients.py, line "
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith(f"error: fig6_logit_gradients: {reason}")
    log = "logs/tiny/figures/fig6_logit_gradients.log"
    told = done.stderr.split("Not drawn: ")[1].splitlines()[:2]
    assert told == [f"fig6_logit_gradients ({log}).", "All else is in the report: results/tiny/report.html"]
    page = (checkout.results / "report.html").read_text()
    assert "This report is incomplete" in page
    assert reason in page
    assert log in page
    assert page.count("data:image/svg+xml") == 4, "of all other figures"
    assert not list(checkout.results.glob("figures/fig6_logit_gradients*"))
    assert not left_over(checkout)

    done = checkout.run("fig6")
    assert done.returncode == 1
    assert line in (done.stdout + done.stderr).splitlines()

    module.write_text(whole)
    assert checkout.rules_planned() == {"fig6_logit_gradients": 1, "report": 1, "all": 1}
    done = checkout.run()
    assert done.returncode == 0, done.stderr[-3000:]
    page = (checkout.results / "report.html").read_text()
    assert "incomplete" not in page
    assert page.count("data:image/svg+xml") == 5
    assert checkout.rules_planned() == {}
    assert {path: path.stat().st_mtime_ns for path in checkout.results.rglob("run.json")} == trained
    checkout.close()


@pytest.mark.slow
def test_a_claim_that_fails_leaves_the_report_with_the_others(finished, tmp_path):
    checkout = Checkout(tmp_path / "copy", source=finished[0].folder)
    module = checkout.folder / "workflow/understanding_bn/claims/matrices.py"
    whole = module.read_text()
    module.write_text(f"{whole}\n\ndef theorem1_holds(results):\n    raise ValueError('odd')\n")
    done = checkout.run()
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: claim 18 could not be judged: ValueError: odd (workflow/")
    page = (checkout.results / "report.html").read_text()
    assert "could not be judged: ValueError: odd" in page
    assert not left_over(checkout)
    module.write_text(whole)
    assert checkout.rules_planned() == {"claims": 1, "report": 1, "all": 1}
    checkout.close()
