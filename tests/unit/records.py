"""Records of jobs that nobody ran, for several test modules."""

from understanding_bn import files, record, tables
from understanding_bn.cell import Cell
from understanding_bn.experiment.jobs import Train
from understanding_bn.settings import Augmentation, Optimiser

DATA = {
    "dataset": "digits",
    "tag": "digits",
    "source": "some images",
    "files": {},
    "train_images": 1437,
    "test_images": 360,
    "size": (8, 8, 1),
    "classes": 10,
    "majority_share": 0.1,
    "channel_mean": (0.5,),
    "channel_std": (0.25,),
    "flip": False,
    "sha256": "a" * 64,
}

MACHINE = {
    "commit": "c" * 40,
    "versions": {"python": "3", "torch": "2"},
    "device": "cpu",
    "processor": "a processor",
    "threads": 1,
    "flags": {},
    "started": "2026-01-01T10:00:00+00:00",
    "wall_seconds": 1.0,
    "peak_memory_mib": 100.0,
}


def job(seeds=(0,), **changes):
    """A training job; the changes are those of its cell."""
    factors = {"arch": "resnet-8", "init": "kaiming", "norm": "batch", "alpha": 0.1, "batch_size": 64, "epochs": 2}
    shared = {"optimiser": Optimiser(), "augmentation": Augmentation(flip=False), "milestones": (0.5, 0.75)}
    return Train(cell=Cell(**factors | changes), seeds=seeds, **shared)


def training(seeds, failures=None):
    """What a training job says of its seeds."""
    size = len(seeds)
    failures = failures or (None,) * size
    return record.Training(resumed_seeds=(), failures=failures, state_keys=("k",) * size, seconds=(1.0,) * size)


def finished(results, made, rows, data=None, **more):
    """Write what a job would leave below the folder of its preset. Returns its table's file.

    `more`: other fields of its record, those of MACHINE among them.
    """
    path = results / made.values
    tables.write(path, rows)
    for name in set(made.OUTPUTS) - {path.name}:
        files.write_text(path.parent / name, "")
    record.finish(path.parent, made, MACHINE, data=data, **more)
    return path
