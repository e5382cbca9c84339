"""The rate that an endpoint's own headers tell of."""

from ..http.headers import Quota

MINUTE = 60.0


def told_rate(quota: Quota) -> float | None:
    """Units per second, where the headers tell of a limit per minute or per second; None for longer periods.

    The headers do not name the period. It shows in how long what was used takes to come back: an endpoint
    that counts by the day (some do for requests) says so with a reset of seconds for a single call.
    """
    if not quota.limit:
        return None
    period = _period(quota)
    if period > 8 * MINUTE:
        return None
    return quota.limit / (MINUTE if period > 8 else 1.0)


def _period(quota: Quota) -> float:
    if quota.limit is None or quota.remaining is None or not quota.reset:
        return MINUTE
    used = quota.limit - quota.remaining
    if used <= 0 or (quota.reset <= 1 and used < quota.limit / MINUTE):
        # Resets rounded up to a second say nothing about so small a share.
        return MINUTE
    return quota.reset * quota.limit / used
