"""Logins of QuecThing over MQTT: client id, topics, passwords, payload encryption, error codes and back-off.

A device without a secret bootstraps with the product's: password `0;<flag>;<PK>;<B>`, where B is the encrypted
`DK;RAND;b64(SHA256("DK;PS;RAND"))`; the cloud answers with the device's secret (0x00B4). With a secret it logs in:
`1;<flag>;<RAND>;b64(SHA256("DS;PS;RAND"))`. AES-128-CBC, PKCS#7, base64. Randomness comes from the caller.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from math import inf

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sim.errors import LocalProtocolError, RemoteProtocolError

PLAIN, ENCRYPTED = "0000", "0001"
RANDOM_CHARS = 16
MAX_PRODUCT_KEY_CHARS = 32
MIN_DEVICE_KEY_CHARS, MAX_DEVICE_KEY_CHARS = 4, 16
MAX_PASSWORD_BYTES = 512
_DEVICE_KEY = re.compile(r"[A-Za-z0-9_-]{4,16}")
"""The SDK bounds the length; IMEIs and MAC addresses, its defaults, are letters and digits."""
PASSWORD_PARTS = 4
_BLOCK_BITS = 128
SESSION_KEY_BYTES = 16

# Codes of a refused login (0x00A3) and of a lost connection.
ALREADY_AUTHENTICATED, PRODUCT_UNKNOWN, UNDECODABLE, BAD_SIGNATURE = 10422, 10423, 10424, 10425
AUTH_VERSION, HASH_ILLEGAL, DEVICE_KEY_ILLEGAL, PRODUCT_KEY_CHANGED, BAD_FLAG = 10426, 10427, 10431, 10432, 10433
CLIENT_ID_DIFFERS, DEVICE_SECRET_WRONG, NETWORK = 10434, 10430, 10474
DEVICE_DISABLED, VERSION_UNSUPPORTED = 10477, 10471

_SLOW = (PRODUCT_UNKNOWN, UNDECODABLE, BAD_SIGNATURE, HASH_ILLEGAL, DEVICE_KEY_ILLEGAL, CLIENT_ID_DIFFERS)
_SLOWEST = (ALREADY_AUTHENTICATED, AUTH_VERSION, PRODUCT_KEY_CHANGED, DEVICE_DISABLED, VERSION_UNSUPPORTED)
LONG_BACK_OFF_S = 1800.0
FAILURES_BEFORE_LONG_BACK_OFF = 6


def back_off_s(code: int, failures: int) -> float:
    """Wait before the next connection: the base of the error's class times failures in a row, without jitter.

    1 s for the network, 30 s for what is sent wrongly, 10 min for what the platform refuses, never for a wrong device
    secret; half an hour beyond six failures.
    """
    if code == DEVICE_SECRET_WRONG:
        return inf
    if failures > FAILURES_BEFORE_LONG_BACK_OFF:
        return LONG_BACK_OFF_S
    base = 30.0 if code in _SLOW else 600.0 if code in _SLOWEST else 1.0
    return base * failures


# --- names -----------------------------------------------------------------------------------------------------------


def client_id(product_key: str, device_key: str) -> str:
    """The MQTT client id, `qd<PK><DK>`."""
    return f"qd{product_key}{device_key}"


def device_key(client: str, product_key: str) -> str:
    """The device key inside a client id of this product; ProtocolError when it is none."""
    prefix = f"qd{product_key}"
    device_key = client[len(prefix) :]
    if not client.startswith(prefix) or not is_device_key(device_key):
        raise RemoteProtocolError("the client id is not `qd<PK><DK>` of this product")
    return device_key


def is_device_key(text: str) -> bool:
    """Whether a text can be a device key: 4 to 16 letters, digits, `-` and `_` of ASCII."""
    return _DEVICE_KEY.fullmatch(text) is not None


def named_product(password: bytes) -> str | None:
    """The product key that a bootstrap password names; None for a login, which names none."""
    parts = password[:MAX_PASSWORD_BYTES].decode("ascii", "replace").split(";")
    return parts[2] if len(parts) == PASSWORD_PARTS and parts[0] == "0" else None


def uplink_topic(client: str, kind: str) -> str:
    """Where a module publishes; `kind` is sys, bus or ota."""
    return f"q/2/d/{client}/{kind}"


def downlink_topic(client: str, kind: str) -> str:
    """Where the cloud publishes to a module."""
    return f"q/1/d/{client}/{kind}"


def subscription(client: str) -> str:
    """The module's one subscription."""
    return f"q/1/d/{client}/+"


# --- passwords -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A bootstrap password whose signature is right."""

    device_key: str
    random: str
    flag: str


@dataclass(frozen=True, slots=True)
class Login:
    """A login password, not yet checked against a device's secret."""

    random: str
    signature: str
    flag: str


def bootstrap_password(product_key: str, product_secret: str, device: str, random: str, flag: str = PLAIN) -> str:
    """Password of a device that has no secret yet; `random` is 16 characters."""
    plain = f"{device};{random};{_sign(device, product_secret, random)}"
    sealed = _encrypt(*_product_cipher(product_secret), plain.encode())
    return f"0;{flag};{product_key};{b64encode(sealed).decode()}"


def login_password(product_secret: str, device_secret: str, random: str, flag: str = PLAIN) -> str:
    """Password of a device that has a secret; `random` is 16 characters."""
    return f"1;{flag};{random};{_sign(device_secret, product_secret, random)}"


def open_password(password: bytes, product_key: str, product_secret: str) -> Bootstrap | Login:
    """What a password says, with a bootstrap's signature checked.

    The texts never repeat what was sent; the error is `Refused` and carries the platform's code.
    """
    parts = password.decode("ascii", "replace").split(";")
    if len(parts) != PASSWORD_PARTS or len(password) > MAX_PASSWORD_BYTES:
        raise Refused(UNDECODABLE, "the password has four parts")
    kind, flag, third, fourth = parts
    if flag not in (PLAIN, ENCRYPTED):
        raise Refused(BAD_FLAG, "the flag is 0000 or 0001")
    if kind == "1":
        if len(third) != RANDOM_CHARS:
            raise Refused(UNDECODABLE, f"the random part has {RANDOM_CHARS} characters")
        return Login(third, fourth, flag)
    if kind != "0":
        raise Refused(AUTH_VERSION, "a password starts with 0 or 1")
    if third != product_key:
        raise Refused(PRODUCT_UNKNOWN, "the product is unknown")
    return _open_bootstrap(fourth, product_secret, flag)


class Refused(RemoteProtocolError):
    """A login that the platform refuses, with the platform's code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


def _open_bootstrap(sealed: str, product_secret: str, flag: str) -> Bootstrap:
    try:
        plain = _decrypt(*_product_cipher(product_secret), b64decode(sealed, validate=True))
        device, random, signature = plain.decode("ascii").split(";")
    except ValueError:
        raise Refused(UNDECODABLE, "the payload cannot be decoded") from None
    if not hmac.compare_digest(signature.encode(), _sign(device, product_secret, random).encode()):
        raise Refused(BAD_SIGNATURE, "the signature is wrong")
    if not is_device_key(device):
        raise Refused(DEVICE_KEY_ILLEGAL, "a device key has 4 to 16 letters, digits, - or _")
    return Bootstrap(device, random, flag)


def verify_login(login: Login, product_secret: str, device_secret: str) -> bool:
    """Whether a login was signed with these secrets."""
    expected = _sign(device_secret, product_secret, login.random)
    return hmac.compare_digest(login.signature.encode(), expected.encode())


def _sign(name: str, product_secret: str, random: str) -> str:
    return b64encode(sha256(f"{name};{product_secret};{random}".encode()).digest()).decode()


# --- encryption ------------------------------------------------------------------------------------------------------


def encrypt_payload(session_key: bytes, frame: bytes) -> bytes:
    """A whole DP frame under flag 0001."""
    if len(session_key) != SESSION_KEY_BYTES:
        raise LocalProtocolError(f"a session key has {SESSION_KEY_BYTES} bytes")
    return _encrypt(session_key, sha256(session_key).digest()[:16], frame)


def decrypt_payload(session_key: bytes, data: bytes) -> bytes:
    """The DP frame inside an encrypted payload; ProtocolError when the key or the data are wrong."""
    try:
        return _decrypt(session_key, sha256(session_key).digest()[:16], data)
    except ValueError:
        raise RemoteProtocolError("the payload cannot be decrypted") from None


def _product_cipher(product_secret: str) -> tuple[bytes, bytes]:
    """Key and initial vector of a bootstrap; ValueError for a secret shorter than a key."""
    secret = product_secret.encode()
    if len(secret) < 16:
        raise LocalProtocolError("a product secret has 16 characters or more")
    return secret[:16], sha256(secret).digest()[:16]


def _encrypt(key: bytes, vector: bytes, data: bytes) -> bytes:
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    return cipher.update(padder.update(data) + padder.finalize()) + cipher.finalize()


def _decrypt(key: bytes, vector: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
    return unpadder.update(cipher.update(data) + cipher.finalize()) + unpadder.finalize()
