"""The cloud's HTTP API as a fleet asks it: trusted certificates, refused tokens, addresses where nobody is."""

from __future__ import annotations

import asyncio

import pytest

from sim.engines.live.api import CloudApi
from sim.errors import FotasimError
from tests.service.cloud import TOKEN, prepare, served
from tests.service.test_server import certificate


def asked(tmp_path, monkeypatch, token, *, tls=False, trusted=True):
    """What the API says of a plan's devices, over TLS where a fleet connects; `token` stands in the environment."""
    monkeypatch.delenv("FOTASIM_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("FOTASIM_TOKEN", token)
    cert, key = certificate(tmp_path) if tls else (None, None)

    async def run():
        async with served(tmp_path / "data", tls_cert=cert, tls_key=key) as (server, client):
            plan = 0 if tls else await prepare(client)
            api = CloudApi.from_environment(server.cloud.http_url, str(cert) if tls and trusted else None)
            try:
                return await api.states(plan) if plan else await api.live()
            finally:
                await api.close()

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_the_token_of_the_environment_is_shown(tmp_path, monkeypatch):
    assert asked(tmp_path, monkeypatch, TOKEN) == {}


@pytest.mark.parametrize(
    ("token", "what"), [("", "FOTASIM_TOKEN is not set"), ("wrong-token-01234567", "the token in FOTASIM_TOKEN is not")]
)
def test_a_wrong_token_and_a_missing_one_are_told_apart(tmp_path, monkeypatch, token, what):
    with pytest.raises(FotasimError, match=what) as refused:
        asked(tmp_path, monkeypatch, token)
    assert "wrong-token" not in str(refused.value)


def test_a_certificate_that_is_not_trusted_names_the_option(tmp_path, monkeypatch):
    with pytest.raises(FotasimError, match=r"certificate not trusted .*--ca"):
        asked(tmp_path, monkeypatch, TOKEN, tls=True, trusted=False)


def test_the_certificates_of_the_option_are_trusted_by_the_api_too(tmp_path, monkeypatch):
    assert asked(tmp_path, monkeypatch, TOKEN, tls=True)["mqtt"].startswith("mqtts://127.0.0.1:")
