"""Records of jobs that nobody ran, for several test modules."""

from understanding_bn import files, provenance, record, tables
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


def job(seeds=(0,), **changes):
    """A training job; the changes are those of its cell."""
    factors = {"arch": "resnet-8", "init": "kaiming", "norm": "batch", "alpha": 0.1, "batch_size": 64, "epochs": 2}
    shared = {"optimiser": Optimiser(), "augmentation": Augmentation(flip=False), "milestones": (0.5, 0.75)}
    return Train(cell=Cell(**factors | changes), seeds=seeds, **shared)


def facts(device="cpu", wall_seconds=1.0):
    """What every record holds about code, machine and cost."""
    return provenance.Stopwatch().facts(device, 1) | {"wall_seconds": wall_seconds}


def training(seeds, failures=None):
    """What a training job says of its seeds."""
    size = len(seeds)
    failures = failures or (None,) * size
    return record.Training(resumed_seeds=(), failures=failures, state_keys=("k",) * size, seconds=(1.0,) * size)


def finished(results, made, rows, data=None, **more):
    """Write what a job would leave below the folder of its preset: its table, and run.json. Returns the table's file."""
    path = results / made.values
    tables.write(path, rows)
    for name in set(made.OUTPUTS) - {path.name}:
        files.write_text(path.parent / name, "")
    record.finish(path.parent, made, facts(), data=data, **more)
    return path
