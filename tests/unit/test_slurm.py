"""Snakemake's SLURM executor, mended, with commands of SLURM that do what each test says."""

import asyncio
import importlib.util
import os
import threading
from types import SimpleNamespace

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from throttler import Throttler

from understanding_bn import slurm

UP = "echo 'Slurmctld(primary) at node is UP'"
DOWN = "echo 'Slurmctld(primary) at node is DOWN'; exit 1"
UNREACHABLE = "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1"
NO_ACCOUNTING = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
JOB = SimpleNamespace(jobid=5)


class Resources(dict):
    """Those of a job."""

    __getattr__ = dict.get


class Listener:
    """A logger that remembers all that is said above the level of debugging."""

    def __init__(self):
        self.said = []
        self.info = self.warning = self.error = self.said.append

    def debug(self, text):
        pass


class Site:
    """A cluster's commands in a folder, and an executor that uses them."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.outcomes, self.submitted = {}, []
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.command("scontrol", f'[ "$1" = ping ] && {{ {UP}; exit; }}; echo "MinJobAge = 300 sec"')
        self.command("sacct", NO_ACCOUNTING)
        spec = importlib.util.find_spec("snakemake_executor_plugin_slurm")
        self.plugin = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.plugin)
        self.plugin.Executor.run_job = lambda executor, job: self.submitted.append(job)

    def command(self, name, script):
        """Say what a command does."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def after(self, failures, script, failing=UNREACHABLE):
        """A script that fails so many times, and then does what it should."""
        count = f"{self.folder}/count"
        return f'echo >> {count}; [ "$(wc -l < {count})" -le {failures} ] && {{ {failing}; }}; {script}'

    def executor(self, **mended):
        """An executor, mended."""
        slurm.mend(self.plugin, **{"pause": 0.001, **mended})
        made = object.__new__(self.plugin.Executor)
        settings = {"status_command": "squeue", "status_attempts": 5, "keep_successful_logs": True, "requeue": True}
        made.workflow = SimpleNamespace(executor_settings=SimpleNamespace(**settings))
        made.next_seconds_between_status_checks = 40
        made.logger, made.run_uuid = Listener(), "of-this-run"
        made.status_rate_limiter = Throttler(rate_limit=1000)
        made.lock, made.active_jobs, made._submitted_job_clusters = threading.Lock(), [], set()
        made._status_query_calls = made._status_query_failures = 0
        made._status_query_total_seconds = made._status_query_max_seconds = 0.0
        made._status_query_min_seconds, made._status_query_cycle_rows = None, []
        made._fallback_account_arg, made._preemption_warning = None, False
        made.report_job_success = lambda job: self.outcomes.update({job.external_jobid: "success"})
        made.report_job_error = lambda job, **_: self.outcomes.update({job.external_jobid: "error"})
        return made


@pytest.fixture
def site(tmp_path, monkeypatch):
    return Site(tmp_path, monkeypatch)


def check(executor, *numbers):
    """Ask for the states of these jobs once; the numbers of those that are left."""

    async def ask():
        jobs = [SubmittedJobInfo(None, external_jobid=number, aux={}) for number in numbers]
        return [job.external_jobid async for job in executor.check_active_jobs(jobs)]

    return asyncio.run(ask())


def test_the_executor_has_what_is_mended(site):
    """When this fails with a new version of the executor, read its `check_active_jobs`: perhaps nothing is to mend."""
    assert all(callable(getattr(site.plugin.Executor, name)) for name in slurm.NEEDED)


@pytest.mark.parametrize("known_by_ping", [True, False])
def test_an_outage_is_waited_for_and_no_job_is_forgotten(site, known_by_ping):
    states = "echo '1|COMPLETED'; echo '2|RUNNING'; echo '3|FAILED'"
    site.command("squeue", states if known_by_ping else site.after(12, states))
    if known_by_ping:
        site.command("scontrol", site.after(3, f"{UP}; echo 'MinJobAge = 300 sec'", failing=DOWN))
    executor = site.executor()
    assert check(executor, "1", "2", "3") == ["2"]
    assert site.outcomes == {"1": "success", "3": "error"}
    assert [line.split(":")[0].split(",")[0] for line in executor.logger.said] == [
        "SLURM does not answer",
        "SLURM answers again",
    ]


def test_an_outage_without_end_ends_the_run_with_a_line(site):
    site.command("squeue", UNREACHABLE)
    with pytest.raises(site.plugin.WorkflowError, match=r"error: SLURM has not answered for 0 s\..* same command"):
        check(site.executor(patience=0.0), "1")


def test_a_submission_waits_no_longer_either(site):
    site.command("scontrol", DOWN)
    executor, told = site.executor(patience=0.0), []
    executor.workflow.scheduler = SimpleNamespace(executor_error_callback=told.append)
    executor.run_job(JOB)
    assert str(told[0]).startswith("error: SLURM has not answered for 0 s. ")
    assert site.submitted == []


def test_the_run_can_be_ended_during_an_outage(site):
    """It says how to cancel its jobs, and none of its threads keeps it."""
    site.command("squeue", UNREACHABLE)
    site.command("scancel", UNREACHABLE)
    site.command("scontrol", DOWN)
    executor = site.executor()
    executor.shutdown = lambda: None
    executor.logger.warning = lambda _: executor.cancel()
    assert check(executor, "1") == ["1"]
    assert executor.logger.said[0].endswith("To cancel them when SLURM answers: scancel --name=of-this-run")
    executor.run_job(JOB)
    assert site.submitted == []


def test_a_submission_waits_until_slurm_answers(site):
    site.command("scontrol", site.after(3, UP, failing=DOWN))
    executor = site.executor()
    executor.run_job(JOB)
    assert executor.logger.said == ["SLURM does not answer: job 5 is submitted as soon as it does."]
    assert site.submitted == [JOB]
    assert (site.folder / "count").read_text() == "\n" * 4


@pytest.mark.parametrize(
    ("accounting", "left", "outcomes"),
    [
        (NO_ACCOUNTING, [], {"1": "error"}),
        ("echo '1|COMPLETED'", [], {"1": "success"}),
        ("echo '1|CANCELLED by 1000'", [], {"1": "error"}),
        ("true", [], {"1": "error"}),
        ("echo 'Problem talking to the database: Connection refused' >&2; exit 1", ["1"], {}),
    ],
    ids=["no accounting", "completed", "cancelled", "unknown", "does not answer"],
)
def test_a_job_that_squeue_has_forgotten_is_looked_up(site, accounting, left, outcomes):
    """Of the tasks of an array that wait, squeue lists but one line: they are no forgotten jobs."""
    site.command("squeue", "echo '2|PENDING'; echo '7_[1-2]|PENDING'")
    site.command("sacct", accounting)
    assert check(site.executor(), "1", "2", "7_1") == [*left, "2", "7_1"]
    assert site.outcomes == outcomes


def test_a_cancelled_job_is_known_to_accounting_as_well(site):
    site.command("sacct", "echo '1|CANCELLED by 1000'; echo '2|RUNNING'")
    executor = site.executor()
    executor.workflow.executor_settings.status_command = "sacct"
    assert check(executor, "1", "2") == ["2"]
    assert site.outcomes == {"1": "error"}


def test_without_an_account_nothing_is_said(site):
    site.command("sacctmgr", "echo lab")
    executor = site.executor()
    assert list(executor.get_account_arg(SimpleNamespace(resources=Resources()))) == [""]
    assert executor.logger.said == []
    assert list(executor.get_account_arg(SimpleNamespace(resources=Resources(slurm_account="lab")))) == [" -A lab"]
