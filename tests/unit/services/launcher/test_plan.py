"""What a studio starts, in which order it stops, and where its pages may be."""

import socket

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.launcher import plan
from tunebus.services.platform.settings import load_settings


def test_without_pages_all_wait_for_the_registry_alone_and_workers_know_their_names() -> None:
    plans = {each.name: each for each in plan.services(load_settings({}, trainers=3, evaluators=1), ui=False)}
    assert plans["relay"].waits_for == plans["projector"].waits_for == "registry"
    assert plans["trainer"].waits_for == plans["evaluator"].waits_for == "registry"
    assert plans["trainer-2"].waits_for == plans["trainer-3"].waits_for == "registry"
    assert plans["trainer-3"].argv[-3:] == ("tunebus.services.trainer", "--name", "trainer-3")


def test_beside_the_pages_one_starts_after_the_other() -> None:
    settings = load_settings({}, trainers=2, evaluators=1)
    plans = [*plan.services(settings, ui=True), plan.defaults(settings, ui=True)]
    assert plans[0].waits_for is None
    assert [each.waits_for for each in plans[1:]] == [each.name for each in plans[:-1]]


def test_no_workers_are_started_where_none_are_wanted() -> None:
    plans = plan.services(load_settings({}, trainers=0, evaluators=0), ui=False)
    assert [each.name for each in plans] == ["registry", "relay", "projector", "tracking"]


def test_nothing_is_mirrored_where_that_is_off() -> None:
    plans = plan.services(load_settings({}, trainers=0, evaluators=0, tracking="off"), ui=False)
    assert [each.name for each in plans] == ["registry", "relay", "projector"]


def test_everything_that_starts_also_stops() -> None:
    settings = load_settings({}, trainers=2, evaluators=2)
    started = {each.name for each in plan.services(settings, ui=True)} | {"nats", "ui", "defaults"}
    order = plan.stop_order(settings)
    assert {name for group in order for name in group} == started
    assert order[-1] == ["nats"]


def test_a_port_in_use_is_refused_by_its_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(TunebusError) as refused:
            plan.claim_ui_port(load_settings({}, ui_port=port))
    assert refused.value.problem.code is Code.CONFLICT
    assert refused.value.problem.param == "TUNEBUS_UI_PORT"
    assert str(port) in refused.value.problem.message


def test_port_zero_is_any_free_one() -> None:
    assert plan.claim_ui_port(load_settings({}, ui_port=0)) > 0


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(TunebusError) as refused:
        plan.claim_ui_port(load_settings({}, ui_host="host.invalid", ui_port=0))
    assert refused.value.problem.param == "TUNEBUS_UI_HOST"


def test_a_wildcard_is_opened_by_the_loopback() -> None:
    assert plan.reachable_host("0.0.0.0") == "127.0.0.1"
    assert plan.reachable_host("studio.example") == "studio.example"
