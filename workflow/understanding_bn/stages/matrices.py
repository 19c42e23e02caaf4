"""Products of Gaussian matrices: every draw, to files."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn import finished, provenance, record, tables
from understanding_bn.analysis.random_matrices import singular_values
from understanding_bn.experiment.jobs import Matrices
from understanding_bn.progress import Progress, heartbeat


def run(job: Matrices, out: Path, threads: int) -> None:
    """Draw the products and write values.parquet (factors, size, draw, rank, singular_value) and run.json."""
    stopwatch = provenance.Stopwatch()
    progress = Progress("products of Gaussian matrices", len(job.factors) * job.draws, "draws")
    parts: list[pd.DataFrame] = []
    made_with = {"data": None, "device": "cpu", "threads": threads}
    with finished.once(out, job, made_with) as done, heartbeat(out):
        if done:
            return
        for factors in job.factors:
            for draw in range(job.draws):
                progress.show(len(parts))
                keys = {"factors": factors, "size": job.size, "draw": draw, "rank": np.arange(1, job.size + 1)}
                parts.append(pd.DataFrame(keys | {"singular_value": singular_values(job.size, factors, draw)}))
        progress.show(len(parts))
        tables.write(out / "values.parquet", pd.concat(parts, ignore_index=True))
        record.finish(out, job, stopwatch.facts("cpu", threads), dtype="float64")
