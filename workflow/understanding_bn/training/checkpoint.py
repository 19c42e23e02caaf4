"""Training state that survives the job: kept outside Snakemake's outputs, which a failed job loses.

A run's folder is named by a hash of everything that its result depends on. It holds the newest checkpoint, the one
before it, and a lock. A checkpoint is a SHA-256 digest and then what `torch.save` wrote, so that damage is found
before anything is loaded. The previous one is the fallback.
"""

import hashlib
import io
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from understanding_bn import files
from understanding_bn.training.divergence import Divergence
from understanding_bn.training.state import Run

DIGEST = hashlib.sha256().digest_size


def key(facts: dict[str, Any]) -> str:
    """The name of a run's folder: a hash of everything that its result depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def save(run: Run, folder: Path) -> None:
    """Write a run's state, atomically, and keep the state before it.

    Order and augmentation derive from (seed, epoch) and need no saving.
    """
    state = {
        "key": folder.name,
        "model": run.model.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "epoch": run.epoch,
        "losses": run.losses.clone(),  # a part of a longer tensor, which would be written whole
        "correct": run.correct.clone(),
        "rows": run.rows,
        "steps": run.steps,
        "first_loss": run.first_loss,
        "last_loss": run.last_loss,
        "failure": asdict(run.failure),
        "snapshots": run.snapshots,
        "seconds": run.seconds,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    newest = _newest(folder)
    with files.atomic(newest) as temporary:
        with temporary.open("wb") as handle:
            handle.write(hashlib.sha256(payload).digest())
            handle.write(payload)
            handle.flush()
            os.fsync(handle.fileno())
        if newest.exists():  # killed right after this, the run goes on from the previous state
            newest.replace(_previous(folder))


def restore(run: Run, folder: Path) -> bool:
    """Load the newest sound checkpoint into a fresh run. Returns whether there was one; damaged ones are reported."""
    saved = [path for path in (_newest(folder), _previous(folder)) if path.is_file()]
    for path in saved:
        instead = "this seed starts anew" if path == saved[-1] else "going back to what was saved before it"
        state = _read(path, next(run.model.parameters()).device, instead)
        if state is None:
            continue
        run.model.load_state_dict(state["model"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.epoch, run.rows, run.steps = state["epoch"], state["rows"], state["steps"]
        run.losses, run.correct = state["losses"], state["correct"]
        run.first_loss, run.last_loss = state["first_loss"], state["last_loss"]
        run.failure, run.seconds = Divergence(**state["failure"]), state["seconds"]
        run.snapshots = {
            epoch: {name: value.cpu() for name, value in weights.items()}
            for epoch, weights in state["snapshots"].items()
        }
        return True
    return False


def remove(folder: Path) -> None:
    """Delete the state of a finished run."""
    shutil.rmtree(folder, ignore_errors=True)


def _newest(folder: Path) -> Path:
    return folder / "newest.checkpoint"


def _previous(folder: Path) -> Path:
    return folder / "previous.checkpoint"


def _read(path: Path, device: torch.device, instead: str) -> dict[str, Any] | None:
    """The state in a checkpoint; None if it is damaged or not of its folder's run.

    Then the reason goes to stderr, and what is done instead.
    """
    content = path.read_bytes()
    if hashlib.sha256(content[DIGEST:]).digest() != content[:DIGEST]:
        why = "it is damaged (its checksum differs)"
    else:
        try:
            state = torch.load(io.BytesIO(content[DIGEST:]), map_location=device, weights_only=True)
            if state["key"] == path.parent.name:
                return state
            why = f"it belongs to another run ({state['key']})"
        except Exception as error:  # pickle, zip and torch each raise their own
            why = f"it is no checkpoint ({files.first_line(error)})"
    print(f"{path}: not used, {why}; {instead}", file=sys.stderr)
    return None
