"""Training state that survives the job: kept outside Snakemake's outputs, which a failed job loses."""

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from understanding_bn import files
from understanding_bn.training.divergence import Divergence
from understanding_bn.training.loop import Run


def folder(base: Path, facts: dict[str, Any]) -> Path:
    """The state folder of one job: named by a hash of everything that its result depends on."""
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    return base / key


def save(run: Run, path: Path) -> None:
    """Write a run's state, atomically. Order and augmentation derive from (seed, epoch) and need no saving."""
    state = {
        "model": run.model.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "epoch": run.epoch,
        "rows": run.rows,
        "steps": run.steps,
        "first_loss": run.first_loss,
        "last_loss": run.last_loss,
        "failure": asdict(run.failure),
    }
    with files.atomic(path) as temporary:
        torch.save(state, temporary)


def restore(run: Run, path: Path) -> bool:
    """Put a fresh run where `path` left it, if there is such a file. A damaged one is reported and ignored."""
    if not path.is_file():
        return False
    try:
        device = next(run.model.parameters()).device
        state = torch.load(path, map_location=device, weights_only=True)
        run.model.load_state_dict(state["model"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.epoch, run.rows, run.steps = state["epoch"], state["rows"], state["steps"]
        run.first_loss, run.last_loss = state["first_loss"], state["last_loss"]
        run.failure = Divergence(**state["failure"])
    except Exception as error:  # pickle, zip and torch each raise their own
        print(f"{path}: damaged checkpoint ({files.first_line(error)}); starting anew", file=sys.stderr)
        path.unlink()
        return False
    return True
