"""The embedded server: private, password-protected, on the same port again after a crash."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import nats
import psutil
import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.server import NatsServer, find_binary, read_or_make_password


def test_the_password_is_kept_for_the_owner_alone_and_stays_the_same(tmp_path: Path) -> None:
    file = tmp_path / "password"
    made = read_or_make_password(file)
    assert len(made) >= 24
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_or_make_password(file) == made


def test_the_configuration_holds_the_password_and_is_private(tmp_path: Path) -> None:
    config = NatsServer(tmp_path, password='a "quoted" \\ one').write_config()
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "sync_interval: always" in config.read_text()
    assert '"127.0.0.1:-1"' in config.read_text()


async def test_nobody_without_the_password_gets_in(nats_server: NatsServer) -> None:
    for url in (f"nats://127.0.0.1:{nats_server.port}", f"nats://tunebus:wrong@127.0.0.1:{nats_server.port}"):

        async def quiet(_: Exception) -> None: ...

        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await nats.connect(url, allow_reconnect=False, error_cb=quiet)


def test_it_listens_on_the_loopback_only(nats_server: NatsServer) -> None:
    assert nats_server.process is not None
    listening = [
        item.laddr
        for item in psutil.Process(nats_server.process.pid).net_connections()
        if item.status == psutil.CONN_LISTEN
    ]
    assert [address.ip for address in listening] == ["127.0.0.1"]


async def test_it_comes_back_on_the_same_port_with_what_it_stored(private_nats_server: NatsServer) -> None:
    client = await nats.connect(private_nats_server.url)
    js = client.jetstream()
    await js.add_stream(name="KEPT", subjects=["kept"])
    await js.publish("kept", b"one", stream="KEPT")
    await client.close()
    url = private_nats_server.url
    private_nats_server.kill()
    assert not private_nats_server.is_ready()
    private_nats_server.start()
    assert private_nats_server.url == url
    client = await nats.connect(url)
    assert (await client.jsm().get_msg("KEPT", 1)).data == b"one"
    await client.close()


def test_a_port_in_use_is_named_with_the_servers_own_words(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = NatsServer(tmp_path, password="x" * 24, port=taken.getsockname()[1])
        with pytest.raises(TunebusError) as refused:
            server.start(wait=5)
    assert refused.value.problem.code is Code.UNAVAILABLE
    assert "address already in use" in refused.value.problem.message


def test_a_program_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TunebusError, match="no program"):
        find_binary(tmp_path / "missing")
