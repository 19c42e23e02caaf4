"""Targets that can't be made are one line with the nearest name."""

import pytest

from understanding_bn.experiment.targets import mistake

FILE = "results/quick/figures/fig3_relative_loss.png"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("fig3", None),
        ("all", None),
        (FILE, None),
        ("fig33", "preset quick has no target 'fig33'; expected one of fig1, fig3, all (did you mean 'fig3'?)"),
        ("", "preset quick has no target ''; expected one of fig1, fig3, all"),
        ("other_norms", "preset quick has nothing to draw other_norms from; it draws fig1, fig3"),
        (FILE.replace("3", "9"), f"preset quick makes no file '{FILE.replace('3', '9')}'; did you mean {FILE}?"),
        ("x/y", "preset quick makes no file 'x/y'"),
    ],
)
def test_a_mistaken_target(target, expected):
    known = {"drawn": ["fig1", "fig3"], "undrawn": ["other_norms"], "others": ["all"], "files": [FILE]}
    assert mistake(target, "quick", **known, is_made=lambda path: path == FILE) == expected
