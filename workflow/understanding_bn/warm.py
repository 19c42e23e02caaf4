"""Warm starts: the jobs of a local run are forked from one process that has imported torch, pandas and seaborn.

Importing them takes a job some 5 s of one core, longer than most jobs of preset quick take for the rest; a fork takes
0.05 s. `start` begins the warm process when a run starts. Once it is ready, each command that Snakemake starts hands
itself over (`hand_over`): the warm process forks, the fork takes the command's arguments, environment, folder and
streams, and the command waits for it and ends as it does. To its user the command behaves as if it did the work itself:
signals are passed on, and neither outlives the other. Until the warm process is ready, where there is none, and where
anything is unusual, a command does its own work. That is always so on a cluster's nodes.

The warm process computes nothing, so that no fork's numbers depend on what ran before it. Once a file of this package
has changed since it was imported, commands do their own work again, with the code as it is.

This module imports the standard library alone: each command pays for it.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import secrets
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

VARIABLE = "UNDERSTANDING_BN_WARM"  # "NAME PREFIX": the warm process's socket, and the Python environment it runs in
STAGE = "warm"
# What jobs import; of a package that ends in a dot, all modules. Those not installed are left out.
LIBRARIES = ("torch", "pandas", "pyarrow.parquet", "scipy.stats", "seaborn")
OURS = ("cli", "stages.", "measurements.", "figures.", "claims.judging", "report.page")
PRELOADED = (*LIBRARIES, *(f"understanding_bn.{name}" for name in OURS))
TRACING = "torch._dynamo"  # what tracing a Hessian imports on first use, which takes as long as the rest together
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
PACKAGES = str(Path(__file__).resolve().parent.parent)
FEWEST_JOBS = 6  # for fewer it does not pay
LENGTH = struct.Struct("!Q")
Message = dict[str, Any]
CREDENTIALS = struct.Struct("3i")  # of Linux: process, user, group


def start(jobs: int, also: Sequence[str] = ()) -> subprocess.Popen[bytes] | None:
    """Begin the warm process of a run with so many jobs and name it to the commands that this process starts.

    It ends with this process, however that ends, but not before its last job.

    Args:
        jobs: how many jobs there are.
        also: modules that it imports besides `PRELOADED`.

    Returns:
        The process, which must be kept: its standard input stays open as long as this one lives. None where it does not
        pay, or where the system has no abstract sockets.
    """
    os.environ.pop(VARIABLE, None)
    if jobs < FEWEST_JOBS or sys.platform != "linux":
        return None
    name = f"understanding-bn-{secrets.token_hex(8)}"
    process = subprocess.Popen(
        [sys.executable, "-m", "understanding_bn", STAGE, name, *also],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])])},
    )
    os.environ[VARIABLE] = f"{name} {sys.prefix}"
    return process


def settle_libraries(threads: int) -> None:
    """Set what libraries read from the environment when they are first imported."""
    # A notebook leaves its own here, which matplotlib refuses where that package is missing. Read at import, too.
    os.environ["MPLBACKEND"] = "Agg"
    # Sums depend on the number of threads.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(threads)


def is_ready() -> bool:
    """Whether the warm process that this process started takes commands by now."""
    name, _, _ = os.environ.get(VARIABLE, "").partition(" ")
    with socket.socket(socket.AF_UNIX) as connection:
        return bool(name) and connection.connect_ex("\0" + name) == 0


def serve(name: str, modules: Sequence[str] = PRELOADED) -> None:
    """Import, then fork a process for each command that asks. Returns in the forks, each ready to be that command.

    It ends when its standard input does and no fork is left.
    """
    heeded = (signal.SIGINT, *PASSED_ON)
    kept = {number: signal.signal(number, signal.SIG_IGN) for number in heeded}
    settle_libraries(threads=1)
    code = _code()
    for module in modules:
        _import(module)
    gc.collect()
    gc.freeze()  # else the first collection in a fork would copy every page
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + name)
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    forks: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells of a fork's end
    open_for_more = True
    while open_for_more or forks:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                request = _receive(connection)
                if request is None or _code() != code:
                    for descriptor in request[1] if request else ():
                        os.close(descriptor)
                    connection.close()
                    continue
                asked, streams = request
                signal.pthread_sigmask(signal.SIG_BLOCK, heeded)  # a fork heeds them from its first moment
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    for other in (listener, connection, *(peer for _, peer in forks.values())):
                        other.close()
                    for descriptor in forks:
                        os.close(descriptor)
                    _become(asked, streams)
                    for number, handler in kept.items():
                        signal.signal(number, handler)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
                    return
                signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
                for descriptor in streams:
                    os.close(descriptor)
                end = os.pidfd_open(pid)
                forks[end] = pid, connection
                selector.register(end, selectors.EVENT_READ)
                _send(connection, {"pid": pid, "group": os.getpgrp()})
            elif key.fileobj is sys.stdin:
                open_for_more = False
                selector.unregister(sys.stdin)
                selector.unregister(listener)
                listener.close()
            else:
                pid, connection = forks.pop(key.fd)
                selector.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                _send(connection, {"status": os.waitstatus_to_exitcode(status)})
                connection.close()
    sys.exit()


def _import(module: str) -> None:
    """Import a module, or all of a package whose name ends in a dot.

    One that is not installed, or whose code fails, is left out: the jobs that need it say so.
    """
    with suppress(Exception):
        package = importlib.import_module(module.rstrip("."))
        if module.endswith("."):
            for found in pkgutil.iter_modules(package.__path__, module):
                importlib.import_module(found.name)


def _code() -> dict[str, tuple[int, int]]:
    """Date and size of every file of this package."""
    found = ((path, path.stat()) for path in Path(__file__).parent.rglob("*.py"))
    return {str(path): (state.st_mtime_ns, state.st_size) for path, state in found}


def hand_over(arguments: Sequence[str]) -> None:
    """Let the run's warm process carry out this command and end as that ends. Returns where there is none."""
    name, _, prefix = os.environ.pop(VARIABLE, "").partition(" ")
    if not name or prefix != sys.prefix or _threads(arguments) != "1":
        return
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect("\0" + name)
    except OSError:  # not ready yet, or gone
        connection.close()
        return
    alive, held = os.pipe()  # the fork reads the end of this pipe when this process ends
    asked = {"arguments": list(arguments), "folder": str(Path.cwd()), "environment": dict(os.environ), "path": sys.path}
    try:
        socket.send_fds(connection, [b"."], [0, 1, 2, alive])
        _send(connection, asked)
    except OSError:
        return
    finally:
        os.close(alive)
    answer = _answer(connection)
    if answer is None:
        os.close(held)
        return
    fork = answer["pid"]
    for number in (signal.SIGINT, *PASSED_ON):
        signal.signal(number, lambda number, _: os.kill(fork, number))
    if answer["group"] == os.getpgrp():  # a terminal sends it to both
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = _answer(connection)
    if ending is None:
        sys.exit("error: the process that runs the jobs of this run has ended; start the run again")
    _end(ending["status"])


def _end(status: int) -> NoReturn:
    """End as a process of this exit status, or one that died of the signal −status, has ended."""
    if status < 0:
        with suppress(OSError, ValueError):  # SIGKILL has no handler to reset
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _threads(arguments: Sequence[str]) -> str:
    """What --threads says; the warm process has set its libraries up for one."""
    given = list(arguments)
    return given[given.index("--threads") + 1] if "--threads" in given[:-1] else "1"


def _become(asked: Message, streams: list[int]) -> None:
    """Take over a command's arguments, environment, folder and streams, and end when the command's process does."""
    *standard, alive = streams
    for target, descriptor in enumerate(standard):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.path[:] = asked["path"]
    sys.argv[1:] = asked["arguments"]
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(15, sys.argv[1].encode()[:15], 0, 0, 0)  # PR_SET_NAME: what `top` shows
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def finish(run: Callable[[], None]) -> NoReturn:
    """In a fork: carry the command out and end as Python would, but without taking the interpreter apart.

    That would take a second, for all that the warm process imported.
    """
    status = 1
    try:
        run()
        status = 0
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # Python's last resort, whatever it is
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with(alive: int) -> None:
    """Kill this process once nobody holds the other end of a pipe."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _receive(connection: socket.socket) -> tuple[Message, list[int]] | None:
    """A command and its descriptors: standard input, output and error, and a pipe that ends with it.

    None if it gave up, or is another user's: an abstract socket has no permissions.
    """
    size = CREDENTIALS.size
    _, user, _ = CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if user != os.geteuid():
        return None
    try:
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 4)
        asked = _answer(connection)
    except OSError:
        return None
    if asked is None or len(descriptors) != 4:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    return asked, list(descriptors)


def _send(connection: socket.socket, message: Message) -> None:
    """Send a message; a peer that is gone does not mind."""
    content = json.dumps(message).encode("utf-8", "surrogateescape")
    with suppress(OSError):
        connection.sendall(LENGTH.pack(len(content)) + content)


def _answer(connection: socket.socket) -> Message | None:
    """The next message; None if there is none any more."""
    with suppress(OSError):
        head = _exactly(connection, LENGTH.size)
        content = head and _exactly(connection, LENGTH.unpack(head)[0])
        return json.loads(content.decode("utf-8", "surrogateescape")) if content else None
    return None


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes; none if the peer closed before."""
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            return b""
        parts += part
    return bytes(parts)
