"""What a live run asks the cloud over HTTP: where to connect, how far the plan is, what became of each device."""

from __future__ import annotations

import json
import os
import ssl
from typing import Any

import aiohttp

from sim.engines.live.live_target import TOKEN
from sim.errors import FotasimError

PAGE = 1000
MAX_PAGES = 1000
TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 16 << 20


class CloudApi:
    """The HTTP API of `fotasim cloud`, as far as a fleet needs it."""

    def __init__(self, base: str, token: str = "", ca_file: str | None = None) -> None:
        """`ca_file` holds the certificates to trust instead of the system's."""
        self.base = base.rstrip("/")
        self._token = token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = None
        if ca_file is not None:
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)

    @classmethod
    def from_environment(cls, base: str, ca_file: str | None) -> CloudApi:
        """With the token of FOTASIM_TOKEN."""
        return cls(base, os.environ.get(TOKEN, ""), ca_file)

    async def live(self, plan: int | None = None) -> dict[str, Any]:
        """Where a fleet connects, and for which plan."""
        return await self._get("/api/v1/live", {} if plan is None else {"plan_id": plan})

    async def states(self, plan: int) -> dict[str, int]:
        """Devices of a plan by the state of their execution."""
        found = (await self._get(f"/api/v1/plans/{plan}/counts", {})).get("states", {})
        return {str(name): int(count) for name, count in found.items()}

    async def devices(self, plan: int) -> dict[str, dict[str, Any]]:
        """Every device of a plan by its key."""
        found: dict[str, dict[str, Any]] = {}
        for page in range(1, MAX_PAGES + 1):
            answer = await self._get(f"/api/v1/plans/{plan}/devices", {"page": page, "size": PAGE})
            devices = answer.get("devices", [])
            found.update({str(device["device_key"]): device for device in devices})
            if len(devices) < PAGE:
                break
        return found

    async def reset(self, product_id: object) -> None:
        """Lets the devices of a product bootstrap again: those of this run know no secret of an earlier one.

        A cloud that names no product, or knows no such call, needs none; without the token nothing is asked.
        """
        if not isinstance(product_id, int) or not self._token:
            return
        path = f"{self.base}/api/v1/products/{product_id}/devices/reset"
        try:
            async with self._session.post(path, allow_redirects=False) as answer:
                await _bounded(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FotasimError(f"{path}: the cloud cannot be asked: {error}") from None

    async def _get(self, path: str, query: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self._session.get(self.base + path, params=query, allow_redirects=False) as answer:
                if answer.status != 200:
                    hint = self._hint() if answer.status in (401, 403) else ""
                    raise FotasimError(f"{self.base}{path}: the cloud answered HTTP {answer.status}{hint}")
                return dict(json.loads(await _bounded(answer)))
        except aiohttp.ClientConnectorCertificateError as error:
            raise FotasimError(
                f"{self.base}{path}: the server's certificate is not trusted: {error.certificate_error}; name the file of "
                "certificates to trust with --ca"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise FotasimError(f"{self.base}{path}: the cloud cannot be asked: {reason}") from None

    def _hint(self) -> str:
        """What to do about a refused or a missing token."""
        state = "the token in FOTASIM_TOKEN is not the cloud's" if self._token else "FOTASIM_TOKEN is not set"
        return f": {state}; set it to the token that the cloud printed"

    async def close(self) -> None:
        """Frees the connection."""
        await self._session.close()


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, if it is not larger than any honest answer."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
