"""Words for values."""

import pytest

from understanding_bn.messages import plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (359.4, "359"),
        (1130.0, "1130"),
        (13800.0, "1.38×10⁴"),
        (-8690.2, "-8690"),
        (0.0001, "0.0001"),
        (3.2e-05, "3.2×10⁻⁵"),
        (1e-12, "1×10⁻¹²"),
        (0.0, "0"),
        (5.0, "5"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_written_as_people_write_them(value, text):
    assert plain(value) == text
