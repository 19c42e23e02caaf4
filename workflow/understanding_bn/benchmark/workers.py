"""Processes that wait for a command, do a round all at once, and answer. Imports no torch."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from understanding_bn.errors import UserError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
READY = "ready"
SMALLER = "try a smaller --jobs or --batch-size"

Action = Callable[[int], dict[str, Any]]
Ask = Callable[[str, int], tuple[float, list[dict[str, Any]]]]


@contextmanager
def group(build: Callable[..., dict[str, Action]], arguments: tuple, count: int, threads: int | None) -> Iterator[Ask]:
    """Run `count` fresh processes that each hold what `build(*arguments)` makes: actions by name.

    Yields ask(action, number) → (seconds, one answer per process). All processes get the command together and the
    seconds run until the last one has answered. Ask for READY first: it is answered when a process is built, so that
    starting up is not counted in any other. Between rounds the processes sleep. `threads` is set for every library
    before it is loaded; None leaves torch its own default.

    Raises:
        UserError: a process ended, as it does when memory runs out, or refused its arguments.
    """
    context = multiprocessing.get_context("spawn")  # a forked process could not use the GPU, nor set its threads
    connections, processes = [], []
    try:
        with _thread_variables(threads):
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, build, arguments), daemon=True)
                process.start()
                theirs.close()  # so that the end of a process is the end of its messages
                connections.append(ours)
                processes.append(process)

        def ask(action: str, number: int) -> tuple[float, list[dict[str, Any]]]:
            start = time.perf_counter()
            for connection in connections:
                with suppress(OSError):  # it ended: its last message, or the lack of one, says why
                    connection.send((action, number))
            answers = [_answer(c, p) for c, p in zip(connections, processes, strict=True)]
            return time.perf_counter() - start, answers

        yield ask
    except BaseException:
        for process in processes:
            process.kill()  # it may be in the middle of a long round
        raise
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.join()


def _serve(connection: Connection, build: Callable[..., dict[str, Action]], arguments: tuple) -> None:
    """A process's life: build, then act on every command until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        actions = build(*arguments)
        while True:
            action, number = connection.recv()
            connection.send(("done", {} if action == READY else actions[action](number)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent needs no more
    except Exception as error:
        refused = isinstance(error, UserError)
        if "not enough memory" in str(error) or "out of memory" in str(error):
            refused, error = True, UserError(f"no memory left in a benchmark process; {SMALLER}")
        with suppress(OSError):
            connection.send(("refused", str(error)) if refused else ("failed", traceback.format_exc()))


def _answer(connection: Connection, process: Any) -> dict[str, Any]:
    """The next answer of a process."""
    try:
        kind, answer = connection.recv()
    except (EOFError, OSError):
        raise _ended(process) from None
    if kind == "refused":
        raise UserError(answer)
    if kind == "failed":
        raise RuntimeError(f"in a benchmark process:\n{answer}")
    return answer


def _ended(process: Any) -> UserError:
    process.join(5)
    return UserError(
        f"a benchmark process ended by itself (exit code {process.exitcode}), perhaps because memory ran out; {SMALLER}"
    )


@contextmanager
def _thread_variables(threads: int | None) -> Iterator[None]:
    """Set the variables that NumPy, MKL and OpenMP read when a process loads them; absent for None."""
    before = {name: os.environ.pop(name, None) for name in THREAD_VARIABLES}
    try:
        if threads is not None:
            os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
