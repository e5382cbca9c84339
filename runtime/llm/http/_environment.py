"""Proxy and certificate authorities that the environment names; both HTTP clients share them."""

import os
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from ....scenarios.errors import InputError
from ...errors import EndpointError, Unreachable
from ._text import LEAST_SECRET


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the environment variable that names it; `url` is without the user and the password."""

    variable: str
    url: URL
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.url.host}]" if ":" in (self.url.host or "") else self.url.host
        return f"the proxy {host}:{self.url.port}"

    @property
    def signed_url(self) -> str:
        """The URL with the user and the password."""
        return str(self.url.with_user(self.user).with_password(self.password))

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the user and the password (RFC 7617)."""
        if self.user is None:
            return {}
        return {"Proxy-Authorization": f"Basic {b64encode(self._pair.encode()).decode()}"}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may show. A short user is a word, and no secret."""
        if self.user is None:
            return ()
        user = self.user if len(self.user) >= LEAST_SECRET else ""
        return tuple(filter(None, (self._pair, self.password, user)))

    @property
    def _pair(self) -> str:
        return f"{self.user or ''}:{self.password or ''}"

    def unreachable(self, endpoint: str, text: str) -> Unreachable:
        """The error for a proxy that accepts no connection: nothing was sent to the endpoint."""
        return Unreachable(
            f"no connection to {self}, by which {endpoint} is called; check {self.variable}: {text}",
            attempts=0,
        )

    def no_tunnel(self, endpoint: str, status: int) -> Unreachable | EndpointError:
        """The error for a proxy that answers CONNECT with this status: nothing was sent to the endpoint."""
        text = f"{self} refuses to connect to {endpoint} (status {status}); check {self.variable}"
        if status == 407:
            return EndpointError(f"{text}: it asks for a user and a password, or does not accept these")
        if 400 <= status < 500 and status not in (408, 429):
            return EndpointError(text)
        return Unreachable(text, attempts=0)


def proxy_for(base_url: str) -> Proxy | None:
    """The proxy by which an address is called: of `https_proxy`, `http_proxy` or `all_proxy`, in small or
    capital letters, unless `no_proxy` excepts it; a SOCKS proxy for all schemes is passed over.

    Raises InputError, without the proxy's password, when its address is not one.
    """
    parts = urlsplit(base_url)
    proxies = getproxies()
    scheme = parts.scheme if proxies.get(parts.scheme) else "all"
    text = proxies.get(scheme, "").strip()
    if not text or (scheme == "all" and text.lower().startswith("socks")):
        return None
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return _proxy(_variable(f"{scheme}_proxy"), text)


def _variable(name: str) -> str:
    set_ = [variable for variable in os.environ if variable.lower() == name]
    if not set_:
        return f"the proxy of the system's settings ({name})"
    return name if name in set_ else set_[0]


def _proxy(variable: str, text: str) -> Proxy:
    url = _url(text if "://" in text else f"http://{text}")
    if url is None:
        # Not even the parser's words are shown: parts of a password may be among them.
        raise InputError(
            f"{variable} is not the address of a proxy; expected http://HOST:PORT or "
            "http://USER:PASSWORD@HOST:PORT, with special characters of the user and the password "
            "percent-encoded (%23 for #)"
        )
    signed = url.raw_user is not None or url.raw_password is not None
    return Proxy(
        variable,
        URL.build(scheme=url.scheme, host=url.host or "", port=url.port),
        (url.user or "") if signed else None,
        (url.password or "") if signed else None,
    )


def _url(text: str) -> URL | None:
    """The address of a server; None where the text is not one."""
    try:
        url = URL(text)
    except ValueError:
        return None
    host = url.host or ""
    readable = host.isprintable() and " " not in host
    return url if url.scheme in ("http", "https") and host and readable and url.port else None


def certificates() -> ssl.SSLContext | None:
    """The certificate authorities of `SSL_CERT_FILE` or else `SSL_CERT_DIR`; None where neither is set.

    Raises InputError when they cannot be read.
    """
    if file := os.environ.get("SSL_CERT_FILE"):
        try:
            return ssl.create_default_context(cafile=file)
        except OSError as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
            raise InputError(
                f"SSL_CERT_FILE: no certificates can be read from {file} ({reason}); expected a file of "
                "certificates in the PEM format"
            ) from error
    if folders := os.environ.get("SSL_CERT_DIR"):
        if not any(os.path.isdir(folder) for folder in folders.split(os.pathsep)):
            raise InputError(f"SSL_CERT_DIR: {folders} is not a folder; expected one of certificates")
        return ssl.create_default_context(capath=folders)
    return None
