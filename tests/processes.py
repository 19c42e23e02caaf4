"""What tests ask about processes that are not their own children."""

import psutil


def still_runs(pid):
    """Whether a process of this number computes. One that has ended may stay a zombie where nobody collects orphans."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
