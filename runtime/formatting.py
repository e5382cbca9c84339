"""Numbers as people read them: in the terminal, the report and the documentation."""

UNDEFINED = "–"
"""Shown for a value that is not known."""


def format_number(value: float | None, *, digits: int = 3, sign: bool = False) -> str:
    """A number with `digits` decimals, with `sign` also a plus; `UNDEFINED` for None."""
    if value is None:
        return UNDEFINED
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", "") if float(text) == 0 and not sign else text


def format_percent(share: float | None, *, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage; `UNDEFINED` for None."""
    return UNDEFINED if share is None else f"{share:.{digits}%}"


def format_p(p: float | None) -> str:
    """A p-value with three decimals, never rounded to 0; `UNDEFINED` for None."""
    if p is None:
        return UNDEFINED
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
