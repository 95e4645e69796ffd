"""Starting and stopping: the command, the scenario it loads, TLS, addresses, tokens, the known limit."""

from __future__ import annotations

import asyncio
import datetime
import ssl
import subprocess
import sys

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sim.errors import FotasimError
from sim.service.faults import Faults, Injector
from sim.service.loader import load, made_bytes
from sim.service.server import Options, Server
from sim.service.store import catalog
from tests.service.cloud import AUTH, TOKEN, CloudProcess, prepare, served, settled
from tests.service.modules import FakeModule
from tests.support import BASE, scenario


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """The command cloud with wrong arguments: it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "sim.cli", "cloud", *arguments], capture_output=True, text=True, timeout=600, check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--listen", "0.0.0.0"], "--allow-remote"),
        (["--listen", "nowhere"], "address of this machine"),
        (["--tls-cert", "x"], "belong together"),
        (["--broker", "http://h"], "mqtt://HOST:PORT"),
        (["--db", "mysql://h/d"], "not supported"),
        (["--fault", "wrong_md5=2"], "less than or equal to 1"),
        (["--fault", "no_such=1"], "known: slow_s"),
        (["--link-lifetime", "soon"], "24h"),
        (["--activate"], "needs --scenario"),
    ],
)
def test_wrong_use_is_told(tmp_path, arguments, text):
    """One clear message, no traceback, exit status 2 or 3."""
    done = command("--mqtt", "0", "--http", "0", "--data", str(tmp_path), *arguments)
    assert done.returncode in (2, 3) and text in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_short_token_is_refused(tmp_path):
    """A token from the environment has a length worth guessing at, and is not repeated."""
    done = command("--data", str(tmp_path), FOTASIM_TOKEN="short1")
    assert done.returncode == 2 and "16 characters" in done.stderr and "short1" not in done.stderr


def test_command_loads_a_scenario_and_keeps_it(tmp_path):
    """Product, version with bytes made from the seed, plan; a second start finds them and changes nothing."""
    file = tmp_path / "s.yaml"
    file.write_text(BASE)
    cloud = CloudProcess(tmp_path / "data", "--scenario", str(file), "--activate")
    told = cloud.start()
    assert told["plan"] == 1 and "token" not in told
    plan = httpx.get(f"{told['http']}/api/v1/plans/1", headers=AUTH).json()
    version = httpx.get(f"{told['http']}/api/v1/versions/1", headers=AUTH).json()
    assert (plan["state"], version["files"][0]["size_bytes"]) == ("Activated", 200_000)
    assert cloud.stop() == 143
    assert cloud.start()["plan"] == 1
    again = httpx.get(f"{told['http']}/api/v1/plans/1", headers=AUTH).json()
    assert again == plan
    assert len(httpx.get(f"{told['http']}/api/v1/versions", headers=AUTH).json()) == 1
    assert cloud.stop() == 143


def test_package_bytes_come_from_the_seed():
    """The same for the same seed, of the size wanted, different for another."""
    size = (1 << 20) + 5
    one = b"".join(made_bytes("1/fw/1.1", size))
    assert len(one) == size and one == b"".join(made_bytes("1/fw/1.1", size))
    assert one != b"".join(made_bytes("2/fw/1.1", size))


def test_scenario_of_several_components(tmp_path):
    """Each component becomes one of the model, with its version; deltas keep their source."""
    text = BASE.replace("components: {fw: \"1.0.0\"}", 'components: {fw: "1.0.0", mcu: "2.0"}').replace(
        "target_version: \"1.1.0\", size: 200 kB}",
        'target_version: "1.1.0", size: 200 kB}\n    - {component: mcu, type: mcu, package: delta, source_version: "2.0", '
        'target_version: "2.1", size: 3 kB}',
    )  # fmt: skip
    server = Server(Options(tmp_path, token=TOKEN))
    plan_id = load(server.cloud, scenario(text=text))
    with server.cloud.database.read() as connection:
        plan = catalog.get_plan(connection, plan_id)
        delta = catalog.get_version(connection, plan["components"][1]["version_id"])
    assert [(c["identifier"], c["kind"], c["target_version"]) for c in plan["components"]] == [
        ("fw", "firmware", "1.1.0"), ("mcu", "mcu", "2.1")
    ]  # fmt: skip
    assert (delta["package"], delta["files"][0]["source_version"]) == ("delta", "2.0")
    server.cloud.journal.close()
    server.cloud.database.close()


def certificate(folder):
    """A self-signed certificate for 127.0.0.1, and its key."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


def test_tls(tmp_path):
    """With a certificate both MQTT and HTTP speak TLS, and nothing else."""
    cert, key = certificate(tmp_path)

    async def scene():
        async with served(tmp_path / "data", tls_cert=cert, tls_key=key) as (server, _):
            assert server.cloud.http_url.startswith("https://") and server.cloud.mqtt_url.startswith("mqtts://")
            context = ssl.create_default_context(cafile=cert)
            async with httpx.AsyncClient(verify=context) as client:
                assert (await client.get(f"{server.cloud.http_url}/api/v1/health")).json()["store"] == ""
            port = int(server.cloud.mqtt_url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            assert writer.get_extra_info("ssl_object").version().startswith("TLSv1.")
            writer.close()

    asyncio.run(scene())


def test_ports_that_are_taken(tmp_path):
    """The second cloud on a port says which one it is."""

    async def scene():
        async with served(tmp_path / "a") as (server, _):
            taken = int(server.cloud.http_url.rpartition(":")[2])
            with pytest.raises(FotasimError, match=f"HTTP port {taken}"):
                async with served(tmp_path / "b", http_port=taken):
                    pass
            taken = server.endpoint.port
            with pytest.raises(FotasimError, match=f"MQTT port {taken}"):
                async with served(tmp_path / "c", mqtt_port=taken):
                    pass

    asyncio.run(scene())


def test_known_limit_is_a_queue():
    """At 10 requests a second, those that come at once are served a tenth of a second apart (D/D/1)."""
    injector = Injector(Faults(max_requests_per_s=10.0))
    assert [round(injector.delay_s(100.0), 9) for _ in range(4)] == [0.1, 0.2, 0.3, 0.4]
    assert round(injector.delay_s(200.0), 9) == 0.1
    injector.set(Faults(slow_s=0.5))
    assert injector.delay_s(0.0) == 0.5


def test_faults_are_set_while_it_runs(tmp_path):
    """PUT changes them at once, {} ends them; a slow cloud still upgrades."""

    async def scene():
        async with served(tmp_path) as (server, client):
            plan = await prepare(client)
            slow = (await client.put("/api/v1/faults", json={"slow_s": 0.05})).json()
            assert slow["slow_s"] == 0.05 == server.cloud.injector.faults.slow_s
            module = FakeModule((await client.get("/api/v1/live")).json(), "86610001")
            task = asyncio.ensure_future(module.run())
            await settled(client, plan, {"succeeded": 1})
            await task
            assert (await client.put("/api/v1/faults", json={})).json() == Faults().model_dump()

    asyncio.run(scene())


def test_unused_packages_are_swept_at_start(tmp_path):
    """What a crash left on the shelf goes; what a version names stays."""

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client, activate=False)
        kept = {path.name for path in (tmp_path / "packages").iterdir()}
        for name in ("incoming-1", "0" * 64):
            (tmp_path / "packages" / name).write_bytes(b"left")
        async with served(tmp_path):
            assert {path.name for path in (tmp_path / "packages").iterdir()} == kept

    asyncio.run(scene())
