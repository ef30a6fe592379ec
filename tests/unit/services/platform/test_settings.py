"""Settings from the environment: defaults, overrides, and errors that name the variable and the fix."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from tunebus.contracts.errors import Code, TunebusError
from tunebus.services.platform.settings import load_settings


def refused(**environment: str) -> TunebusError:
    with pytest.raises(TunebusError) as caught:
        load_settings(environment)
    return caught.value


def test_nothing_set_means_one_machine_and_sqlite() -> None:
    settings = load_settings({}, home=Path("/data/home"))
    assert settings.ledger_url == "sqlite:////data/home/tunebus.db"
    assert settings.telemetry_url == "sqlite:////data/home/telemetry.db"
    assert settings.artifacts == Path("/data/home/artifacts")
    assert settings.ui_host == "127.0.0.1"


def test_postgresql_is_one_variable_and_gets_the_driver() -> None:
    settings = load_settings({"TUNEBUS_DATABASE_URL": "postgresql://me:secret@host/base"})
    assert settings.ledger_url == settings.telemetry_url == "postgresql+psycopg://me:secret@host/base"
    assert "secret" not in repr(settings)


def test_an_override_wins_and_roots_are_split(tmp_path: Path) -> None:
    environment = {"TUNEBUS_HOME": "/elsewhere", "TUNEBUS_DATASET_ROOTS": f"{tmp_path}:/data"}
    settings = load_settings(environment, home=tmp_path)
    assert settings.home == tmp_path
    assert settings.roots == (tmp_path, Path("/data"))


def test_without_roots_the_home_and_the_current_folder_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings({}, home=Path("/data/home")).roots == (Path("/data/home"), tmp_path)


def test_an_unknown_variable_is_refused_with_the_nearest_name() -> None:
    problem = refused(TUNEBUS_DATABSE_URL="x").problem
    assert problem.code is Code.INVALID
    assert problem.param == "TUNEBUS_DATABSE_URL"
    assert problem.hint == "did you mean TUNEBUS_DATABASE_URL?"


def test_every_wrong_value_is_named_at_once() -> None:
    problem = refused(TUNEBUS_UI_PORT="99999", TUNEBUS_LEASE_SECONDS="soon").problem
    assert problem.details is not None
    assert {detail.param for detail in problem.details} == {"TUNEBUS_UI_PORT", "TUNEBUS_LEASE_SECONDS"}


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        ("UI_PORT", "abc", "must be a whole number, not 'abc'", "0: any free port; unset, it is 7860"),
        ("LEASE_SECONDS", "-1", "must be greater than 0, not '-1'", "unset, it is 30.0"),
        ("LOAD_DEFAULTS", "perhaps", "must be true or false, not 'perhaps'", "unset, it is true"),
        ("THREADS_PER_JOB", "x", "must be a whole number, not 'x'", "default: the cores shared by all workers"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words_with_the_way_out(name: str, value: str, message: str, hint: str) -> None:
    problem = refused(**{f"TUNEBUS_{name}": value}).problem
    assert (problem.param, problem.message, problem.hint) == (f"TUNEBUS_{name}", message, hint)


@pytest.mark.parametrize(
    ("url", "ending"),
    [
        ("mysql://me:secret@host/base", "sqlite:///file, not mysql://"),
        ("me:secret@host/base", "sqlite:///file"),
        ("sqlite://", "sqlite:///file, not sqlite://"),
        ("postgresql+asyncpg://me:secret@host/base", "not postgresql+asyncpg://"),
    ],
)
def test_a_database_of_another_kind_is_refused_without_its_password(url: str, ending: str) -> None:
    problem = refused(TUNEBUS_DATABASE_URL=url).problem
    assert problem.param == "TUNEBUS_DATABASE_URL"
    assert problem.message.endswith(ending)
    assert problem.hint == "PostgreSQL; SQLite in the home when not set"
    assert "secret" not in problem.model_dump_json()


@pytest.mark.parametrize("url", ["postgres://h/b", "postgresql+psycopg://me:p#?@h/b", "sqlite:////data/file.db"])
def test_databases_that_are_known_are_taken(url: str) -> None:
    assert load_settings({"TUNEBUS_DATABASE_URL": url}).database_url is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@host",
        "me:secret@host:x",
        "nats://",
        "nats://:secret@:4222",
        "nats://host:secret",
        "nats://h:0",
    ],
)
def test_a_bus_that_cannot_be_connected_to_is_refused_without_its_password(url: str) -> None:
    problem = refused(TUNEBUS_NATS_URL=url).problem
    assert problem.param == "TUNEBUS_NATS_URL"
    assert problem.message.startswith("must be nats://user:password@host:port")
    assert problem.hint
    assert "secret" not in problem.model_dump_json()


@pytest.mark.parametrize("url", ["nats://u:p@host:4222", "tls://host", "host", "host:4222", "nats://[::1]:4222"])
def test_servers_that_the_bus_knows_are_taken(url: str) -> None:
    assert load_settings({"TUNEBUS_NATS_URL": url}).nats_url is not None


def test_a_web_socket_is_refused_where_nothing_can_open_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install aiohttp" in refused(TUNEBUS_NATS_URL="wss://host").problem.message


def test_a_log_level_is_one_that_there_is() -> None:
    assert load_settings({"TUNEBUS_LOG_LEVEL": "debug"}).log_level == "debug"
    problem = refused(TUNEBUS_LOG_LEVEL="LOUD").problem
    assert (problem.param, problem.message, problem.hint) == (
        "TUNEBUS_LOG_LEVEL",
        "must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not 'LOUD'",
        "unset, it is INFO",
    )


@pytest.mark.parametrize("name", ["Tune Bus", "1st", "a.b", "", "x" * 40])
def test_a_namespace_that_cannot_name_a_stream_is_refused(name: str) -> None:
    if name == "":
        assert load_settings({"TUNEBUS_NAMESPACE": name}).namespace == "tunebus"
    else:
        assert refused(TUNEBUS_NAMESPACE=name).problem.param == "TUNEBUS_NAMESPACE"


@pytest.mark.parametrize("folder", ["/data/what?", "/data/50%", "/data/#1"])
def test_a_home_that_would_break_the_database_url_is_refused(folder: str) -> None:
    problem = refused(TUNEBUS_HOME=folder).problem
    assert problem.param == "TUNEBUS_HOME"
    assert problem.message.startswith("must not contain")


def test_a_setting_that_is_not_utf8_is_refused() -> None:
    problem = refused(TUNEBUS_ARTIFACT_ROOT="/data/\udcff").problem
    assert (problem.param, problem.message) == ("TUNEBUS_ARTIFACT_ROOT", "is not UTF-8")


def test_an_empty_home_is_refused_and_never_the_current_folder() -> None:
    with pytest.raises(TunebusError) as caught:
        load_settings({}, home="")
    assert (caught.value.problem.param, caught.value.problem.message) == ("TUNEBUS_HOME", "names no folder")


def test_mirrors_are_named_or_off() -> None:
    assert load_settings({"TUNEBUS_TRACKING": "off"}).mirrors == ()
    assert load_settings({"TUNEBUS_TRACKING": "tensorboard, mlflow"}).mirrors == ("tensorboard", "mlflow")
    problem = refused(TUNEBUS_TRACKING="on").problem
    assert (problem.param, problem.message) == (
        "TUNEBUS_TRACKING",
        "is off, or one or more of mlflow, tensorboard, not 'on'",
    )
