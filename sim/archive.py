"""An archived folder as evidence: the hashes of its files (SHA256SUMS, as `sha256sum -c` reads it) and a signature.

`seal` hashes every file when a result is written; `add` takes up what is written into the folder later, such as further
formats of its report, and never hashes anew what is there already. A signature (Ed25519) is over SHA256SUMS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import InputError, RecordsError

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
_BLOCK = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written: the file and what is wrong with it."""

    file: str
    what: str


def sha256(path: Path) -> str:
    """The hash of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def seal(folder: Path) -> None:
    """Writes the hashes of every file of the folder; a signature that was there is gone, as it is of other hashes."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    _write(folder, {name: sha256(folder / name) for name in _files(folder)})


def add(folder: Path, written: Iterable[Path]) -> None:
    """Takes files just written into the hashes of a sealed folder; a folder that is not sealed stays as it is.

    RecordsError for a signed one: its signature would no longer hold.
    """
    if not (folder / SUMS).exists():
        return
    check_unsigned(folder)
    _write(folder, read_sums(folder) | {str(path.relative_to(folder)): sha256(path) for path in written})


def check_unsigned(folder: Path) -> None:
    """Raises RecordsError when a folder is signed: nothing may be added to it."""
    if (folder / SIGNATURE).exists():
        raise RecordsError(f"{folder}: is signed, and another file in it would break the signature; give another --out")


def read_sums(folder: Path) -> dict[str, str]:
    """The hashes by file name. RecordsError when there are none that can be read."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordsError(
            f"{folder}: has no {SUMS} that can be read, so nothing of it can be verified: {error}"
        ) from None
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found) or not found:
        raise RecordsError(f"{folder / SUMS}: is damaged: a line is not a hash and a file name")
    return {match[2]: match[1] for match in found if match is not None}


def check(folder: Path) -> tuple[int, list[Finding]]:
    """How many files are listed, and those that changed, are missing or were added since."""
    sums, there = read_sums(folder), set(_files(folder))
    findings = _differing(folder, sums, there)
    findings += [Finding(name, f"is not listed in {SUMS}") for name in sorted(there - set(sums))]
    return len(sums), findings


def edited(folder: Path) -> list[str]:
    """Files of a sealed folder that are no longer as they were written or are gone; its pages, which are made anew, aside."""
    if not (folder / SUMS).exists():
        return []
    data = {name: digest for name, digest in read_sums(folder).items() if not name.startswith(("report.", "tables/"))}
    return [finding.file for finding in _differing(folder, data, set(_files(folder)))]


def _differing(folder: Path, sums: Mapping[str, str], there: Set[str]) -> list[Finding]:
    """Which of the listed files are missing, and which have another hash; `there` are the folder's files."""
    findings = [Finding(name, "is missing") for name in sums if name not in there]
    return findings + [
        Finding(name, "changed") for name in sums if name in there and sha256(folder / name) != sums[name]
    ]


def sign(folder: Path, key_file: Path) -> str:
    """Signs the hashes with an Ed25519 private key (PEM, not encrypted); gives the fingerprint of its public key."""
    key = _private_key(key_file)
    public = key.public_key().public_bytes_raw()
    signature = key.sign((folder / SUMS).read_bytes())
    document = {"algorithm": "Ed25519", "public_key": _text(public), "signature": _text(signature)}
    (folder / SIGNATURE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return fingerprint(public)


def check_signature(folder: Path, key_file: Path | None = None) -> tuple[str, str]:
    """The fingerprint of the signing key and what is wrong with the signature ("" when it holds).

    ("", "") for an unsigned folder. With `key_file`, an Ed25519 public key (PEM), it has to be that key's.
    """
    path = folder / SIGNATURE
    if not path.exists():
        return "", "" if key_file is None else "the folder is not signed"
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        public, signature = (base64.b64decode(document[name], validate=True) for name in ("public_key", "signature"))
        key = Ed25519PublicKey.from_public_bytes(public)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "", f"the signature cannot be read: {error}"
    if key_file is not None and _public_key(key_file) != public:
        return fingerprint(public), f"the signature is of another key than {key_file}"
    try:
        key.verify(signature, (folder / SUMS).read_bytes())
    except (InvalidSignature, OSError):
        return fingerprint(public), f"the signature does not belong to {SUMS} as it is"
    return fingerprint(public), ""


def fingerprint(public: bytes) -> str:
    """A short name of a public key: the SHA-256 of its 32 bytes, as OpenSSH writes hashes."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode().rstrip("=")


def check_key(key_file: Path) -> None:
    """Raises InputError for a file that cannot sign; before a long run, not after it."""
    _private_key(key_file)


def _private_key(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = _pem(path, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(
            f"{path}: not an Ed25519 private key; make one with: openssl genpkey -algorithm ed25519 -out {path}"
        )
    return key


def _public_key(path: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = _pem(path, load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path}: not an Ed25519 public key; make one with: openssl pkey -in PRIVATE.pem -pubout")
    return key.public_bytes_raw()


def _pem(path: Path, load: Any) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InputError(f"{path}: not an unencrypted Ed25519 key in PEM format") from None


def _files(folder: Path) -> list[str]:
    """Every file below the folder but the hashes and the signature; links are not followed."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(str(path.relative_to(folder)) for path in found if path.name not in (SUMS, SIGNATURE))


def _write(folder: Path, sums: dict[str, str]) -> None:
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    (folder / SUMS).write_text(text, encoding="utf-8")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
