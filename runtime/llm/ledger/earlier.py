"""What the invocations before this one left in a ledger."""

import sqlite3

import msgspec


class Paid(msgspec.Struct, frozen=True):
    """What one model of one endpoint was paid for: HTTP calls, and tokens as the endpoint counted them."""

    endpoint: str
    model: str
    attempts: int
    prompt_tokens: int
    completion_tokens: int


class Earlier(msgspec.Struct, frozen=True):
    """`seconds` of earlier invocations, the HTTP calls by key of model calls that gave no response, and what
    finished calls cost."""

    seconds: float = 0.0
    failed: dict[bytes, int] = {}
    paid: tuple[Paid, ...] = ()

    @property
    def failed_attempts(self) -> int:
        return sum(self.failed.values())


def earlier(connection: sqlite3.Connection) -> Earlier:
    """Read the sums; walks through the whole ledger once."""
    (seconds,) = connection.execute("SELECT total(seconds) FROM invocations").fetchone()
    failed = connection.execute("SELECT key, sum(attempts) FROM failures GROUP BY key")
    paid = connection.execute(
        "SELECT endpoint, model, sum(attempts), sum(prompt_tokens), sum(completion_tokens) "
        "FROM calls WHERE paid GROUP BY endpoint, model ORDER BY endpoint, model"
    )
    return Earlier(
        seconds=seconds,
        failed=dict(failed.fetchall()),
        paid=tuple(Paid(*row) for row in paid),
    )


def begin_invocation(connection: sqlite3.Connection, at: float) -> int:
    """Note that an invocation starts `at` (seconds since 1970); the id under which its time is kept."""
    (number,) = connection.execute(
        "INSERT INTO invocations (started_at, seconds) VALUES (?, 0) RETURNING id", (at,)
    ).fetchone()
    return int(number)
