"""What Snakemake's SLURM executor lacks in version 2.8, added to it when a run starts. No setting of it does this.

- While SLURM does not answer, the executor forgets its jobs, and the run then waits for ever. Here it asks on, and says
  so; after a day the run ends.
- A submission fails within ten seconds, and so do its further attempts. Here it waits for SLURM.
- A job that SLURM has forgotten counts as running. SLURM forgets a job some minutes after its end, which may pass while
  nobody can ask. Here accounting is asked about it; where that can't tell, the job counts as failed, and runs again.
- Accounting's state `CANCELLED by 1000` counts as running, too. Here it is read as CANCELLED.
- Without an account, the executor looks for one with a command that always fails, and says so in four lines. Here SLURM
  uses the user's default account, which is also what follows there.
"""

import asyncio
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from understanding_bn.progress import clock

PATIENCE = 24 * 3600.0  # seconds without an answer after which a run ends
PAUSE = 5.0  # seconds between two questions while SLURM does not answer; back again, it soon forgets what ended before
NEEDED = ("check_active_jobs", "run_job", "get_account_arg", "cancel_jobs", "cancel", "shutdown")


def mend(plugin: Any, patience: float = PATIENCE, pause: float = PAUSE) -> None:
    """Change the executor of the module `snakemake_executor_plugin_slurm`, before it has submitted anything.

    Args:
        plugin: the module.
        patience: seconds without an answer after which the run ends.
        pause: seconds between two questions while there is no answer.
    """
    executor, query = plugin.Executor, plugin.query_job_status
    check, run_job, get_account_arg, cancel_jobs, cancel, shutdown = (getattr(executor, name) for name in NEEDED)
    asked: list[Any] = []  # the jobs whose states are being asked for
    answered, ending = threading.Event(), threading.Event()
    too_long = plugin.WorkflowError(
        f"error: SLURM has not answered for {clock(patience)}. Jobs that run go on. "
        "When squeue works again, start Snakemake again with the same command"
    )

    async def query_job_status(command: str, logger: Any) -> tuple[dict[str, str] | None, float | None]:
        states, seconds = await query(command, logger)
        if states is None:
            return None, None
        answered.set()
        states = {number: state.partition(" ")[0] for number, state in states.items()}
        if command.startswith("squeue"):
            # The tasks of a job array are not listed one by one while they wait.
            gone = [job.external_jobid for job in asked if job.external_jobid.isdigit()]
            states |= forgotten(number for number in gone if number not in states)
        return states, seconds

    async def check_active_jobs(self: Any, active_jobs: list[Any]) -> AsyncIterator[Any]:
        asked[:] = active_jobs
        start, warned = time.monotonic(), False
        while True:
            answered.clear()
            left = active_jobs
            if not active_jobs or not is_down():
                left = [job async for job in check(self, active_jobs)]
            if not active_jobs or answered.is_set():
                break
            if ending.is_set():
                left = active_jobs
                break
            if time.monotonic() - start > patience:
                raise too_long
            if not warned:
                self.logger.warning(
                    f"SLURM does not answer: asking again every {pause:g} s. Jobs that run go on; new ones wait. "
                    f"This run ends if there is no answer for {clock(patience)}."
                )
                warned = True
            await asyncio.sleep(pause)
        if warned and not ending.is_set():
            self.logger.warning(f"SLURM answers again, after {clock(time.monotonic() - start)}.")
        asked.clear()
        for job in left:
            yield job

    def submit(self: Any, job: Any) -> None:
        start, warned = time.monotonic(), False
        while is_down():
            if ending.is_set():
                return
            if time.monotonic() - start > patience:
                self.workflow.scheduler.executor_error_callback(too_long)
                return
            if not warned:
                self.logger.warning(f"SLURM does not answer: job {job.jobid} is submitted as soon as it does.")
                warned = True
            ending.wait(pause)
        run_job(self, job)

    def account(self: Any, job: Any) -> Iterator[str]:
        if job.resources.get("slurm_account"):
            yield from get_account_arg(self, job)
        else:
            yield ""

    def cancel_all(self: Any, active_jobs: list[Any]) -> None:
        try:
            cancel_jobs(self, active_jobs or list(asked))  # a job that is being asked for is missing in `active_jobs`
        except plugin.WorkflowError as error:
            self.logger.error(
                f"error: {error}. Jobs go on. To cancel them when SLURM answers: scancel --name={self.run_uuid}"
            )

    def ended(then: Callable[[Any], None]) -> Callable[[Any], None]:
        def end(self: Any) -> None:
            ending.set()
            then(self)

        return end

    plugin.query_job_status = query_job_status
    changed = (check_active_jobs, submit, account, cancel_all, ended(cancel), ended(shutdown))
    for name, function in zip(NEEDED, changed, strict=True):
        setattr(executor, name, function)


def is_down() -> bool:
    """Whether no controller of the cluster answers."""
    said = subprocess.run(["scontrol", "ping"], capture_output=True, text=True).stdout
    return "DOWN" in said and "UP" not in said


def forgotten(jobs: Iterable[str]) -> dict[str, str]:
    """How these jobs, which `squeue` does not know, have ended: COMPLETED if accounting says so, otherwise FAILED.

    It leaves them out, to be asked for again, where there is accounting that does not answer.
    """
    numbers = list(jobs)
    if not numbers:
        return {}
    command = ["sacct", "-X", "--parsable2", "--noheader", "--format=JobIDRaw,State", f"--jobs={','.join(numbers)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return dict.fromkeys(numbers, "FAILED")
    if done.returncode != 0 and "disabled" not in done.stderr + done.stdout:
        return {}
    known = dict(line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
    return {number: "COMPLETED" if known.get(number) == "COMPLETED" else "FAILED" for number in numbers}
