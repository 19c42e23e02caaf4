"""Runs of a small preset in several sittings, each with results of its own, for several test modules."""

import pandas as pd
from records import DATA, finished, training

from understanding_bn import files
from understanding_bn.experiment import load
from understanding_bn.experiment.jobs import Train
from understanding_bn.experiment.plan import plan

COMMITS = {"first": "a" * 40, "second": "b" * 40}


def config(norms=("batch", "none"), seeds=2, alphas=(0.1,), **changes):
    """A grid of norms and α on the digits, each (cell, seed) a job; besides it only the random matrices are planned."""
    grid = [{"arch": "resnet-8", "norm": [*norms], "alpha": [*alphas], "batch_size": 64, "epochs": 1}]
    keys = {"preset": "mine", "augmentation": {"flip": False}, "initialization": {"measurements": {}}}
    return load.resolve(keys | {"seeds": seeds, "seeds_per_job": 1, "grid": grid} | changes)


def history(made, accuracy=0.5):
    """What a run of one epoch leaves; accuracy rises with α and seed."""
    (seed,) = made.seeds
    share = accuracy + made.cell.alpha + 0.01 * seed + 0.1 * (made.cell.norm == "batch")
    facts = {"dataset": "digits", "seed": seed, "epoch": 1, "fraction": 1.0, "learning_rate": made.cell.alpha}
    measured = {"train_accuracy": share, "test_accuracy": share, "train_loss": 1 - share, "test_loss": 1 - share}
    ending = {"failure": None, "first_bad_step": None, "first_absolute_step": None, "last_finite_loss": None}
    table = pd.DataFrame([made.cell.factors | facts | measured | ending])
    return table.astype({"failure": "string", "first_bad_step": "Int64", "last_finite_loss": float})


def sit(root, asked, of, name="first", data=DATA, **changes):
    """Leave in root/NAME/mine what the jobs of a config leave of which `of` is true. Returns root/NAME."""
    for made in plan(asked).train:
        if of(made):
            told = {"training": training(made.seeds), "commit": COMMITS[name]}
            finished(root / name / "mine", made, history(made, **changes), data, **told)
    files.write_text(root / name / "mine/config.json", asked.model_dump_json(indent=2) + "\n")
    return root / name


def norm(name):
    return lambda made: isinstance(made, Train) and made.cell.norm == name
