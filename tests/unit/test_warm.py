"""Jobs that are forked from a warm process: to their user they are like any other command."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from processes import still_runs

from understanding_bn import warm

PACKAGES = str(Path(warm.__file__).parent.parent)
# What the forks run in place of the command line: the warm process imports no module of this project but its own.
STAND_IN = """
import json, os, signal, sys, time
from understanding_bn import warm
def main():
BODY
if sys.argv[1] == warm.STAGE:
    warm.serve(sys.argv[2], ["json", "no_such_module"])
    warm.finish(main)
warm.hand_over(sys.argv[1:])
main()
"""
BODY = {
    "facts": """
facts = dict(arguments=sys.argv[1:], folder=os.getcwd(), x=os.environ.get("X"), said=sys.stdin.read(),
             parent=os.getppid(), ignored=[n for n in (1, 2, 10, 15) if signal.getsignal(n) == signal.SIG_IGN])
print(json.dumps(facts), flush=True)
print("on stderr", file=sys.stderr)
sys.exit(7)
""",
    "waits": """
print(os.getpid(), flush=True)
signal.signal(signal.SIGUSR1, lambda *_: (print("noted", flush=True), os._exit(5)))
while True: time.sleep(0.01)
""",
}


def until(true):
    """Wait until something is true."""
    end = time.monotonic() + 60
    while not (value := true()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return value


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Starts a command by name, which hands itself over where it can."""
    monkeypatch.delenv(warm.VARIABLE, raising=False)
    monkeypatch.setenv("PYTHONPATH", PACKAGES)
    scripts = {name: tmp_path / f"{name}.py" for name in BODY}
    for name, script in scripts.items():
        script.write_text(STAND_IN.replace("BODY", textwrap.indent(BODY[name], "    ")))

    def begin(name, *arguments, **options):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, str(scripts[name]), *arguments], **(pipes | options))

    return begin


@contextmanager
def server(command, name="facts"):
    """A warm process, ready, and the environment of commands that know of it."""
    socket = f"understanding-bn-test-{os.getpid()}-{time.monotonic_ns()}"
    process = command(name, warm.STAGE, socket)
    until(lambda: process.poll() is not None or f"@{socket}" in Path("/proc/net/unix").read_text())
    try:
        yield process, os.environ | {warm.VARIABLE: f"{socket} {sys.prefix}"}
    finally:
        process.kill()
        process.communicate()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets and pidfd are Linux's")


def test_a_fork_has_what_the_command_was_given_and_the_command_ends_as_it_does(command, tmp_path):
    with server(command) as (process, environment):
        folder = tmp_path / "élsewhere"
        folder.mkdir()
        done = command("facts", "a", "b c", "--threads", "1", env=environment | {"X": "1"}, cwd=folder)
        said, errors = done.communicate("input")
        facts = json.loads(said)
        assert facts["arguments"] == ["a", "b c", "--threads", "1"]
        assert (facts["folder"], facts["x"], facts["said"]) == (str(folder), "1", "input")
        assert facts["parent"] == process.pid
        # Those that this process was started without, as `nohup` does it; none besides.
        assert facts["ignored"] == [n for n in (1, 2, 10, 15) if signal.getsignal(n) == signal.SIG_IGN]
        assert errors == "on stderr\n"
        assert done.returncode == 7


@pytest.mark.parametrize("reason", ["none", "gone", "another environment", "two threads"])
def test_where_there_is_no_warm_process_a_command_does_its_own_work(command, reason):
    with server(command) as (process, environment):
        own = {
            "none": os.environ,
            "gone": environment | {warm.VARIABLE: f"no-such-socket {sys.prefix}"},
            "another environment": environment | {warm.VARIABLE: environment[warm.VARIABLE] + "-other"},
            "two threads": environment,
        }
        done = command("facts", *(["--threads", "2"] if reason == "two threads" else ["x"]), env=own[reason])
        facts = json.loads(done.communicate("")[0])
        assert facts["parent"] == os.getpid() != process.pid
        assert done.returncode == 7


def test_signals_reach_the_fork_and_its_end_is_the_commands(command):
    with server(command, "waits") as (_, environment):
        job = command("waits", "x", env=environment)
        fork = psutil.Process(int(job.stdout.readline()))
        assert fork.pid != job.pid
        until(lambda: signal.SIGUSR1 in _caught(fork.pid))
        job.send_signal(signal.SIGUSR1)
        assert job.communicate()[0] == "noted\n"
        assert job.returncode == 5

        killed = command("waits", "x", env=environment)
        os.kill(int(killed.stdout.readline()), signal.SIGKILL)
        assert killed.wait(60) == -signal.SIGKILL
        killed.communicate()


def _caught(pid):
    """The signals that a process catches."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def test_a_fork_does_not_outlive_its_command_nor_a_command_the_warm_process(command):
    with server(command, "waits") as (process, environment):
        job = command("waits", "x", env=environment)
        fork = int(job.stdout.readline())
        job.kill()
        job.communicate()
        until(lambda: not still_runs(fork))

        left = command("waits", "x", env=environment)
        fork = int(left.stdout.readline())
        process.kill()
        _, errors = left.communicate()
        assert left.returncode == 1
        assert errors == "error: the process that runs the jobs of this run has ended; start the run again\n"
        until(lambda: not still_runs(fork))


def test_it_ends_with_its_run_but_not_before_its_last_job(command):
    with server(command, "waits") as (process, environment):
        job = command("waits", "x", env=environment)
        fork = int(job.stdout.readline())
        process.stdin.close()
        process.stdin = None
        socket = environment[warm.VARIABLE].split()[0]
        until(lambda: Path("/proc/net/unix").read_text().count(f"@{socket}") <= 1)  # the job's connection
        assert process.poll() is None
        os.kill(fork, signal.SIGTERM)
        assert job.wait(60) == -signal.SIGTERM
        job.communicate()
        assert process.wait(60) == 0


def test_a_short_run_starts_none(monkeypatch):
    monkeypatch.setenv(warm.VARIABLE, "of another run")
    assert warm.start(warm.FEWEST_JOBS - 1) is None
    assert warm.VARIABLE not in os.environ


@pytest.mark.slow
def test_a_real_stage_gives_the_same_bytes_and_forks_start_with_one_thread(tmp_path, monkeypatch):
    """The warm process has imported what jobs use, and computes nothing: its threads are its own and jemalloc's."""
    from understanding_bn.experiment.jobs import Matrices

    process = warm.start(100)
    try:
        until(warm.is_ready)
        names = [path.read_text().strip() for path in Path(f"/proc/{process.pid}/task").glob("*/comm")]
        assert {each for each in names if each != "jemalloc_bg_thd"} == {"python"}
        assert names.count("python") == 1
        spec = Matrices(size=20, factors=(1, 2), draws=2).model_dump_json()
        command = [sys.executable, "-m", "understanding_bn", "random-matrices", "--spec", spec, "--threads", "1"]
        monkeypatch.setenv("PYTHONPATH", PACKAGES)
        for out, environment in (("warm", os.environ), ("cold", os.environ | {warm.VARIABLE: ""})):
            subprocess.run([*command, "--out", tmp_path / out], env=environment, check=True)
    finally:
        os.environ.pop(warm.VARIABLE, None)
        process.kill()
        process.communicate()
    assert (tmp_path / "warm/values.parquet").read_bytes() == (tmp_path / "cold/values.parquet").read_bytes()
