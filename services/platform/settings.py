"""Settings from `TUNEBUS_*` environment variables. An unknown `TUNEBUS_` name is an error with a suggestion."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from tunebus.contracts.errors import Code, Problem, TunebusError, combine, in_plain_words, nearest
from tunebus.contracts.subjects import Subjects
from tunebus.contracts.texts import storable

PREFIX = "TUNEBUS_"

Mirror = Literal["mlflow", "tensorboard"]
MIRRORS: tuple[Mirror, ...] = get_args(Mirror)

_DATABASES = re.compile(r"(postgres|postgresql|postgresql\+psycopg)://.|sqlite:///.")
_SERVERS = ("nats", "tls", "ws", "wss")  # what nats-py connects to
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,20}://", re.IGNORECASE)


class Settings(BaseSettings):
    """What an operator may set.
    Paths are made absolute; durations are seconds; sizes are bytes unless the name says otherwise.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("tunebus")))
    namespace: str = "tunebus"
    nats_url: SecretStr | None = Field(default=None, description="an existing server; the embedded one when not set")
    nats_server: Path | None = Field(default=None, description="another nats-server binary")
    nats_port: int = Field(default=0, ge=0, le=65535, description="0: any free port")
    database_url: SecretStr | None = Field(default=None, description="PostgreSQL; SQLite in the home when not set")
    artifact_root: Path | None = Field(default=None, description="default: artifacts in the home")
    dataset_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(), description=f"folders that AddDataset and AddModel may read, separated by {os.pathsep!r}"
    )
    user_scripts: Path | None = Field(
        default=None, description="a folder of training scripts that jobs may run; none may when not set"
    )
    tracking: Annotated[tuple[Mirror, ...] | None, NoDecode] = Field(
        default=None, description="where jobs are mirrored to, or off; default: to all that is installed"
    )
    export_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description=f"folders that exports may be written to, separated by {os.pathsep!r}; default: the home",
    )
    mlflow_tracking_uri: str | None = Field(default=None, description="default: a store in the home")
    ui_host: str = "127.0.0.1"
    ui_port: int = Field(default=7860, ge=0, le=65535, description="0: any free port")
    ui_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    ui_password_file: Path | None = Field(
        default=None, description="a file with the pages' password; default: that of `tunebus password set`, if any"
    )
    ui_upload_limit_mb: int = Field(default=200, gt=0)
    lease_seconds: float = Field(default=30.0, gt=0)
    idle_claim_seconds: float = Field(default=30.0, gt=0, description="how often an idle worker asks without a bell")
    max_crash_retries: int = Field(default=2, ge=0)
    trainers: int = Field(default=1, ge=0, le=64, description="trainer processes that `up` starts")
    evaluators: int = Field(default=1, ge=0, le=64)
    threads_per_job: int | None = Field(default=None, gt=0, description="default: the cores shared by all workers")
    log_level: str = "INFO"
    load_defaults: bool = True
    defaults_file: Path | None = Field(default=None, description="YAML or JSON of what a first start adds as well")
    adapters_dir: Path | None = Field(default=None, description="a folder of adapter folders, each added at the start")

    @field_validator("home", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise ValueError("names no folder")  # an empty path would stand for the current one
        return value

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if set("?#%") & set(str(value)):
            raise ValueError("must not contain ?, # or %: it becomes part of a database URL")
        return value.expanduser().absolute()

    @field_validator("dataset_roots", "export_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part).expanduser().absolute() for part in value.split(os.pathsep) if part.strip())
        return value

    @field_validator("ui_allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("tracking", mode="before")
    @classmethod
    def _split_mirrors(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = () if value.strip() == "off" else tuple(part.strip() for part in value.split(",") if part.strip())
        if unknown := [part for part in found if part not in MIRRORS]:
            raise ValueError(f"is off, or one or more of {', '.join(MIRRORS)}, not {unknown[0]!r}")
        return found

    @field_validator("database_url", mode="after")
    @classmethod
    def _database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _DATABASES.match(url := value.get_secret_value()):
            raise ValueError(f"must be postgresql://user:password@host/database or sqlite:///file{_but_is(url)}")
        return value

    @field_validator("nats_url", mode="after")
    @classmethod
    def _server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_server(url := value.get_secret_value()):
            raise ValueError(f"must be nats://user:password@host:port, or with tls, ws or wss for nats{_but_is(url)}")
        if value is not None and url.startswith("ws") and importlib.util.find_spec("aiohttp") is None:
            raise ValueError("needs the package aiohttp for ws and wss: pip install aiohttp")
        return value

    @field_validator("log_level", mode="after")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.upper() not in logging.getLevelNamesMapping():
            raise ValueError(f"must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {value!r}")
        return value

    @property
    def subjects(self) -> Subjects:
        return Subjects(self.namespace)

    @property
    def artifacts(self) -> Path:
        return (self.artifact_root or self.home / "artifacts").absolute()

    @property
    def roots(self) -> tuple[Path, ...]:
        """Folders that commands may name files in: those set, else the home and the folder of the start."""
        adapters = (self.adapters_dir.expanduser().absolute(),) if self.adapters_dir else ()
        return (self.dataset_roots or (self.home, Path.cwd())) + adapters

    @property
    def missing_roots(self) -> tuple[Path, ...]:
        """Folders that are set to be read and are not there: a disk may be mounted later, or a name be misspelt."""
        return tuple(root for root in self.dataset_roots if not os.path.isdir(root))  # noqa: PTH112  never raises

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger. PostgreSQL URLs get the psycopg driver."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'tunebus.db'}"
        return _with_driver(self.database_url.get_secret_value())

    @property
    def mirrors(self) -> tuple[Mirror, ...]:
        """Where jobs are mirrored to: what is set, else what is installed."""
        if self.tracking is not None:
            return self.tracking
        return tuple(name for name in MIRRORS if importlib.util.find_spec(name) is not None)

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking store: the one that is set, else an SQLite file of the home."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"

    @property
    def telemetry_url(self) -> str:
        """Telemetry has a file of its own on SQLite; on PostgreSQL it shares the database."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'telemetry.db'}"
        url = self.ledger_url
        if url.startswith("sqlite:///"):
            path = Path(url.removeprefix("sqlite:///"))
            return f"sqlite:///{path.with_name(path.stem + '-telemetry' + path.suffix)}"
        return url


def _is_server(url: str) -> bool:
    """Whether nats-py would take a URL; one without a scheme is nats."""
    whole = url if "://" in url else f"nats://{url}"
    try:
        parts = urlsplit(whole)
        return whole.partition("://")[0] in _SERVERS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _but_is(url: str) -> str:
    """The scheme of a wrong URL: of the rest anything may be a secret."""
    found = _SCHEME.match(url)
    return f", not {found[0]}" if found else ""


def _with_driver(url: str) -> str:
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read the settings; `overrides` win over the environment. Errors: `invalid`, naming each variable and the fix."""
    env = os.environ if environment is None else environment
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    problems = []
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in known:
            near = nearest(name, known)
            problems.append(
                Problem(
                    code=Code.INVALID,
                    message=f"unknown setting {name}",
                    param=name,
                    hint=f"did you mean {near}?" if near else f"known settings: {', '.join(sorted(known))}",
                )
            )
    if problems:
        raise TunebusError(combine(problems))
    given: dict[str, Any] = {
        name: env[PREFIX + name.upper()] for name in Settings.model_fields if env.get(PREFIX + name.upper())
    }
    given.update({name: value for name, value in overrides.items() if value is not None})
    broken = {name: str(value) for name, value in given.items() if isinstance(value, str | Path)}
    problems = [
        Problem(code=Code.INVALID, message="is not UTF-8", param=PREFIX + name.upper(), hint="write it in UTF-8")
        for name, text in broken.items()
        if storable(text) != text
    ]
    if problems:
        raise TunebusError(combine(problems))
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        raise TunebusError(combine(map(_wrong, error.errors(include_url=False)))) from None
    settings.subjects  # noqa: B018  refuses a namespace that no stream can be named after
    return settings


def _wrong(item: Mapping[str, Any]) -> Problem:
    """What is wrong with one variable, and what it may be instead."""
    name = str(item["loc"][0])
    field = Settings.model_fields[name]
    message = str(item["ctx"]["error"]) if item["type"] == "value_error" else in_plain_words(item)
    default = field.get_default(call_default_factory=True)
    unset = None if default in (None, ()) else f"unset, it is {str(default).lower() if default is True else default}"
    hint = "; ".join(part for part in (field.description, unset) if part) or None
    return Problem(code=Code.INVALID, message=message, param=PREFIX + name.upper(), hint=hint)
