"""The certificates a fleet's modules show: one for all of them, or one for each, found by its name."""

from __future__ import annotations

import ssl as tls
from collections.abc import Sequence
from pathlib import Path

from sim.engines.live.ddi.ddi_target import CERTIFICATE, PRIVATE_KEY, DdiTarget
from sim.errors import InputError

ID = "{id}"
_ENDINGS = (".pem", ".crt")
_KEY_ENDING = ".key"


class Identities:
    """TLS contexts that verify the server and show a module's certificate; each is made when it is first needed.

    The certificate is a PEM file for the whole fleet, a pattern with {id}, or a directory of NAME.pem or NAME.crt. The
    key is given likewise; where it is not, it stands in NAME.key beside the certificate, or in the same file.
    """

    def __init__(self, target: DdiTarget, ca_file: str | None) -> None:
        self._target, self._ca_file = target, ca_file
        self._own: dict[str, tls.SSLContext] = {}
        self._by_name = ID in target.certificate or Path(target.certificate or "-").is_dir()

    def check(self, names: Sequence[str]) -> None:
        """InputError when a module has no certificate, before anything is sent."""
        for name in names if self._by_name else ():
            certificate, key = self._files(name)
            for variable, path in ((CERTIFICATE, certificate), (PRIVATE_KEY, key)):
                if path is not None and not path.is_file():
                    raise InputError(f"{variable}: module {name} has no {path}")
        if not self._by_name:
            self.of("")

    def of(self, name: str) -> tls.SSLContext:
        """The context of one module."""
        name = name if self._by_name else ""
        if name not in self._own:
            self._own[name] = self._made(name)
        return self._own[name]

    def _made(self, name: str) -> tls.SSLContext:
        context = self._target.ssl_context(self._ca_file)
        if self._target.certificate:
            certificate, key = self._files(name)
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, tls.SSLError) as error:
                raise InputError(
                    f"{CERTIFICATE}, {PRIVATE_KEY}: the certificate cannot be used: {certificate}: {error}"
                ) from None
        return context

    def _files(self, name: str) -> tuple[Path, Path | None]:
        """Certificate and key of a module; None for a key in the certificate's own file."""
        given, key = self._target.certificate, self._target.private_key
        if not self._by_name:
            return Path(given), Path(key) if key else None
        if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise InputError(f"{CERTIFICATE}: a module called {name!r} cannot have a file of its own")
        certificate = _named(given, name, _ENDINGS)
        if key:
            return certificate, _named(key, name, (_KEY_ENDING, *_ENDINGS))
        beside = certificate.with_name(name + _KEY_ENDING)
        return certificate, beside if beside.is_file() else None


def _named(given: str, name: str, endings: Sequence[str]) -> Path:
    """The file of that name, by pattern or in a directory; the first ending where there is none."""
    if ID in given:
        return Path(given.replace(ID, name))
    found = [Path(given) / f"{name}{ending}" for ending in endings]
    return next((path for path in found if path.is_file()), found[0])
