"""Does batch norm help because it reduces internal covariate shift? Santurkar et al. (2018) say no."""

import pandas as pd

from understanding_bn.claims import scores
from understanding_bn.claims.checks import Check, mean_check, ratio_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries.covariate_shift import COMPARED, NOISY, by_run, compared, compared_alpha
from understanding_bn.summaries.training import CELL

SAME_ACCURACY = 2.0  # points


def helps_in_spite_of_shift(results: Results) -> list[Check]:
    """Santurkar et al. (2018): batch norm helps as much if its outputs are made to shift.

    All at one learning rate, which `summaries.covariate_shift.compared_alpha` chooses: of those at which no seed of any
    of the three norms fails, the one at which batch norm does best on the validation split. So no run is left out.
    The shift of a seed is the mean over layers, updates and moments of training.
    """
    cells = {cell.path: cell for cell in results.cells}
    listed = compared(pd.DataFrame([cell.factors for cell in cells.values()], index=[*cells], columns=CELL))
    missing = [norm for norm in COMPARED if norm not in set(listed["norm"])]
    if missing:
        raise NotRunError(f"training of one network with norm {' and '.join(missing)}")
    ends = {path: results.ends(cells[path]) for path in listed.index}
    alpha = compared_alpha(pd.concat(ends.values()))
    if alpha is None:
        raise NotRunError("training with all of them at a learning rate at which no seed of any fails")
    chosen = listed[listed["alpha"] == alpha]
    measured = by_run(results.trained("covariate_shift")).merge(chosen, on=CELL)
    shifts = measured.pivot(index="seed", columns="norm", values="shift")
    if not {NOISY, "none"} <= set(shifts):
        raise NotRunError(f"covariate_shift with norm {NOISY} and none at α = {alpha:g}")
    by_norm = {norm: results.scores_of(ends[path]) for path, norm in chosen["norm"].items()}
    batch, noisy, none = (by_norm[norm] for norm in COMPARED)
    where, ends_of_same = f"at α = {alpha:g}", (-SAME_ACCURACY, SAME_ACCURACY)
    name = f"test accuracy {where}, noisy BN − BN (points)"
    checks = within(name, scores.compared(noisy, batch), *ends_of_same, beside=scores.beside(noisy, batch))
    name = f"test accuracy {where}, noisy BN − none (points)"
    beside = scores.beside(noisy, none)
    checks.append(mean_check(name, scores.compared(noisy, none), ">", 0, zero=0, beside=beside))
    name = f"covariate shift {where}, mean over layers, noisy BN over none, BN in train mode"
    return [*checks, ratio_check(name, (shifts[NOISY] / shifts["none"]).to_numpy(), ">", 1, zero=1)]
