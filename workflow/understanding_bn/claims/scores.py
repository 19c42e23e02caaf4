"""Final accuracies of a cell, seed by seed and image by image, and how two cells are compared."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from understanding_bn.summaries.crossed import Sample


@dataclass(frozen=True, eq=False)
class Scores:
    """How the seeds of one cell ended.

    Attributes:
        test: test accuracy by seed, in per cent; NaN where the seed diverged.
        train: clean train accuracy (eval mode, no augmentation), as above; NaN where it was not recorded, too.
        correct: which test images each seed classifies correctly, (m,) bool by seed, where it was recorded.
    """

    test: pd.Series
    train: pd.Series
    correct: dict[int, np.ndarray]


def compared(left: Scores, right: Scores) -> Sample:
    """left − right in test accuracy, in points, over the seeds that neither side lost; 0 exactly where equal."""
    seeds = _shared(left, right)
    ours, theirs = (_images(cell, seeds) for cell in (left, right))
    images = None if ours is None or theirs is None else 100 * (ours - theirs)
    return Sample((left.test - right.test)[seeds].round(9).to_numpy(), images)


def gap(left: Scores, right: Scores) -> Sample:
    """left − right in clean train − test accuracy, in points. The training images are what they are: no sample."""
    test = compared(left, right)
    train = (left.train - right.train)[_shared(left, right)].to_numpy()
    return Sample((train - test.values).round(9), None if test.images is None else -test.images)


def parts(single: Scores, none: Scores, batch: Scores) -> tuple[Sample, Sample]:
    """single − none and batch − none over the seeds that none of the three lost."""
    seeds = _shared(single, none, batch)
    cut = [Scores(each.test[seeds], each.train[seeds], each.correct) for each in (single, none, batch)]
    return compared(cut[0], cut[1]), compared(cut[2], cut[1])


def beside(left: Scores, right: Scores) -> str:
    """The two error rates and their ratio, which says more than points near the ceiling."""
    seeds = _shared(left, right)
    if seeds.empty:
        return ""
    errors = [100 - float(each.test[seeds].mean()) for each in (left, right)]
    rates = f"error rates {errors[0]:.3g} % and {errors[1]:.3g} %"
    return f"{rates}, ratio {errors[0] / errors[1]:.3g}" if errors[1] > 0 else rates


def _shared(*cells: Scores) -> pd.Index:
    """The seeds that have an accuracy in every one of these cells."""
    return pd.concat([cell.test for cell in cells], axis=1, join="inner").dropna().index


def _images(cell: Scores, seeds: pd.Index) -> np.ndarray | None:
    """(n, m) of these seeds: which images each classifies correctly; None where some seed's are not recorded."""
    if seeds.empty or any(seed not in cell.correct for seed in seeds):
        return None
    return np.stack([cell.correct[seed] for seed in seeds]).astype(float)
