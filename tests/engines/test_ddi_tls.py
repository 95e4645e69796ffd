"""Certificates for each module: real handshakes with a loopback server that wants one, signed by an authority of the test."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live
from sim.errors import FotasimError
from tests.ddi_server import DocumentedServer
from tests.engines.test_live_ddi import PACKAGE, READY, outcomes
from tests.support import scenario

MODULES = [f"m000000{i}" for i in range(3)]
GIVEN = scenario(*READY, f"fleet.size={len(MODULES)}")


class Authority:
    """A certificate authority that signs servers and devices."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), (x509.BasicConstraints(True, 0), True))

    def _signed(self, subject, public_key, *extensions):
        now = datetime.now(UTC)
        built = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public_key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
        )  # fmt: skip
        for extension, critical in extensions:
            built = built.add_extension(extension, critical)
        return built.sign(self.key, hashes.SHA256())

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name, usage, *, address=None):
        """Certificate and key of somebody, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.ExtendedKeyUsage([usage]), False)]
        if address is not None:
            extensions.append((x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._signed(subject, key.public_key(), *extensions)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )  # fmt: skip
        return made.public_bytes(serialization.Encoding.PEM), private


@pytest.fixture(scope="module")
def authority():
    return Authority("devices and servers")


@pytest.fixture
def server(authority, tmp_path):
    """A server on 127.0.0.1 that lets nobody in without a certificate of the authority; notes who called whom."""

    class Strict(DocumentedServer):
        def _refusal(self, request, name):
            self.shown.add((name, common_name(request)))
            return super()._refusal(request, name)

        async def _artifact(self, request):
            self.shown.add((request.match_info["id"], common_name(request)))
            return await super()._artifact(request)

    made = Strict(PACKAGE)
    made.shown = set()
    certificate, key = authority.issue("127.0.0.1", ExtendedKeyUsageOID.SERVER_AUTH, address="127.0.0.1")
    for name, data in (("server.pem", certificate), ("server.key", key), ("ca.pem", authority.pem())):
        (tmp_path / name).write_bytes(data)
    made.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    made.tls.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    made.tls.verify_mode = ssl.CERT_REQUIRED
    return made


def common_name(request):
    subject = (request.transport.get_extra_info("peercert") or {}).get("subject", ())
    return next((value for part in subject for key, value in part if key == "commonName"), "nobody")


def hand_out(authority, folder, *, apart=False, together=False):
    """Each module's certificate in a folder: NAME.pem and NAME.key, keys elsewhere, or both in one file."""
    folder.mkdir()
    keys = folder.parent / "keys"
    keys.mkdir(exist_ok=True)
    for name in MODULES:
        certificate, key = authority.issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)
        (folder / f"{name}.pem").write_bytes(certificate + key if together else certificate)
        if not together:
            ((keys if apart else folder) / f"{name}.key").write_bytes(key)
    return folder


def run(server, ca, seconds=20.0):
    async def both():
        await server.start()
        try:
            settings = Settings(ramp_per_s=100.0, time_scale=600.0, duration_s=seconds, ca_file=ca)
            return await live(GIVEN, server.url, settings)
        finally:
            await server.stop()

    return asyncio.run(asyncio.wait_for(both(), 60.0))


@pytest.mark.parametrize("how", ["directory", "pattern", "one file", "keys apart"])
def test_each_module_shows_its_own_certificate(authority, server, tmp_path, monkeypatch, how):
    folder = hand_out(authority, tmp_path / "devices", apart=how == "keys apart", together=how == "one file")
    given = {"directory": (folder, ""), "one file": (folder, ""), "keys apart": (folder, tmp_path / "keys")}
    certificate, key = given.get(how, (folder / "{id}.pem", folder / "{id}.key"))
    monkeypatch.setenv("FOTASIM_DDI_CERT", str(certificate))
    monkeypatch.setenv("FOTASIM_DDI_KEY", str(key))
    found = run(server, str(tmp_path / "ca.pem"))
    assert outcomes(found) == {"succeeded": 3}
    assert server.shown == {(name, name) for name in MODULES}  # polls, feedback and downloads alike
    assert "BEGIN" not in str(found.outcome.manifest)


def test_one_certificate_for_the_whole_fleet(authority, server, tmp_path, monkeypatch):
    folder = hand_out(authority, tmp_path / "devices")
    monkeypatch.setenv("FOTASIM_DDI_CERT", str(folder / "m0000001.pem"))
    monkeypatch.setenv("FOTASIM_DDI_KEY", str(folder / "m0000001.key"))
    assert outcomes(run(server, str(tmp_path / "ca.pem"))) == {"succeeded": 3}
    assert {common for _, common in server.shown} == {"m0000001"}


@pytest.mark.parametrize(
    ("variable", "kind"), [("FOTASIM_DDI_TARGET_TOKEN", "TargetToken"), ("FOTASIM_DDI_GATEWAY_TOKEN", "GatewayToken")]
)
def test_tokens_go_over_verified_tls(authority, server, tmp_path, monkeypatch, variable, kind):
    server.tls.verify_mode = ssl.CERT_NONE
    server.token = f"{kind} s3cret"
    monkeypatch.setenv(variable, "s3cret")
    found = run(server, str(tmp_path / "ca.pem"))
    assert outcomes(found) == {"succeeded": 3}
    assert set(server.authorized) == {server.token}


def test_a_server_that_is_not_trusted_gets_nothing(authority, server, tmp_path, monkeypatch):
    """TLS verifies by default: without --ca the test's authority is a stranger, and no request is ever sent."""
    monkeypatch.setenv("FOTASIM_DDI_CERT", str(hand_out(authority, tmp_path / "devices")))
    found = run(server, None, seconds=2.0)
    assert outcomes(found) == {"never_online": 3}
    assert server.shown == set()
    ((reason, count),) = found.outcome.manifest["live"]["failures"]["poll"].items()
    assert reason.startswith("TLS: certificate not trusted (")
    assert count >= 3


def test_a_certificate_of_another_authority_is_not_let_in(server, tmp_path, monkeypatch):
    stranger = Authority("somebody else")
    monkeypatch.setenv("FOTASIM_DDI_CERT", str(hand_out(stranger, tmp_path / "devices")))
    found = run(server, str(tmp_path / "ca.pem"), seconds=2.0)
    assert outcomes(found) == {"never_online": 3}
    assert server.shown == set()


def test_a_module_without_a_certificate_is_named_before_anything_is_sent(authority, server, tmp_path, monkeypatch):
    folder = hand_out(authority, tmp_path / "devices")
    (folder / "m0000002.pem").unlink()
    monkeypatch.setenv("FOTASIM_DDI_CERT", str(folder))
    with pytest.raises(FotasimError, match=r"FOTASIM_DDI_CERT: module m0000002 has no .*m0000002\.pem"):
        run(server, str(tmp_path / "ca.pem"))
    assert server.shown == set()


def test_a_name_that_leads_elsewhere_gets_no_file(tmp_path, monkeypatch):
    from sim.engines.live.ddi.ddi_target import ddi_target
    from sim.engines.live.ddi.identity import Identities
    from sim.engines.live.live_target import Limits

    monkeypatch.setenv("FOTASIM_DDI_CERT", str(tmp_path / "{id}.pem"))
    identities = Identities(ddi_target("https://127.0.0.1:1", "DEFAULT", "", Limits()), None)
    for name in ("../secret", "a/b", "..", ""):
        with pytest.raises(FotasimError, match="cannot have a file"):
            identities.check([name])
