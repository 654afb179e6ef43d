"""Numbers in as few characters as can be read at a glance."""

UNKNOWN = "–"

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TEN, _HUNDRED = 10, 100
_KILO = 1000


def count(value: int | None) -> str:
    """Return a whole number; 0 as a dot, so that what is there stands out."""
    if value is None:
        return UNKNOWN
    return f"{value:,}" if value else "·"


def rate(value: float | None) -> str:
    """Return how many a second."""
    if value is None:
        return UNKNOWN
    if value <= 0:
        return "·"
    if value < _HUNDRED:
        return f"{value:.1f}" if value >= 1 / 20 else "<0.1"
    return f"{value:,.0f}"


def latency(seconds: float | None) -> str:
    """Return a time in the unit that fits."""
    if seconds is None:
        return UNKNOWN
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        number = seconds * factor
        # As it will be shown: what rounds up to a thousand belongs to the next unit.
        if round(number) < _KILO:
            return f"{number:.1f} {unit}" if number < _TEN else f"{number:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < _HUNDRED else f"{seconds:.0f} s"


def span(seconds: float | None) -> str:
    """Return for how long something is, or will be."""
    if seconds is None:
        return UNKNOWN
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} d"


def size(value: float | None) -> str:
    """Return an amount of memory."""
    if value is None:
        return UNKNOWN
    number = value / 1e6
    return f"{number:,.0f} MB" if number < 10 * _KILO else f"{number / _KILO:,.1f} GB"


def share(value: float | None) -> str:
    """Return a part of one, in percent."""
    return UNKNOWN if value is None else f"{value * _HUNDRED:.0f} %"
