"""What a live run asks the cloud over HTTP: where to connect, how far the plan is, what became of each device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import aiohttp

from sim.engines.live.client_reasons import reason_of
from sim.engines.live.json_documents import count, mapping, parsed, sequence
from sim.engines.live.live_target import TOKEN, trusting
from sim.errors import FotasimError, RemoteProtocolError

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
            connector = aiohttp.TCPConnector(ssl=trusting(ca_file))
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)

    @classmethod
    def from_environment(cls, base: str, ca_file: str | None) -> CloudApi:
        """With the token of FOTASIM_TOKEN."""
        return cls(base, os.environ.get(TOKEN, ""), ca_file)

    async def live(self, plan: int | None = None) -> Mapping[str, Any]:
        """Where a fleet connects, and for which plan."""
        return await self._get("/api/v1/live", {} if plan is None else {"plan_id": plan})

    async def states(self, plan: int) -> dict[str, int]:
        """Devices of a plan by the state of their execution."""
        path = f"/api/v1/plans/{plan}/counts"
        found = mapping((await self._get(path, {})).get("states", {}), f"{self.base}{path}: states")
        return {name: count(number, f"{self.base}{path}: states.{name}") for name, number in found.items()}

    async def devices(self, plan: int) -> dict[str, dict[str, Any]]:
        """Every device of a plan by its key; their counts of `reports` and `attempts` are numbers."""
        path = f"/api/v1/plans/{plan}/devices"
        found: dict[str, dict[str, Any]] = {}
        for page in range(1, MAX_PAGES + 1):
            answer = await self._get(path, {"page": page, "size": PAGE})
            devices = sequence(answer.get("devices", []), f"{self.base}{path}: devices")
            found.update(_device(device, f"{self.base}{path}: devices") for device in devices)
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
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FotasimError(f"{path}: the cloud cannot be asked: {reason_of(error)}") from None

    async def _get(self, path: str, query: dict[str, Any]) -> Mapping[str, Any]:
        try:
            async with self._session.get(self.base + path, params=query, allow_redirects=False) as answer:
                if answer.status != 200:
                    hint = self._hint() if answer.status in (401, 403) else ""
                    raise FotasimError(f"{self.base}{path}: the cloud answered HTTP {answer.status}{hint}")
                return mapping(parsed(await _bounded(answer)), "the answer")
        except aiohttp.ClientConnectorCertificateError as error:
            raise FotasimError(
                f"{self.base}{path}: the cloud cannot be asked: {reason_of(error)}; name the file of certificates to trust "
                "with --ca"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FotasimError(f"{self.base}{path}: the cloud cannot be asked: {reason_of(error)}") from None
        except RemoteProtocolError as error:
            raise FotasimError(f"{self.base}{path}: the cloud's answer cannot be used: {error}") from None

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
            raise RemoteProtocolError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _device(given: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Key and entry of a device of a plan; RemoteProtocolError when it is none."""
    device = dict(mapping(given, where))
    key = device.get("device_key")
    if not isinstance(key, str):
        raise RemoteProtocolError(f"{where}: a device_key is needed")
    for name in _COUNTS & device.keys():
        device[name] = count(device[name], f"{where}: {name} of {key[:40]!r}")
    return key, device


_COUNTS = frozenset({"reports", "attempts"})
