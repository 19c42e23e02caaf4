"""Small configs for tests of what follows from one."""

from understanding_bn.experiment.load import resolve

JACOBIANS = {"networks": {"archs": ["plain-8"], "inits": ["fixup"]}, "batch_size": 8}
SEARCH = {"batch_size": 8, "updates": 5, "smallest_alpha": 0.1, "largest_alpha": 1, "steps_per_decade": 1}
GRADIENTS = {"at": [0, 1], "minibatches": 2}
HESSIAN = {"at": [1], "subset": 8, "top": 1, "probes": 1, "steps": 2}


START = {"logit_gradients": {}, "channel_moments": {"layers": [2]}, "kernel_gradients": {"layer": 2}}


def entry(**changes):
    """An entry of the grid: one cell, where nothing is changed."""
    return {"arch": "resnet-8", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 4} | changes


def config(*grid, trained=None, start=None, **changes):
    """A config that does nothing but what is given."""
    raw = {"preset": "p", "seeds": 1, "augmentation": {"flip": False}, "grid": list(grid)}
    raw["initialization"] = {"arch": "resnet-8", "norms": ["batch", "none"], "measurements": start or {}}
    raw["initialization"] |= changes.pop("initialization", {})
    return resolve(raw | {"trained": {"measurements": trained or {}}} | changes)
