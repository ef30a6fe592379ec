"""The connection waits, reconnects for ever, tells why it was refused and survives what strangers publish."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.connection import BusClient, bus_url, connect, connect_to
from tunebus.services.platform.home import Home
from tunebus.services.platform.server import NatsServer
from tunebus.services.platform.settings import load_settings

from tests.fixtures.nats import until


async def test_it_waits_for_a_server_that_is_not_there_yet(private_nats_server: NatsServer) -> None:
    private_nats_server.stop()
    connecting = asyncio.create_task(connect_to(private_nats_server.url, "early"))
    done, _ = await asyncio.wait({connecting}, timeout=0.5)
    assert not done
    private_nats_server.start()
    client = await asyncio.wait_for(connecting, 10)
    assert client.is_connected
    await client.close()


async def test_a_limited_wait_ends_with_unavailable_and_without_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(TunebusError) as failed:
        await connect_to(f"nats://tunebus:secret-word@127.0.0.1:{port}", "hasty", wait=0.3)
    assert failed.value.problem.code is Code.UNAVAILABLE
    assert "secret-word" not in failed.value.problem.message


async def test_a_wrong_password_is_told_at_once(nats_server: NatsServer) -> None:
    with pytest.raises(TunebusError) as refused:
        await asyncio.wait_for(connect_to(f"nats://tunebus:wrong@127.0.0.1:{nats_server.port}", "stranger"), 10)
    assert refused.value.problem.code is Code.NOT_PERMITTED


async def test_it_finds_the_studio_of_its_home(tmp_path, nats_url: str) -> None:
    settings = load_settings({}, home=tmp_path / "home")
    with pytest.raises(TunebusError, match="no studio runs"):
        bus_url(settings)
    Home(settings.home).create().write_run_file({"nats_url": nats_url})
    client = await connect(settings, "finder", wait=5)
    await client.close()


async def test_it_comes_back_after_a_crash_and_tells_its_listeners(private_nats_server: NatsServer) -> None:
    client = await connect_to(private_nats_server.url, "survivor", wait=5)
    heard: list[bool] = []
    forget = client.when_reconnected(lambda: heard.append(client.is_connected))
    private_nats_server.kill()
    await until(lambda: not client.is_connected, "the connection is lost")
    private_nats_server.start()
    await until(lambda: heard == [True], "the listener is called once, connected")
    forget()
    await client.force_reconnect()
    await until(lambda: client.stats["reconnects"] == 2 and client.is_connected, "connected a third time")
    assert heard == [True]
    await client.close()


@pytest.mark.parametrize(
    ("header", "subject"),
    [
        (b"NATS/1.0 \xff\xfe\xfd\r\n\r\n", b"poison"),
        (b"NATS/1.0 404 \xff\r\n\r\n", b"poison"),
        (b"NATS/1.0\r\nname: v\r\n\r\n", b"poison\xff\xfe"),
    ],
)
async def test_a_message_that_cannot_be_read_ends_nothing(
    nats_url: str, nats_client: BusClient, namespace: str, header: bytes, subject: bytes
) -> None:
    received: list[bytes] = []

    async def take(message) -> None:
        received.append(message.data)

    await nats_client.subscribe(f"{namespace}.>", cb=take)
    await nats_client.flush()
    stranger = await connect_to(nats_url, "stranger", wait=5)
    full = namespace.encode() + b"." + subject
    body = b"bad"
    # Raw protocol: no client library would write this.
    await stranger._send_command(
        b"HPUB %b %d %d\r\n%b%b\r\n" % (full, len(header), len(header) + len(body), header, body)
    )
    await stranger.flush()
    await stranger.publish(f"{namespace}.good", b"good")
    await stranger.flush()
    await until(lambda: b"good" in received, "what follows is received")
    assert nats_client.stats["reconnects"] == 0
    await stranger.close()
