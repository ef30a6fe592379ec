"""The Hub child: fetches repositories of the Hugging Face Hub into the artifact root, pinned to a commit.

    python -m tunebus.services.registry.hub

It speaks the prepare child's protocol, is the only one that is given the Hub's token, and runs nothing
that it fetches: no code of a repository, no pickle. Trainings read what it left and never ask the Hub.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.errors import Code, TunebusError, fail
from tunebus.services.registry.prepare import report, serve

FOLDER = "hub"
MEMORY_BYTES = 64 * 1024**3  # of addresses: Arrow maps whole files
REPORT_SECONDS = 0.25
SPARE_BYTES = 256 * 1024 * 1024
NAMES_SHOWN = 10

MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "LICENSE*", "README.md")
CODE_FILES = ("*.py",)
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "README.md", "LICENSE*")

Document = dict[str, Any]
Kind = Literal["model", "dataset"]


def fetch_model(request: Document) -> Document:
    """The folder of a model, with what its page says. Code is fetched only where it was approved."""
    name, approved = str(request["name"]), tuple(request["approved"])
    with _explained("model", name, request["revision"]):
        from huggingface_hub import HfApi

        info = HfApi().model_info(name, revision=request["revision"], files_metadata=True)
        commit = str(info.sha)
        patterns = (*MODEL_FILES, *(CODE_FILES if commit in approved else ()))
        files = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
        folder = _fetched(request, "model", name, commit, files, patterns)
        card: Document = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
    return {
        "location": folder,
        "revision": commit,
        "licence": card.get("license") if isinstance(card.get("license"), str) else None,
        "gated": bool(info.gated),
        "code": sorted(path for path in files if path.endswith(".py")),
    }


def fetch_adapter(request: Document) -> Document:
    """The folder of an adapter."""
    name = str(request["name"])
    with _explained("model", name, request["revision"]):
        from huggingface_hub import HfApi

        info = HfApi().model_info(name, revision=request["revision"], files_metadata=True)
        files = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or ()}
        folder = _fetched(request, "model", name, str(info.sha), files, ADAPTER_FILES)
    return {"location": folder, "revision": str(info.sha)}


def fetch_dataset(request: Document) -> Document:
    """A folder with one parquet file a split, columns in the order of the Hub's own features."""
    name, config, split = str(request["name"]), request["config_name"], request["split"]
    with _explained("dataset", name, request["revision"]):
        from huggingface_hub import HfApi

        info = HfApi().dataset_info(name, revision=request["revision"])
        commit = str(info.sha)
        folder = _place(request, "dataset", name, commit, *(_plain(part) for part in (config, split) if part))
        if not folder.exists():
            with _draft(folder) as draft:
                _write_splits(draft, name, config, split, commit)
    card: Document = info.card_data.to_dict() if info.card_data else {}  # type: ignore[no-untyped-call]
    description = getattr(info, "description", None) or card.get("pretty_name") or ""
    return {"location": _uri(request, folder), "revision": commit, "description": str(description).strip()[:10_000]}


def _write_splits(draft: Path, name: str, config: str | None, split: str | None, commit: str) -> None:
    import datasets

    datasets.disable_progress_bars()
    cache = draft / ".cache"
    try:
        builder = datasets.load_dataset_builder(name, config, revision=commit, cache_dir=str(cache))
        if split is not None and builder.info.splits and split not in builder.info.splits and split.isidentifier():
            raise fail(
                Code.NOT_FOUND,
                f"dataset {name!r} has no split {split!r}",
                param="split",
                hint=f"its splits are {_listed(list(builder.info.splits))}",
            )
        found = datasets.load_dataset(name, config, split=split, revision=commit, cache_dir=str(cache))
    except ValueError as error:
        raise _as_problem(error, name, config, split) from None
    for number, (split_name, rows) in enumerate(
        found.items() if isinstance(found, dict) else [(split or "train", found)]
    ):
        report(number, None)
        rows.to_parquet(str(draft / f"{_plain(str(split_name))}.parquet"))
    shutil.rmtree(cache, ignore_errors=True)


def _as_problem(error: ValueError, name: str, config: str | None, split: str | None) -> TunebusError:
    """`datasets` tells unknown configs and splits by a ValueError whose text lists those there are."""
    text = str(error)
    known = text[text.find("[") + 1 : text.rfind("]")].replace("'", "") if "[" in text else ""
    if "onfig" in text:
        message = f"dataset {name!r} has no config {config!r}" if config else f"dataset {name!r} has several configs"
        return fail(Code.INVALID, message, param="config_name", hint=f"choose one of {known}" if known else None)
    if "split" in text.lower():
        return fail(
            Code.NOT_FOUND, f"dataset {name!r} has no split {split!r}", param="split",
            hint=f"its splits are {known}" if known else None,
        )  # fmt: skip
    return fail(Code.INVALID, f"dataset {name!r} cannot be read: {text[:300]}", param="huggingface_name")


# files


def _fetched(
    request: Document, kind: Kind, name: str, commit: str, files: dict[str, int], patterns: Sequence[str]
) -> str:
    """The location of a repository's files at a commit; fetched unless they are there."""
    from fnmatch import fnmatch

    wanted = {path: size for path, size in files.items() if any(fnmatch(path, pattern) for pattern in patterns)}
    with_code = any(path.endswith(".py") for path in wanted)
    folder = _place(request, kind, name, commit, *(("with-code",) if with_code else ()))
    if folder.exists():
        return _uri(request, folder)
    from huggingface_hub import snapshot_download

    with _draft(folder) as draft:
        total = sum(wanted.values())
        _require_space(draft, total)
        with _watched(draft, total):
            snapshot_download(
                name, repo_type=kind, revision=commit, local_dir=str(draft), allow_patterns=sorted(wanted)
            )
        shutil.rmtree(draft / ".cache", ignore_errors=True)
    return _uri(request, folder)


def _place(request: Document, kind: Kind, name: str, commit: str, *choices: str) -> Path:
    """`hub/models--owner--name/<commit>`, as the Hub's own cache names them; what was chosen follows the commit."""
    return Path(request["artifacts"], FOLDER, f"{kind}s--{name.replace('/', '--')}", "--".join((commit, *choices)))


def _uri(request: Document, folder: Path) -> str:
    return f"artifact:{folder.relative_to(request['artifacts']).as_posix()}"


@contextlib.contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the final name when all is there; gone again otherwise."""
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        try:
            draft.rename(folder)
        except OSError:  # another child was first: the same commit, so the same files
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE_BYTES > free:
        raise fail(
            Code.DISK_FULL,
            f"the files have {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free below the artifact root",
            param="huggingface_name",
            hint="free space, or move TUNEBUS_ARTIFACT_ROOT to a larger disk",
        )


@contextlib.contextmanager
def _watched(folder: Path, total: int) -> Iterator[None]:
    """Report how much has arrived, a few times a second."""
    done = threading.Event()

    def tell() -> None:
        while not done.wait(REPORT_SECONDS):
            report(_size(folder), total)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118  called often, on many files
    return total


def _plain(name: str) -> str:
    return "".join(character if character.isalnum() or character in "._-" else "-" for character in name)


# what went wrong


@contextlib.contextmanager
def _explained(kind: Kind, name: str, revision: str | None) -> Iterator[None]:
    """Every way in which the Hub refuses, in words of its own. Errors: `not_found`, `not_permitted`, `unavailable`."""
    try:
        yield
    except TunebusError:
        raise
    except Exception as error:
        raise _told(error, kind, name, revision) from None


def _told(error: Exception, kind: Kind, name: str, revision: str | None) -> TunebusError:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import errors

    if isinstance(error, DatasetNotFoundError):
        # Its page was seen before, so that it is there: what cannot be had are its files.
        said = next((each for each in _chain(error) if isinstance(each, errors.HfHubHTTPError)), None)
        return _told(said, kind, name, revision) if said else _gated(kind, name)
    has_token = _has_token()
    match error:
        case errors.GatedRepoError():
            return _gated(kind, name)
        case errors.RepositoryNotFoundError() if has_token:
            return fail(
                Code.NOT_FOUND,
                f"there is no {kind} {name!r} on the Hub that the account of HF_TOKEN may see",
                param="huggingface_name",
                hint="look at the spelling (owner/name); a private one needs the token of an account with access",
            )
        case errors.RepositoryNotFoundError():
            return fail(
                Code.NOT_FOUND,
                f"there is no public {kind} {name!r} on the Hub",
                param="huggingface_name",
                hint="look at the spelling (owner/name); for a private one start the studio with HF_TOKEN set",
            )
        case errors.RevisionNotFoundError():
            return fail(
                Code.NOT_FOUND, f"{kind} {name!r} has no revision {revision!r}", param="revision",
                hint="name a branch, a tag or a commit; main when left out",
            )  # fmt: skip
        case errors.HFValidationError():
            return fail(
                Code.INVALID, f"{name!r} is no name of the Hub", param="huggingface_name", hint="it reads owner/name"
            )
        case errors.OfflineModeIsEnabled():
            return fail(
                Code.UNAVAILABLE, "the studio runs with HF_HUB_OFFLINE set, and never asks the Hub",
                param="huggingface_name", hint="start it without, or add the files from a folder by path",
            )  # fmt: skip
        case errors.HfHubHTTPError():
            return _refused(error, kind, name)
        case OSError() if getattr(error, "errno", None) in (28, 122, 27):  # ENOSPC EDQUOT EFBIG
            return fail(Code.DISK_FULL, "the disk below the artifact root is full", param="huggingface_name")
        case _ if _is_connection(error):
            return fail(
                Code.UNAVAILABLE,
                f"the Hub at {_endpoint()} cannot be reached",
                param="huggingface_name",
                hint="try again when the network is back, or add the files from a folder by path",
            )
    sys.stderr.write(f"{type(error).__name__}: {error}\n")
    return fail(
        Code.INVALID, f"{kind} {name!r} cannot be read: {type(error).__name__}: {str(error)[:300]}",
        param="huggingface_name",
    )  # fmt: skip


def _gated(kind: Kind, name: str) -> TunebusError:
    token = "with the account of your token" if _has_token() else "and start the studio with HF_TOKEN set"
    return fail(
        Code.NOT_PERMITTED,
        f"{kind} {name!r} is gated: its owner asks who wants it",
        param="huggingface_name",
        hint=f"accept its terms on {_page(kind, name)}, {token}",
    )


def _refused(error: Any, kind: Kind, name: str) -> TunebusError:
    """Other answers of the Hub, by their status."""
    response = error.response
    status = response.status_code if response is not None else None
    if status == 429:
        after = response.headers.get("retry-after")
        wait = f"in {after} s" if after and after.isdigit() else "later"
        hint = f"try again {wait}" + ("" if _has_token() else "; with HF_TOKEN set the limit is higher")
        return fail(Code.UNAVAILABLE, "the Hub answers only so many requests", param="huggingface_name", hint=hint)
    if status in (401, 403):
        return fail(
            Code.NOT_PERMITTED, f"the Hub does not let this studio have {kind} {name!r}", param="huggingface_name",
            hint="is HF_TOKEN valid, and its account allowed to read it?",
        )  # fmt: skip
    return fail(
        Code.UNAVAILABLE, f"the Hub answered {status} for {kind} {name!r}", param="huggingface_name",
        hint="try again later",
    )  # fmt: skip


def _is_connection(error: BaseException) -> bool:
    """A transport's error; the clients wrap each other's."""
    known = {"TransportError", "ConnectionError", "TimeoutException", "LocalEntryNotFoundError", "TimeoutError"}
    return any(known & {kind.__name__ for kind in type(each).__mro__} for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _has_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _page(kind: Kind, name: str) -> str:
    return f"{_endpoint()}/{'datasets/' if kind == 'dataset' else ''}{name}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown}, …" if len(names) > NAMES_SHOWN else shown


STEPS: dict[str, Callable[[Document], Document]] = {
    "hub_model": fetch_model,
    "hub_adapter": fetch_adapter,
    "hub_dataset": fetch_dataset,
}


if __name__ == "__main__":
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    serve(STEPS, MEMORY_BYTES)
