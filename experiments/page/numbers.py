"""How numbers are written on a page."""

import math


def readable(value: float, digits: int = 4) -> str:
    """Return a number for people: few digits, thousands apart, a true minus; failed if infinite.

    Examples
    --------
    >>> readable(12345.6), readable(0.25), readable(-3.21e-8), readable(float("inf"))
    ('12,346', '0.25', '−3.21e−8', 'failed')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "failed"
    size = abs(value)
    if 1000 <= size < 1e7:
        text = f"{value:,.0f}"
    elif size and (size < 1e-3 or size >= 1e7):
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        text = f"{float(mantissa):g}e{int(exponent)}"
    else:
        text = f"{value:.{digits}g}"
    return text.replace("-", "−")
