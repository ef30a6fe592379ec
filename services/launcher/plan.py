"""What `up` starts on one machine, and in which order it stops it again."""

from __future__ import annotations

import socket
import sys

from tunebus.contracts.errors import Code, fail
from tunebus.services.launcher.supervisor import ServicePlan
from tunebus.services.platform.server import HOST
from tunebus.services.platform.settings import Settings

NATS = "nats"
REGISTRY = "registry"  # nothing can do without it; any other may be late without holding up the rest
RELAY = "relay"
PROJECTOR = "projector"
UI = "ui"
DEFAULTS = "defaults"
TRACKING = "tracking"


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def workers(settings: Settings) -> list[str]:
    """Names of the worker processes: the first of a kind has no number."""
    return [
        f"{kind}-{number}" if number > 1 else kind
        for kind, count in (("trainer", settings.trainers), ("evaluator", settings.evaluators))
        for number in range(1, count + 1)
    ]


def services(settings: Settings, *, ui: bool) -> list[ServicePlan]:
    """Every process but nats-server and the pages. The registry makes the tables: whoever reads them waits for it.

    Beside pages, which a person waits for and which take a core for seconds to import, the others start one after the
    other; without pages all at once.
    """
    commands = {
        REGISTRY: _module("tunebus.services.registry"),
        RELAY: _module("tunebus.services.registry.relay"),
        PROJECTOR: _module("tunebus.services.projector"),
        **{name: (*_module(f"tunebus.services.{name.split('-')[0]}"), "--name", name) for name in workers(settings)},
        **({TRACKING: _module("tunebus.services.tracking")} if settings.mirrors else {}),
    }
    plans: list[ServicePlan] = []
    for name, command in commands.items():
        after = None if not plans else plans[-1].name if ui else REGISTRY
        plans.append(ServicePlan(name, command, waits_for=after))
    return plans


def pages() -> ServicePlan:
    """The browser's side."""
    return ServicePlan(UI, _module("tunebus.ui.web"))


def defaults(settings: Settings, *, ui: bool) -> ServicePlan:
    """Loads what the studio ships with, after everything else, so that nobody waits for it."""
    last = services(settings, ui=ui)[-1].name
    return ServicePlan(DEFAULTS, _module("tunebus.services.launcher.defaults"), waits_for=last, task=True)


def stop_order(settings: Settings) -> list[list[str]]:
    """Groups in the order they stop: whoever speaks to another stops before it."""
    return [[DEFAULTS, UI, TRACKING, *workers(settings)], [REGISTRY], [PROJECTOR], [RELAY], [NATS]]


def reachable_host(host: str) -> str:
    """The address to open for a server bound to `host`; a wildcard is no address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104


def claim_ui_port(settings: Settings) -> int:
    """The port of the pages: as set when it is free, any free one for 0. Errors: `conflict`, `invalid`."""
    try:
        return _claimed(settings.ui_host, settings.ui_port)
    except socket.gaierror:
        raise fail(
            Code.INVALID, f"{settings.ui_host!r} is no address of this machine", param="TUNEBUS_UI_HOST"
        ) from None
    except OSError as error:
        raise fail(
            Code.CONFLICT,
            f"port {settings.ui_port} of {settings.ui_host} cannot be used: {error.strerror}",
            param="TUNEBUS_UI_PORT",
            hint="choose another with --ui-port or TUNEBUS_UI_PORT (0 takes any free one), or use --no-ui",
        ) from None


def check_nats_port(settings: Settings) -> None:
    """Whether the embedded server can have the port that is set for it. Errors: `conflict`."""
    if settings.nats_url is not None or not settings.nats_port:
        return
    try:
        _claimed(HOST, settings.nats_port)
    except OSError as error:
        raise fail(
            Code.CONFLICT,
            f"port {settings.nats_port} of {HOST} cannot be used: {error.strerror}",
            param="TUNEBUS_NATS_PORT",
            hint="choose another or unset it for any free one, or set TUNEBUS_NATS_URL to the server that runs there",
        ) from None


def _claimed(host: str, port: int) -> int:
    """The port, or a free one for 0, once it was ours for a moment. Errors: `OSError`."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return int(probe.getsockname()[1])
