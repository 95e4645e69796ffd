"""Where a DDI run goes, and with which credentials: from the environment alone, checked before anything is sent."""

from __future__ import annotations

import os
import ssl as tls
from dataclasses import dataclass, field

from sim.engines.live.live_target import Limits, checked_url, trusting
from sim.errors import FotasimError

TARGET_TOKEN, GATEWAY_TOKEN = "FOTASIM_DDI_TARGET_TOKEN", "FOTASIM_DDI_GATEWAY_TOKEN"
CERTIFICATE, PRIVATE_KEY = "FOTASIM_DDI_CERT", "FOTASIM_DDI_KEY"
USER, PASSWORD = "FOTASIM_DDI_USER", "FOTASIM_DDI_PASSWORD"
"""Environment variables. {id} becomes the module's name in the target token, and in the paths of certificate and key, which
are PEM files or directories of them."""
MAX_TOKEN_CHARS = 512


@dataclass(frozen=True, slots=True)
class DdiTarget:
    """A DDI server. Credentials never show."""

    url: str
    host: str
    port: int
    tenant: str
    server: str
    """Whose management API it has: hawkbit, goosebit, or none."""
    authorization: str = field(default="", repr=False)
    certificate: str = ""
    private_key: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    api: None = None
    """The API of a mock cloud, which no DDI server has."""
    plan: None = None
    hand_out: None = None

    def authorization_of(self, controller: str) -> str:
        """Value of the Authorization header of one module."""
        return self.authorization.replace("{id}", controller)

    def ssl_context(self, ca_file: str | None) -> tls.SSLContext:
        """TLS that verifies the server, against these certificates or the system's; shows none of its own."""
        return trusting(ca_file)


def ddi_target(given: str, tenant: str, server: str, limits: Limits) -> DdiTarget:
    """The target behind an http(s) URL; credentials from the environment."""
    url = checked_url(given, ("http", "https"))
    assert url.hostname is not None
    limits.check(url.hostname)
    token, gateway = os.environ.get(TARGET_TOKEN, ""), os.environ.get(GATEWAY_TOKEN, "")
    if token and gateway:
        raise FotasimError(f"set {TARGET_TOKEN} or {GATEWAY_TOKEN}, not both")
    name, value = (TARGET_TOKEN, token) if token else (GATEWAY_TOKEN, gateway)
    if len(value) > MAX_TOKEN_CHARS or any(not "!" <= c <= "~" for c in value):
        raise FotasimError(f"{name}: printable ASCII without blanks, at most {MAX_TOKEN_CHARS} characters")
    kind = "TargetToken" if token else "GatewayToken"
    return DdiTarget(
        given.rstrip("/"), url.hostname, url.port or (443 if url.scheme == "https" else 80), tenant, server,
        f"{kind} {value}" if value else "", os.environ.get(CERTIFICATE, ""), os.environ.get(PRIVATE_KEY, ""),
        os.environ.get(USER, ""), os.environ.get(PASSWORD, ""),
    )  # fmt: skip
