"""An export from its recipe to its destination: written beside it, reloaded and compared, then renamed into place.

Nothing half-written ever stands at the destination, and nothing that stood there is overwritten. `export.json` lists
every file with its SHA-256, and what the reload showed.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tunebus.contracts.recipes import Checked, ExportRecipe
from tunebus.services.evaluator.adapted import CONFIG, WEIGHTS, with_adapter
from tunebus.services.evaluator.model_card import model_card
from tunebus.services.platform.child import models
from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.platform.child.failures import ChildFailure, gib
from tunebus.services.platform.child.files import file_sha256, listing, sync_folder, sync_tree, write_document
from tunebus.services.platform.rows.encoding import set_pad_token

MANIFEST = "export.json"
README = "README.md"
STEPS = ("loading", "answering", "writing", "checking")

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
SMALL_FILES = 1024**2  # tokenizer, configs, card and manifest


class Stopped(Exception):
    """Somebody asked for a stop."""


def export(attempt: Attempt) -> Ending:
    """Run the export of the attempt's job. Errors: any; see `failures.explain`."""
    recipe = ExportRecipe.model_validate(attempt.job.recipe)
    try:
        if recipe.type == "registry":
            return _register(attempt, recipe)
        if recipe.destination is None:
            raise ChildFailure("bad_configuration", "the export has no destination")
        destination = Path(recipe.destination.location)
        _check_free(destination, attempt.job.job_id)
        draft = destination.with_name(f".{destination.name}.tunebus-{attempt.job.job_id}-{attempt.job.attempt}")
        with _draft(attempt, draft) as folder:
            checked = _Export(attempt, recipe, folder).write()
            digest = _publish(attempt, folder, destination)
    except Stopped:
        return Ending("stopped")
    attempt.say(f"exported to {destination}")
    return Ending("finished", len(STEPS), result_sha256=digest, checked=checked)


def _register(attempt: Attempt, recipe: ExportRecipe) -> Ending:
    """Merge as for a folder, register what is in it, and ask the registered one again."""
    from tunebus.services.evaluator.registration import ModelRegistry

    registry = ModelRegistry()
    with _draft(attempt, attempt.folder / ".tmp-model") as folder:
        made = _Export(attempt, recipe, folder)
        dtype = made.write().dtype
        source = recipe.model.model_copy(update={"location": str(folder)})
        assert dtype in ("float32", "bfloat16", "float16")
        model = models.load_model(source, dtype)  # type: ignore[arg-type]
        uri = registry.register(recipe, attempt.job.job_id, model, models.load_tokenizer(source), folder / README)
        del model
        checked = made.check(registry.load(uri).float(), dtype)
    if checked.equal < checked.prompts and recipe.dtype == "auto":
        registry.delete(uri)
        raise _differs(checked)
    attempt.say(f"registered as {uri}")
    return Ending("finished", len(STEPS), checked=checked, registered_model=uri)


class _Export:
    """One folder in the making."""

    def __init__(self, attempt: Attempt, recipe: ExportRecipe, folder: Path) -> None:
        self._attempt = attempt
        self._recipe = recipe
        self._folder = folder
        self._device = "cpu"

    def write(self) -> Checked:
        """Fill the folder and reload what is in it."""
        import torch
        from tunebus.services.evaluator import reloading

        self._step("loading")
        models.quiet()
        torch.set_num_threads(self._attempt.job.threads)
        recipe = self._recipe
        self._device = "cuda" if recipe.num_gpu > 0 and torch.cuda.is_available() else "cpu"
        self._tokenizer = tokenizer = models.load_tokenizer(recipe.model)
        config = models.load_config(recipe.model)
        own = str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")
        _check_room(self._folder, _needed(recipe, own, self._dtypes(own)[0]))
        context = models.context_length(config, tokenizer)
        self._asked = asked = reloading.questions(recipe, tokenizer)
        model = self._source(merge=False)
        set_pad_token(tokenizer, models.check_vocabulary(tokenizer, model, recipe.model), asked.stop_ids)
        resolved = {
            "device": self._device, "dtype": recipe.dtype, "dtype_of_base": own, "questions": asked.words,
        }  # fmt: skip
        self._attempt.running(len(STEPS), resolved=resolved, versions=models.versions())
        self._step("answering")
        self._before = reloading.answers(model.to(self._device), tokenizer, asked, context)
        del model
        for dtype in self._dtypes(own):
            self._step("writing")
            self._save(dtype)
            self._step("checking")
            gc.collect()
            checked = self.check(self._reloaded(), dtype)
            if checked.equal == checked.prompts:
                break
        if checked.equal < checked.prompts and recipe.dtype == "auto":
            raise _differs(checked)
        (self._folder / README).write_text(model_card(recipe, checked, asked.words), encoding="utf-8")
        manifest = {
            "format": 1,
            "job_id": self._attempt.job.job_id,
            "type": recipe.type,
            "checked": checked.model_dump(),
            "checked_on": self._device,
            "files": listing(self._folder),
        }
        write_document(self._folder / MANIFEST, manifest)
        return checked

    def check(self, model: Any, dtype: str | None) -> Checked:
        """Ask a reloaded model what was asked before, where it was asked before."""
        from tunebus.services.evaluator import reloading

        found = reloading.compare(self._before, model.to(self._device), self._tokenizer, self._asked)
        words = f"{found.equal} of {found.prompts} greedy answers are the same"
        self._attempt.say(f"reloaded{f' ({dtype})' if dtype else ''} on {self._device}: {words}")
        return found.model_copy(update={"dtype": dtype})

    def _step(self, phase: str) -> None:
        if self._attempt.is_stopping:
            raise Stopped
        self._attempt.progress(phase, STEPS.index(phase), len(STEPS))

    def _source(self, *, merge: bool) -> Any:
        """What is exported, as it answers now."""
        model = models.load_model(self._recipe.model, "float32")
        if self._recipe.adapter is None:
            return model
        return with_adapter(model, self._recipe.adapter, self._recipe.model, merge=merge)

    def _dtypes(self, own: str) -> list[Dtype | None]:
        """In which precision to try to write: the model's own, then, when that rounds an answer away, float32."""
        if self._recipe.type == "adapter":
            return [None]
        if self._recipe.dtype != "auto":
            return [self._recipe.dtype]
        return ["float32"] if own not in ("bfloat16", "float16") else [own, "float32"]  # type: ignore[list-item]

    def _save(self, dtype: Dtype | None) -> None:
        for old in self._folder.iterdir():
            old.unlink()
        if dtype is None:
            assert self._recipe.adapter is not None
            self._copy_adapter(Path(self._recipe.adapter.location))
            return
        import torch

        model = self._source(merge=True).to(getattr(torch, dtype))
        model.save_pretrained(self._folder)
        models.load_tokenizer(self._recipe.model).save_pretrained(self._folder)  # without the pad token set for asking

    def _copy_adapter(self, source: Path) -> None:
        """The weights as they are; the base model by its name, since its path is this machine's own affair."""
        shutil.copyfile(source / WEIGHTS, self._folder / WEIGHTS)
        config = json.loads((source / CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = self._recipe.card.base_model
        write_document(self._folder / CONFIG, config)

    def _reloaded(self) -> Any:
        """What was written, read back, computing in float32 as before."""
        recipe = self._recipe
        written = str(self._folder)
        if recipe.type == "adapter":
            assert recipe.adapter is not None
            model = models.load_model(recipe.model, "float32")
            adapter = recipe.adapter.model_copy(update={"location": written})
            return with_adapter(model, adapter, recipe.model, merge=False)
        return models.load_model(recipe.model.model_copy(update={"location": written}), "float32")


def _needed(recipe: ExportRecipe, own: str, dtype: Dtype | None) -> int:
    """Bytes that the folder will take, judged by those of what it is made of."""
    if dtype is None:
        assert recipe.adapter is not None
        weights = [Path(recipe.adapter.location) / WEIGHTS]
        factor = 1.0
    else:
        weights = list(Path(recipe.model.location).glob("*.safetensors"))
        factor = BYTES[dtype] / BYTES.get(own, 4)
    return int(sum(file.stat().st_size for file in weights if file.is_file()) * factor) + SMALL_FILES


def _check_room(folder: Path, needed: int) -> None:
    """Errors: `disk_full`, before anything is loaded that could not be written."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ChildFailure(
            "disk_full",
            f"the export needs {gib(needed)} of disk, and {gib(free)} are free",
            "free disk space where it is to stand, or name a destination on another disk",
        )


def _differs(checked: Checked) -> ChildFailure:
    other = checked.prompts - checked.equal
    return ChildFailure(
        "bad_configuration",
        f"reloaded, the export answers {other} of {checked.prompts} questions otherwise than before",
        "export the adapter alone, or name a dtype to accept the difference",
    )


@contextmanager
def _draft(attempt: Attempt, folder: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, unless it was renamed. What dead attempts of the job left goes first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.parent != attempt.folder:
        for old in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
            shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_free(destination: Path, job_id: str) -> None:
    """Nothing stands there, or what an earlier attempt of this very job wrote and could not report."""
    if not destination.exists() or _is_ours(destination, job_id):
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise ChildFailure(
            "bad_configuration",
            f"{destination} is there already, and nothing is overwritten",
            "name a folder that is empty or not there yet",
        )


def _is_ours(destination: Path, job_id: str) -> bool:
    try:
        found = json.loads((destination / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("job_id") == job_id


def _publish(attempt: Attempt, folder: Path, destination: Path) -> str:
    """Rename the folder into place; returns the SHA-256 of its manifest."""
    if attempt.is_stopping:
        raise Stopped
    _check_free(destination, attempt.job.job_id)
    digest = file_sha256(folder / MANIFEST)
    sync_tree(folder)
    if _is_ours(destination, attempt.job.job_id):
        shutil.rmtree(destination)
    folder.replace(destination)
    sync_folder(destination.parent)
    return digest
