"""Model calls made by workers on other machines, over NATS; needs the extra `nats`.

    run: ... retries ( limits ( RelayClient ) ) ) -- Send --> RelayWorker ( HTTP client or local model )

What crosses is one HTTP call. Budget, ledger, retries and limits stay in the run; a lost worker is a failed
attempt like a lost connection, and a replayed call never gets here.
"""

from ....scenarios.errors import InputError

try:
    from ._connection import NatsServer
    from .client import Relay
    from .worker import RelayWorker
except ModuleNotFoundError as missing:
    if missing.name not in ("nats", "nkeys"):
        raise
    raise InputError(
        f"bus: needs the extra nats: pip install 'transfer-prompting[nats]' ({missing})"
    ) from None

__all__ = ["NatsServer", "Relay", "RelayWorker"]
