"""Whether anything listens at an endpoint, found out before the first call and without making one."""

from urllib.parse import urlsplit
from urllib.request import getproxies

import anyio

CONNECT_SECONDS = 10.0


async def unreachable(base_url: str) -> str | None:
    """Why no connection to `base_url` can be opened; None when one can, or a proxy stands between."""
    url = urlsplit(base_url)
    if getproxies().get(url.scheme):
        return None
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            stream = await anyio.connect_tcp(url.hostname or "", port)
    except TimeoutError:
        return f"{base_url} does not accept a connection within {CONNECT_SECONDS:g} s"
    except OSError as error:
        return f"{base_url} cannot be reached ({_words(error)}); is the server running, the address right?"
    await stream.aclose()
    return None


def _words(error: OSError) -> str:
    inner: BaseException = error.__cause__ or error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return (getattr(inner, "strerror", None) or str(inner)).lower()
