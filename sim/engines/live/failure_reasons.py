"""Why an exchange with the cloud failed, in a few fixed words: what terminals, records, pages and verdicts count by.

The words tell who has to act: the network, the server, whoever set the credentials, this host, or fotasim itself.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl as tls
from http import HTTPStatus

from sim.errors import LocalProtocolError, ProtocolError
from sim.wire import mqtt
from sim.wire.quecthing import login

RESET, REFUSED, CLOSED = "connection reset", "connection refused", "closed by peer"
TIMED_OUT = "timed out"
"""No connection within the time for one."""
NO_ANSWER = "no answer"
"""The connection stood, and what was asked was not answered in time."""
SUBSCRIPTION_REFUSED = "subscription refused"
LOGIN_REFUSED = "login refused"
"""Begins the reason of everything that only other credentials can cure."""
INTERNAL = "error inside fotasim"
_MOST_CHARS = 80
_THIS_HOST = "this host: "

_BY_NUMBER = {
    errno.ECONNRESET: RESET, errno.EPIPE: RESET, errno.ECONNABORTED: "connection aborted", errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: TIMED_OUT, errno.EHOSTUNREACH: "host unreachable", errno.ENETUNREACH: "network unreachable",
    errno.EADDRNOTAVAIL: f"{_THIS_HOST}no local port or address left", errno.EMFILE: f"{_THIS_HOST}too many open files",
    errno.ENFILE: f"{_THIS_HOST}too many open files",
}  # fmt: skip
_NUMBER = re.compile(r"\[Errno (\d+)\]")

_CONNACK = {
    mqtt.BAD_VERSION: "MQTT version", mqtt.BAD_CLIENT_ID: "client id", mqtt.UNAVAILABLE: "server unavailable",
    mqtt.BAD_LOGIN: "user name or password", mqtt.NOT_AUTHORIZED: "not authorized",
}  # fmt: skip
_PLATFORM = {
    login.ALREADY_AUTHENTICATED: "device has bootstrapped before", login.PRODUCT_UNKNOWN: "product unknown",
    login.UNDECODABLE: "password cannot be decoded, so the product secret", login.BAD_SIGNATURE: "signature wrong, so the product secret",
    login.AUTH_VERSION: "version of the login", login.HASH_ILLEGAL: "hash illegal",
    login.DEVICE_KEY_ILLEGAL: "device key illegal", login.PRODUCT_KEY_CHANGED: "product key changed",
    login.BAD_FLAG: "encryption flag", login.CLIENT_ID_DIFFERS: "client id differs",
    login.DEVICE_SECRET_WRONG: "device secret wrong", login.DEVICE_DISABLED: "device disabled",
    login.VERSION_UNSUPPORTED: "version unsupported",
}  # fmt: skip


def of_error(error: BaseException) -> str:
    """The reason behind an exception of a socket, of TLS, of an HTTP client, or of a codec."""
    if isinstance(error, ProtocolError):
        return of_protocol(error)
    error = getattr(error, "certificate_error", error)  # inside aiohttp's own
    if isinstance(error, tls.CertificateError):
        said = getattr(error, "verify_message", "")
        return f"{_UNTRUSTED} ({said})"[:_MOST_CHARS] if said else _UNTRUSTED
    if isinstance(error, tls.SSLError):
        return f"TLS: {(getattr(error, 'reason', None) or 'handshake failed').replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError):
        return TIMED_OUT
    inner = getattr(error, "os_error", error)
    if isinstance(inner, socket.gaierror):
        return "DNS: name not found"
    if isinstance(inner, OSError):
        return _of_number(inner)
    return of_surprise(error)


_UNTRUSTED = "TLS: certificate not trusted"


def _of_number(error: OSError) -> str:
    """By the system's number; connecting to several addresses hides it in the text."""
    hidden = _NUMBER.search(str(error))
    number = error.errno or (int(hidden[1]) if hidden else 0)
    if number in _BY_NUMBER:
        return _BY_NUMBER[number]
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return RESET
    if isinstance(error, ConnectionAbortedError):
        return "connection aborted"
    return f"network: {error.strerror or str(error) or type(error).__name__}"[:_MOST_CHARS]


def of_protocol(error: ProtocolError) -> str:
    """What breaks a format, and on which side."""
    side = "ours" if isinstance(error, LocalProtocolError) else "the server's"
    return f"protocol error, {side}: {error}"[:_MOST_CHARS]


def of_surprise(error: BaseException) -> str:
    """An error that nobody foresaw: ours, whatever caused it."""
    return f"{INTERNAL} ({type(error).__name__})"


def of_connack(code: int) -> str:
    """A CONNECT that was refused with a return code of MQTT."""
    if code == mqtt.UNAVAILABLE:
        return f"server unavailable (CONNACK {code})"
    return f"{LOGIN_REFUSED} (CONNACK {code}: {_CONNACK.get(code, 'unknown')})"


def of_platform(code: int) -> str:
    """A login that the platform refused with a code of its own."""
    return f"{LOGIN_REFUSED} (code {code}: {_PLATFORM.get(code, 'unknown')})"


def of_exception(code: int) -> str:
    """A message that the platform complains of."""
    return f"message refused (code {code})"


def of_status(status: int) -> str:
    """An HTTP answer other than the one that was asked for."""
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return f"{LOGIN_REFUSED} (HTTP {status})"
    return f"HTTP {status}"


__all__ = [
    "CLOSED", "INTERNAL", "LOGIN_REFUSED", "NO_ANSWER", "REFUSED", "RESET",
    "SUBSCRIPTION_REFUSED", "TIMED_OUT", "of_connack", "of_error",
    "of_exception", "of_platform", "of_protocol", "of_status", "of_surprise",
]  # fmt: skip
