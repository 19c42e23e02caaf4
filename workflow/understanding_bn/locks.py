"""Locks that say who holds them, and that the system frees however their holder ends."""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from understanding_bn import files

WAIT_SECONDS = 2


@contextmanager
def claim(folder: Path, tick: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Hold what belongs to `folder` for this process, as long as the block runs; wait while another process has it.

    Two processes want the same if Snakemake was killed and started again while its jobs kept running on a cluster.
    The system frees the lock however its holder ends. Yields whether this process had to wait: the other one may have
    done the work. `tick` is called while waiting and may raise.
    """
    waited = False
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        try:
            handle = path.open("a+")
        except FileNotFoundError:  # the last holder has just removed the folder
            continue
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    handle.seek(0)
                    print(f"{handle.read().strip()} is at this run already: waiting for it to end", file=sys.stderr)
                waited = True
                tick()
                time.sleep(WAIT_SECONDS)
                continue
            except OSError as error:  # a file system without locks
                print(f"{path}: cannot be locked ({error}); never start this run twice at once", file=sys.stderr)
            # The last holder may have finished and removed the folder: then this is the lock of a file that is gone.
            if not path.exists() or not os.path.samestat(os.fstat(handle.fileno()), path.stat()):
                continue
            job = os.environ.get("SLURM_JOB_ID")
            with files.named(path):
                handle.truncate(0)
                handle.write(f"process {os.getpid()} on {socket.gethostname()}" + f" (SLURM job {job})" * bool(job))
                handle.flush()
            yield waited
            return
