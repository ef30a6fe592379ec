"""Settings and doctor: what the studio runs with, where each value is from, and whether what it stands on is well.

No secret is shown: of addresses that may hold a password there is host, port and path.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from tunebus.services.platform import password
from tunebus.services.platform.logs import redact
from tunebus.services.platform.settings import PREFIX, Settings
from tunebus.ui.web import storage
from tunebus.ui.web.login import LOGOUT
from tunebus.ui.web.markup import Markup, banner, icon, join, link, pairs, section, table, tag, text
from tunebus.ui.web.page import Arguments, Page, html, part
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import say

PACKAGES = (
    "tunebus",
    "gradio",
    "fastapi",
    "sqlalchemy",
    "nats-py",
    "faststream",
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "mlflow-skinny",
    "tensorboard",
)
DOCTOR_SECONDS = 5.0
STORAGE_SECONDS = 60.0
_PICTURES = {"ok": "succeeded", "note": "search", "warning": "warning", "problem": "failed"}


def build(studio: Studio, blocks: Any) -> None:
    html(join([tag("h1", say("settings.title")), tag("p", say("settings.lead"), kind="tb-lead")]))
    for name in ("doctor", "access", "storage", "places", "versions", "effective"):
        part(name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    again = arguments.get("again", "")
    turn = int(again) if again.isascii() and again.isdecimal() and len(again) < 9 else 0
    checks = tag("div", tag("p", say("settings.doctor.checking")), data_load=f"/fragment/doctor?again={turn}")
    more = tag("a", say("settings.doctor.again"), href=f"/settings?again={turn + 1}", data_partial="", kind="tb-button")
    measured = tag("div", tag("p", say("settings.storage.measuring")), data_load=f"/fragment/storage?again={turn}")
    return {
        "doctor": section(
            say("settings.doctor.title"), tag("p", say("settings.doctor.lead"), kind="tb-small"), more, checks
        ),
        "access": section(say("settings.access.title"), *_access(studio)),
        "storage": section(say("settings.storage.title"), measured),
        "places": section(say("settings.places.title"), _places(studio)),
        "versions": section(say("settings.versions.title"), _versions()),
        "effective": section(say("settings.effective.title"), _effective(studio.settings)),
    }


def effective(settings: Settings, environment: Mapping[str, str]) -> list[tuple[str, str | None, str]]:
    """(variable, value, source) of every setting; no secret is in a value."""
    found = []
    for name in Settings.model_fields:
        variable = PREFIX + name.upper()
        source = "environment" if environment.get(variable) else "default"
        found.append((variable, _shown(getattr(settings, name)), source))
    return found


def _shown(value: Any) -> str | None:
    """A setting as it may be read by anyone."""
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return _address(value.get_secret_value())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    words = str(value)
    return _address(words) if "://" in words else redact(words)


def _address(url: str) -> str:
    """Where a URL leads, without who asks and with what."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return say("settings.effective.secret")
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def _effective(settings: Settings) -> Markup:
    rows = []
    about = {PREFIX + name.upper(): field.description for name, field in Settings.model_fields.items()}
    for variable, value, source in effective(settings, os.environ):
        shown = tag("span", say("settings.effective.none"), kind="tb-small") if value is None else text(value)
        said = tag("span", about[variable] or "", kind="tb-small")
        rows.append((tag("code", variable), shown, say(f"settings.effective.{source}"), said))
    heads = [say(f"settings.effective.{name}") for name in ("name", "value", "source", "about")]
    return table(heads, rows, kind="tb-stack tb-settings")


def _versions() -> Markup:
    found: list[tuple[str, object]] = [("Python", ".".join(map(str, sys.version_info[:3])))]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append((package, say("settings.versions.missing")))
    return pairs(found)


def _places(studio: Studio) -> Markup:
    settings, home = studio.settings, studio.home
    run = home.read_run_file() or {}
    roots = join([tag("div", tag("code", root)) for root in settings.roots])
    exports = join([tag("div", tag("code", root)) for root in settings.export_roots or (settings.home,)])
    services = run.get("services", {})
    listed = join(
        [
            tag("div", f"{name}: {service.get('state')}, ", tag("code", service.get("log", "")))
            for name, service in services.items()
        ]
    )
    return pairs(
        [
            (say("settings.places.home"), tag("code", home.folder)),
            (say("settings.places.artifacts"), tag("code", home.artifacts)),
            (say("settings.places.logs"), tag("code", home.logs)),
            (say("settings.places.backups"), link(studio.operator.backups_folder, "/database")),
            (say("settings.places.roots"), roots),
            (say("settings.places.exports"), exports),
            (say("settings.places.mlflow"), tag("code", _shown(settings.mlflow_uri))),
            (say("settings.places.pages"), run.get("ui_url")),
            *(((say("settings.places.services"), listed),) if services else ()),
        ]
    )


def _access(studio: Studio) -> list[Markup]:
    """Whether a password is asked for, how to leave, and how to change that."""
    guarded = password.current(studio.settings) is not None
    words = tag("p", say("settings.access.guarded" if guarded else "settings.access.open"))
    leave = tag(
        "form",
        tag("button", say("login.out"), kind="tb-button"),
        method="post",
        action=LOGOUT,
        kind="tb-actions",
    )
    command = f"tunebus password set --home {shlex.quote(str(studio.settings.home))}"
    copy = tag("button", icon("copy"), say("settings.access.copy"), type="button", kind="tb-button", data_copy=command)
    how = tag("p", say("settings.access.change" if guarded else "settings.access.set"), kind="tb-small")
    return [words, leave if guarded else Markup(""), how, tag("p", tag("code", command), copy, kind="tb-command")]


async def doctor(studio: Studio, arguments: Arguments) -> Markup:
    """What `tunebus doctor` finds, worst first. Many who ask at once share one look."""
    findings: list[Document] = await studio.shared(
        "doctor", DOCTOR_SECONDS, lambda: asyncio.to_thread(_examine, studio)
    )
    worst = ["problem", "warning", "note", "ok"]
    findings = sorted(findings, key=lambda one: worst.index(one["state"]))
    found = Counter(one["state"] for one in findings)
    problems, warnings = found["problem"], found["warning"]
    if problems:
        words, kind = say("settings.doctor.problems", count=problems), "error"
    elif warnings:
        words, kind = say("settings.doctor.warnings", count=warnings), "warning"
    else:
        words, kind = say("settings.doctor.well"), "success"
    items = []
    for one in findings:
        state = tag("strong", icon(_PICTURES[one["state"]]), say(f"settings.state.{one['state']}"))
        hint = tag("span", one["hint"], kind="tb-small") if one["hint"] else Markup("")
        items.append(
            tag(
                "li",
                state,
                tag("span", one["name"]),
                tag("span", one["message"]),
                hint,
                kind=f"tb-finding-{one['state']}",
            )
        )
    return join([banner(words, kind), tag("ul", *items, kind="tb-findings")])


def _examine(studio: Studio) -> list[Document]:
    from tunebus.ui.cli.call import Call
    from tunebus.ui.cli.checks import examine

    call = Call(home=studio.settings.home, machine=True)
    try:
        return examine(call)
    finally:
        call.close()


async def measure(studio: Studio, arguments: Arguments) -> Markup:
    """What files take, by kind, and orphans, in the units of the doctor above."""
    from tunebus.ui.cli.terminal import byte_size

    found: storage.Storage = await studio.shared("storage", STORAGE_SECONDS, lambda: _measure(studio))
    total = storage.Amount()
    rows: list[tuple[object, ...]] = []
    for kind, amount in found.kinds.items():
        total.add(amount)
        if amount.files:
            rows.append((say(f"settings.storage.{kind}"), f"{amount.files:,}", byte_size(amount.bytes)))
    rows.append(
        (
            tag("strong", say("settings.storage.total")),
            f"{total.files:,}",
            tag("strong", byte_size(total.bytes)),
        )
    )
    rows.append((say("settings.storage.free"), Markup(""), byte_size(found.free)))
    heads = [say(f"settings.storage.{name}") for name in ("kind", "files", "size")]
    parts = [table(heads, rows), tag("p", say("settings.storage.note"), kind="tb-small")]
    parts.append(tag("h3", say("settings.storage.orphans")))
    if not found.orphaned.files:
        return join([*parts, tag("p", say("settings.storage.orphans_none"), kind="tb-small")])
    parts.append(tag("p", say("settings.storage.orphans_lead", size=byte_size(found.orphaned.bytes)), kind="tb-small"))
    orphans = [(tag("code", path), f"{one.files:,}", byte_size(one.bytes)) for path, one in found.orphans.items()]
    heads = [say(f"settings.storage.{name}") for name in ("orphan", "files", "size")]
    return join([*parts, table(heads, orphans, kind="tb-stack")])


async def _measure(studio: Studio) -> storage.Storage:
    locations: list[str] = []
    for query in ("ListDatasets", "ListModels", "ListAdapters"):
        locations += [str(one.get("location") or "") for one in await studio.items(query)]
    folders = await asyncio.to_thread(_job_folders, studio.home.artifacts / "jobs")
    known = {name for name in folders if (await studio.ask("ListEvents", entity_id=name, limit=1))["items"]}
    return await asyncio.to_thread(storage.measure, studio.home, locations, known.__contains__)


def _job_folders(folder: Path) -> list[str]:
    try:
        return [one.name for one in folder.iterdir()]
    except OSError:
        return []


PAGE = Page(
    "settings",
    "settings.menu",
    build,
    read,
    group="studio",
    fragments={"doctor": doctor, "storage": measure},
)
