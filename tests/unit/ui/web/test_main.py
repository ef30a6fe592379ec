"""Where the pages are served."""

from __future__ import annotations

import socket

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.settings import load_settings
from tunebus.ui.web.__main__ import address, listen


def test_a_port_of_zero_takes_a_free_one_that_nobody_can_reach_yet() -> None:
    with listen(load_settings({}, ui_port=0)) as listener:
        host, port = listener.getsockname()
        assert (host, port != 0) == ("127.0.0.1", True)
        with socket.socket() as client:
            assert client.connect_ex((host, port)) != 0


def test_a_port_in_use_is_a_conflict_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(TunebusError) as caught:
        listen(load_settings({}, ui_port=other.getsockname()[1]))
    assert caught.value.problem.code == Code.CONFLICT
    assert caught.value.problem.param == "TUNEBUS_UI_PORT"
    assert caught.value.problem.hint


def test_a_host_that_is_no_address_is_named() -> None:
    with pytest.raises(TunebusError) as caught:
        listen(load_settings({}, ui_host="no such host", ui_port=0))
    assert caught.value.problem.param == "TUNEBUS_UI_HOST"


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:5"), ("0.0.0.0", "http://127.0.0.1:5"), ("::1", "http://[::1]:5")],
)
def test_the_address_can_be_opened(host: str, url: str) -> None:
    assert address(host, 5) == url
