"""Batch norm beside what may replace it, on one network and at the same learning rates. `histories` are of training."""

import pandas as pd

from understanding_bn.summaries.training import chosen_by, last_rows, main_network, of_network

BATCH, SKIPINIT, FIXUP, SCALED, NONE = VARIANTS = ("BN", "SkipInit", "Fixup", "1/√blocks", "none")
REPLACEMENTS = (SKIPINIT, FIXUP, SCALED)
# Initialisations that are variants of their own, without a norm. The other variants share another one.
INITS = {"fixup": FIXUP, "branch_scaled": SCALED}
NORMS = {"batch": BATCH, "skipinit": SKIPINIT, "none": NONE}


def variants(cells: pd.DataFrame) -> pd.DataFrame:
    """The rows of the network on which SkipInit has most cells, with the column `variant`.

    `cells` has CELL. Only learning rates at which every variant that is there was trained are left, so that all are
    tuned over the same. Empty where SkipInit was not trained.
    """
    skipinit = cells[(cells["norm"] == "skipinit") & ~cells["init"].isin(INITS)]
    if skipinit.empty:
        return cells[:0].assign(variant=pd.Series(dtype=str))
    arch, init, size = network = main_network(skipinit)
    epochs = of_network(skipinit, network)["epochs"].max()
    alike = (cells["arch"] == arch) & (cells["batch_size"] == size) & (cells["epochs"] == epochs)
    table = cells[alike]
    named = table["norm"].map(NORMS).where(table["init"] == init)
    by_init = table["init"].map(INITS).where(table["norm"] == "none")
    table = table.assign(variant=named.fillna(by_init)).dropna(subset="variant")
    trained = table.groupby("alpha")["variant"].transform("nunique")
    return table[trained == table["variant"].nunique()]


def by_alpha(histories: pd.DataFrame) -> pd.DataFrame:
    """A row per variant and α: seeds, failed (how many of them), test, chosen_by and best.

    `test` is the mean test accuracy of the seeds that did not fail, a share; `chosen_by` that of the accuracy by which
    α is chosen. `best` marks the α that `best_alpha` chooses.
    """
    last = variants(last_rows(histories))
    column = chosen_by(last)
    last = last.assign(chosen=last[column].astype(float))
    rows = []
    for variant in VARIANTS:
        of_variant = last[last["variant"] == variant]
        best = best_alpha(of_variant)
        for alpha, runs in of_variant.groupby("alpha"):
            sound = runs[runs["failure"].isna()]
            means = sound["test_accuracy"].astype(float).mean(), sound["chosen"].mean()
            rows.append((variant, alpha, len(runs), len(runs) - len(sound), *means, alpha == best))
    return pd.DataFrame(rows, columns=["variant", "alpha", "seeds", "failed", "test", "chosen_by", "best"])


def best_alpha(runs: pd.DataFrame) -> float | None:
    """The α of the highest mean `chosen` among those at which no seed failed; None where there is none.

    `runs`: last rows of a variant, with `chosen`.
    """
    sound = runs.groupby("alpha").filter(lambda seeds: seeds["failure"].isna().all())
    return None if sound.empty else float(sound.groupby("alpha")["chosen"].mean().idxmax())


def largest_alpha(runs: pd.DataFrame) -> float | None:
    """The largest α at which no seed failed, as above."""
    sound = runs.groupby("alpha").filter(lambda seeds: seeds["failure"].isna().all())
    return None if sound.empty else float(sound["alpha"].max())
