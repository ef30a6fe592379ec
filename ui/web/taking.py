"""Take it: a folder of the artifact root as a zip that is made while it is sent, how to load it, and what it is.

Nothing outside the artifact root leaves by this way, and no whole file is ever in memory.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from starlette.responses import StreamingResponse
from tunebus.contracts.errors import Code, fail
from tunebus.services.platform.home import SCHEME, Home

PIECE = 1024 * 1024
ADAPTER_CONFIG = "adapter_config.json"
CARD = "README.md"
CARD_BYTES = 200_000
EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip knows no time before

Texts = Mapping[str, str]


def folder_of(home: Home, location: str | None) -> Path:
    """The folder that a location of the artifact root stands for.

    Errors: `not_permitted` for one outside it, `unavailable` where nothing is there.
    """
    if not location or not location.startswith(SCHEME):
        raise fail(
            Code.NOT_PERMITTED,
            "it does not lie in the studio's own files, so it is not sent from here",
            hint="its page says where it lies",
        )
    folder = home.path(location)
    if not folder.is_dir():
        raise fail(Code.UNAVAILABLE, "its files are not there", hint="is the artifact root where it was?")
    return folder


def download(home: Home, folder: Path, name: str, texts: Texts) -> StreamingResponse:
    """The folder as NAME.zip. `texts` are files that stand in place of its own, or beside them."""
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    safe = safe.strip(".-")[:100] or "files"
    headers = {"content-disposition": f'attachment; filename="{safe}.zip"', "cache-control": "no-store"}
    return StreamingResponse(zipped(home, folder, safe, texts), media_type="application/zip", headers=headers)


def zipped(home: Home, folder: Path, name: str, texts: Texts) -> Iterator[bytes]:
    """The bytes of a zip of a folder's regular files, below a folder called `name`; weights are stored as they are."""
    sink = _Sink()
    root = home.artifacts.resolve()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for inner, text in texts.items():
            archive.writestr(zipfile.ZipInfo(f"{name}/{inner}", EARLIEST), text)
            yield from sink.taken()
        for path in _files(folder, root):
            inner = path.relative_to(folder).as_posix()
            if inner in texts:
                continue
            with path.open("rb") as source:
                size = os.fstat(source.fileno()).st_size
                entry = zipfile.ZipInfo(f"{name}/{inner}", EARLIEST)
                entry.external_attr = 0o644 << 16
                with archive.open(entry, "w", force_zip64=size >= 2**31 - PIECE) as target:
                    while piece := source.read(PIECE):
                        target.write(piece)
                        yield from sink.taken()
            yield from sink.taken()
    yield from sink.taken()


class _Sink:
    """What a zip is written to: it cannot go back, and gives away what it has."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """There is nothing to close."""

    def taken(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from pieces


def _files(folder: Path, root: Path) -> list[Path]:
    """Regular files below a folder, in order, none that a link leads to outside the root, none that is hidden."""
    found = []
    for path in sorted(folder.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if path.is_file() and path.resolve().is_relative_to(root):
            found.append(path)
    return found


def texts_of(folder: Path, base_model: str, card: str) -> dict[str, str]:
    """What a downloaded adapter says of itself: the base model by its name, since a path is this machine's own affair,
    and a card where it has none."""
    texts = {}
    try:
        config: dict[str, Any] = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        texts[ADAPTER_CONFIG] = json.dumps({**config, "base_model_name_or_path": base_model}, indent=2) + "\n"
    except (OSError, ValueError):
        pass
    if not (folder / CARD).is_file():
        texts[CARD] = card
    return texts


def card_of(folder: Path) -> str | None:
    """The card that lies in a folder, its beginning if it is long."""
    try:
        with (folder / CARD).open("rb") as file:
            return file.read(CARD_BYTES).decode(errors="replace")
    except OSError:
        return None


def written_card(adapter: Mapping[str, Any], model: Mapping[str, Any], job: Mapping[str, Any] | None) -> str:
    """A card for an adapter that has none: what it adapts, how it was trained and how good it was found to be."""
    base = base_name(model)
    lines = ["---", f"base_model: {json.dumps(base)}", "library_name: peft", "tags: [tunebus]", "---", ""]
    lines += [f"# {adapter['name']}", "", f"A LoRA adapter of {base}.", "", f"- SHA-256: {adapter['sha256']}"]
    if job is not None:
        recipe = job["recipe"]
        lines += [f"- dataset: {job['dataset_name']}", f"- fine-tuning job: {job['id']}", "", "## Measured", ""]
        lines += [f"- {name}: {value:.6g}" for name, value in job["metrics"].items() if value is not None]
        settings = {name: recipe[name] for name in ("training_arguments", "lora") if recipe.get(name)}
        lines += ["", "## Training", "", "```json", json.dumps(settings, indent=2, ensure_ascii=False), "```"]
    lines += ["", "## Use", "", "```python", snippet(model, adapter, "PATH"), "```", ""]
    return "\n".join(lines)


def base_name(model: Mapping[str, Any]) -> str:
    return str(model.get("huggingface_name") or model["name"])


def snippet(model: Mapping[str, Any], adapter: Mapping[str, Any] | None, place: str, base: str | None = None) -> str:
    """Python that loads an adapter that was taken to `place`, or a model at `place`, and asks it something."""
    source = base or model.get("huggingface_name") or "PATH OF THE BASE MODEL"
    pinned = f", revision={model['revision']!r}" if model.get("huggingface_name") and not base else ""
    chat = model.get("has_chat_template")
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer"]
    if adapter is not None:
        lines = ["from peft import PeftModel", *lines, ""]
        lines += [f"base = AutoModelForCausalLM.from_pretrained({source!r}{pinned})"]
        lines += [f"model = PeftModel.from_pretrained(base, {place!r})"]
        lines += [f"tokenizer = AutoTokenizer.from_pretrained({source!r}{pinned})"]
    else:
        lines += ["", f"model = AutoModelForCausalLM.from_pretrained({place!r}{pinned})"]
        lines += [f"tokenizer = AutoTokenizer.from_pretrained({place!r}{pinned})"]
    if chat:
        lines += [
            'messages = [{"role": "user", "content": "…"}]',
            "inputs = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
            ")",
        ]
    else:
        lines += ['inputs = tokenizer("…", return_tensors="pt")']
    lines += ["output = model.generate(**inputs, max_new_tokens=64, do_sample=False)"]
    lines += ['print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))']
    return "\n".join(lines)
