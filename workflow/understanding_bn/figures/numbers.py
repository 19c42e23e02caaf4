"""Numbers as readers write them: 3,400 and 3.4×10⁻⁵, with a true minus sign."""

import math
from collections.abc import Iterable

import numpy as np

from understanding_bn.messages import SUPERSCRIPTS


def plain(value: float, digits: int = 3) -> str:
    """A number of so many significant digits, without trailing zeros; very small and large ones with a power of ten."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -5 <= power < 6:
        text = f"{float(f'{mantissa}e{exponent}'):,.{max(0, digits - 1 - power)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        short = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        text = f"{short}×10{str(power).translate(SUPERSCRIPTS)}"
    return text.replace("-", "−")


def span(values: Iterable[float], digits: int = 2) -> str:
    """Smallest to largest; one number alone where both are written alike; "no value" if none is finite."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "no value"
    ends = dict.fromkeys(plain(value, digits) for value in (min(finite), max(finite)))
    return (" to " if any("×" in end or "−" in end for end in ends) else "–").join(ends)


def positive(values: Iterable[float]) -> np.ndarray:
    """Those that a logarithmic axis or colour scale can show: finite and above zero."""
    numbers = np.asarray(values, dtype=float)
    return numbers[np.isfinite(numbers) & (numbers > 0)]


def log_ticks(low: float, high: float, most: int = 5) -> dict[float, str]:
    """About so many places for the ticks of a logarithmic axis or colour bar, and what is written there."""
    decades = math.log10(high) - math.log10(low)
    if decades >= most - 2:
        every = max(1, math.ceil(decades / most))
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1, every)
        return {10.0**power: f"10{str(power).translate(SUPERSCRIPTS)}" for power in powers}
    digits = (1,) if decades > 2.5 else (1, 3) if decades > 1.3 else (1, 2, 5) if decades > 0.5 else range(10, 100, 5)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    places = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return {place: plain(place) for place in sorted(set(places)) if low <= place <= high}
