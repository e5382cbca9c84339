"""Numbers as people read them, the same in the terminal, in the page and in tables."""

UNDEFINED = "–"
"""Stands for a value that is unknown or undefined."""


def format_number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """A number with so many decimals; a dash for None. `sign` puts a plus before positive numbers."""
    if value is None:
        return UNDEFINED
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    if not text.strip("+-0.,"):  # what rounds to nothing has no sign
        return text.lstrip("+-")
    return text.replace("-", "−")


def format_interval(low: float | None, high: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """An interval as `[low, high]`; a dash where an end is None."""
    if low is None or high is None:
        return UNDEFINED
    return f"[{format_number(low, digits, sign=sign)}, {format_number(high, digits, sign=sign)}]"


def format_p(value: float | None) -> str:
    """A p-value with three decimals, `< 0.001` below that, a dash for None."""
    if value is None:
        return UNDEFINED
    return "< 0.001" if value < 0.001 else format_number(value)


def format_usd(value: float | None) -> str:
    """Dollars with two decimals, four below one dollar; a dash for None."""
    if value is None:
        return UNDEFINED
    return f"${value:,.{4 if 0 < value < 1 else 2}f}"


def format_seconds(value: float | None) -> str:
    """A duration as `12 s`, `3:20 min` or `1:05 h`; a dash for None."""
    if value is None:
        return UNDEFINED
    seconds = round(value)
    if seconds < 100:
        return f"{seconds} s"
    if seconds < 6000:
        return f"{seconds // 60}:{seconds % 60:02} min"
    return f"{seconds // 3600}:{seconds // 60 % 60:02} h"


def excerpt(text: str, width: int) -> str:
    """The text on one line of at most `width` characters, ended by an ellipsis where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: max(0, width - 1)]}…"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
