"""Signed links that expire: who holds one may download one file until then, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote

DEFAULT_LIFETIME_S = 24 * 3600.0


class Links:
    """Makes and checks links below `base` (scheme, host and port) with a secret key."""

    def __init__(self, base: str, key: bytes, lifetime_s: float = DEFAULT_LIFETIME_S) -> None:
        self.base, self.lifetime_s, self._key = base, lifetime_s, key

    def make(self, file_id: int, name: str, now: float) -> str:
        """A link to a file, good for the lifetime from `now` (seconds of the epoch)."""
        expires = int(now + self.lifetime_s)
        return f"{self.base}/packages/{file_id}/{quote(name)}?e={expires}&s={self._sign(file_id, expires)}"

    def check(self, file_id: int, expires: str, signature: str, now: float) -> bool:
        """Whether a link is ours and not expired."""
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        genuine = hmac.compare_digest(signature.encode(), self._sign(file_id, int(expires)).encode())
        return genuine and now < int(expires)

    def _sign(self, file_id: int, expires: int) -> str:
        return hmac.new(self._key, f"{file_id}:{expires}".encode(), hashlib.sha256).hexdigest()[:32]
