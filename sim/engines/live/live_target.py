"""Where a live run goes: the cloud's address and credentials, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import ssl as tls
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from sim.errors import FotasimError, InputError
from sim.wire.quecthing import login
from sim.wire.quecthing.client import SecretHandOut

KEY, SECRET, TOKEN = "FOTASIM_PRODUCT_KEY", "FOTASIM_PRODUCT_SECRET", "FOTASIM_TOKEN"
"""Environment variables: the product's key and secret, the token of the cloud's API."""
_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Limits:
    """Which hosts may be reached. Loopback always may; any other only by name and with a cap on the rate."""

    allow: tuple[str, ...] = ()
    rate_cap_per_s: float | None = None

    def check(self, host: str) -> None:
        """InputError for a host that may not be reached."""
        if is_loopback(host):
            return
        if host not in self.allow:
            raise InputError(f"{host}: only this machine is a target by default; name it with --allow {host}")
        if self.rate_cap_per_s is None:
            raise InputError(f"{host}: a target beyond this machine needs --rate-cap, such as --rate-cap 20/s")


@dataclass(frozen=True, slots=True)
class Target:
    """A cloud to run against. The secret and the token never show."""

    host: str
    port: int
    secure: bool
    product_key: str
    product_secret: str = field(repr=False)
    api: str | None = None
    token: str = field(default="", repr=False)
    plan: int | None = None
    hand_out: SecretHandOut = field(default_factory=SecretHandOut, compare=False)
    """Whether bootstraps are answered there: said by the cloud's API, else found out."""

    def ssl_context(self, ca_file: str | None = None) -> tls.SSLContext | None:
        """TLS that verifies the server, or None for a plain target."""
        return trusting(ca_file) if self.secure else None


def trusting(ca_file: str | None) -> tls.SSLContext:
    """TLS that verifies the server against these certificates (PEM), None for the system's; InputError for a file of none."""
    try:
        return tls.create_default_context(cafile=ca_file)
    except OSError as error:  # of which TLS's own are kinds
        words = getattr(error, "reason", None) or error.strerror or str(error)
        raise InputError(
            f"--ca {ca_file}: holds no certificate to trust (PEM): {words.replace('_', ' ').lower()}"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback, by its name or address alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_url(text: str, schemes: Sequence[str], what: str = "cloud URL") -> SplitResult:
    """A URL of one of these schemes with a host; InputError says what would be right."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise InputError(f"{what}: {error}") from None
    if url.scheme not in schemes or not url.hostname or port == 0:
        raise InputError(f"{what}: {', '.join(f'{s}://HOST:PORT' for s in schemes)} is needed")
    if url.username or url.password:
        raise InputError(f"{what}: credentials do not belong into a URL; they come from the environment")
    return url


def target_of(
    mqtt_url: str, *, api: str | None, found: Mapping[str, object], limits: Limits, what: str = "cloud URL"
) -> Target:
    """The target behind an mqtt(s) URL, which messages call `what`.

    `found` is what the cloud's API told; the environment wins over it.
    """
    try:
        url = checked_url(mqtt_url, ("mqtt", "mqtts"), what)
    except InputError as error:
        if api is None:
            raise
        raise FotasimError(str(error)) from None  # the cloud's mistake, nobody's who typed the command
    assert url.hostname is not None
    limits.check(url.hostname)
    key = os.environ.get(KEY) or found.get("product_key")
    secret = os.environ.get(SECRET) or found.get("product_secret")
    if not key or not secret:
        raise InputError(
            f"the product's key and secret are needed: set {KEY} and {SECRET}, or {TOKEN} for a mock cloud"
        )
    if len(str(key)) > login.MAX_PRODUCT_KEY_CHARS or len(str(secret)) < 16:
        raise InputError(f"{KEY} has at most {login.MAX_PRODUCT_KEY_CHARS} characters, {SECRET} at least 16")
    plan = found.get("plan")
    hands_out = found.get("hands_out_secrets", None if api is None else True)
    return Target(
        url.hostname, url.port or _PORTS[url.scheme], url.scheme == "mqtts", str(key), str(secret), api,
        os.environ.get(TOKEN, ""), plan if isinstance(plan, int) else None,
        SecretHandOut(hands_out if isinstance(hands_out, bool) else None),
    )  # fmt: skip
