"""Intervals of accuracies, whose doubt has two sources: the seeds, and the test images that happen to be drawn.

Every seed sees the same test images, so a table of seeds × images is a crossed two-way layout with one value in each
place. The variance of its mean is that of seeds, plus that of images, less their interaction, which both contain:

    S + C,  S = s² / n of the seeds' means,  C = (MS_images − MS_interaction) / (n·m), at least 0.

Student's t is taken with 1 / freedom = (S / (n − 1) + C / (m − 1)) / (S + C). Satterthwaite's freedom, which weighs by
squares, covers 92 % at n = 3, where a small S is often chance; this one covers 94 to 96 % (tests/unit/test_crossed.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from understanding_bn.summaries import intervals
from understanding_bn.summaries.intervals import Interval


@dataclass(frozen=True, eq=False)
class Sample:
    """One value a seed, made of accuracies.

    Attributes:
        values: (n,), such as differences of test accuracy in points.
        images: (n, m), what each test image adds to each seed's value: values less what other than test images gives
            are the means of its rows. None where it was not recorded; then intervals are those of seeds alone.
    """

    values: np.ndarray
    images: np.ndarray | None = None

    def __neg__(self) -> "Sample":
        return -1.0 * self

    def __rmul__(self, factor: float) -> "Sample":
        return Sample(factor * self.values, None if self.images is None else factor * self.images)

    @property
    def method(self) -> str:
        """How its interval is made."""
        if self.images is None:
            return "Student’s t over seeds alone: the test images’ part is not recorded"
        one = self.images.shape[1] < 2
        return f"Student’s t over {'seeds alone: there is one test image' if one else 'seeds and test images'}"

    @property
    def crossed(self) -> bool:
        """Whether the parts of seeds and images can be told, which takes two of each."""
        return self.images is not None and min(self.images.shape) > 1


def interval(sample: Sample) -> Interval | None:
    """The 95 % interval of the mean; None and points as in `intervals.mean_interval`. One image is as good as none."""
    if not sample.crossed:
        return intervals.mean_interval(sample.values)
    error, freedom = _error(sample)
    mean = float(sample.values.mean())
    reach = special.stdtrit(freedom, (1 + intervals.LEVEL) / 2) * error if error > 0 else 0.0
    return mean - float(reach), mean + float(reach)


def p(sample: Sample, bound: float) -> float:
    """Two-sided p that the mean is `bound`; as `intervals.t_p` without two images, or where nothing varies."""
    if not sample.crossed:
        return intervals.t_p(sample.values, bound)
    error, freedom = _error(sample)
    if error == 0:
        return intervals.t_p(sample.values, bound)
    return float(2 * special.stdtr(freedom, -abs(sample.values.mean() - bound) / error))


def ratio_interval(part: Sample, whole: Sample) -> Interval | None:
    """Fieller's interval of mean(part) / mean(whole), paired by seed and by test image.

    The t of Fieller's equation is that of part − r·whole at the estimated ratio r. None as `intervals.ratio_interval`.
    """
    if not (part.crossed and whole.crossed) or whole.values.mean() == 0:
        return intervals.ratio_interval(part.values, whole.values)
    assert part.images is not None and whole.images is not None
    ratio = part.values.mean() / whole.values.mean()
    error, freedom = _error(difference(part, ratio * whole))
    if error == 0:
        return intervals.ratio_interval(part.values, whole.values)
    t = special.stdtrit(freedom, (1 + intervals.LEVEL) / 2)
    pair = np.stack([part.values, whole.values])
    images, _ = _images([part.images, whole.images])
    contrast = np.array([1, -ratio])
    covariance = np.cov(pair) / pair.shape[1] + (images if contrast @ images @ contrast > 0 else 0)
    return intervals.fieller(part.values.mean(), whole.values.mean(), covariance, float(t))


def difference(left: Sample, right: Sample) -> Sample:
    """left − right, of the same seeds and images."""
    known = left.images is not None and right.images is not None
    return Sample(left.values - right.values, left.images - right.images if known else None)  # type: ignore[operator]


def _error(sample: Sample) -> tuple[float, float]:
    """The standard error of the mean of a sample with images, and its degrees of freedom (see the module)."""
    assert sample.images is not None
    n, m = sample.images.shape
    components, interaction = _images([sample.images])
    images = max(float(components[0, 0]), 0.0)
    # Few images give few different accuracies. Seeds that happen to agree vary by the interaction at least.
    seeds = sample.values.var(ddof=1) / n if np.ptp(sample.values) else float(interaction[0, 0])
    total = seeds + images
    freedom = total / (seeds / (n - 1) + images / (m - 1)) if total > 0 else n - 1
    return float(total**0.5), float(freedom)


def _images(tables: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What images and interaction give to the covariance of the means of some (n, m) tables, by mean squares.

    Both (k, k) for k tables. The images' part may be negative.
    """
    n, m = tables[0].shape
    by_image = np.stack([table.mean(axis=0) - table.mean() for table in tables])
    rest = [table - table.mean(axis=1, keepdims=True) - mean for table, mean in zip(tables, by_image, strict=True)]
    interaction = np.array([[(a * b).sum() for a in rest] for b in rest]) / ((n - 1) * (m - 1)) / (n * m)
    return by_image @ by_image.T / (m - 1) / m - interaction, interaction
