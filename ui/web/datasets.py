"""Datasets: what there is, adding by path or upload, and a look inside one by its address (`/datasets?id=…`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from tunebus.contracts.errors import Code, Problem, TunebusError, combine, fail
from tunebus.ui.web.markup import (
    Markup,
    banner,
    bytes_text,
    empty,
    join,
    link,
    moment,
    pairs,
    section,
    table,
    tag,
    text,
)
from tunebus.ui.web.page import Arguments, Page, Pressed, html, part, press, when_changed
from tunebus.ui.web.studio import DATASET_SUFFIXES, Document, Studio

PREVIEW_ROWS = 10


def build(studio: Studio, blocks: Any) -> None:
    html(tag("h1", "Datasets"))
    part("dataset")
    part("datasets")
    html(tag("section", tag("h2", "Add a dataset"), kind="tb-section tb-form-head"))
    notice = html(elem_id="tb-notice")
    with gr.Tabs(elem_classes="tb-panel"):
        with gr.Tab("Upload a file"):
            upload = gr.File(
                label=f"A {', '.join(DATASET_SUFFIXES)} file of at most {studio.settings.ui_upload_limit_mb} MB",
                file_types=list(DATASET_SUFFIXES),
                height=140,
                elem_id="tb-upload",
            )
            with gr.Row():
                uploaded_name = gr.Textbox(label="Name", max_length=200, elem_id="tb-upload-name")
                uploaded_words = gr.Textbox(label="Description (optional)", elem_id="tb-upload-description")
            add_upload = gr.Button("Add the uploaded file", variant="primary", elem_id="tb-add-upload")
        with gr.Tab("By path"):
            path = gr.Textbox(
                label="Path on the studio's machine",
                info=f"inside {' or '.join(str(root) for root in studio.settings.roots)}",
                elem_id="tb-path",
            )
            with gr.Row():
                name = gr.Textbox(label="Name", max_length=200, elem_id="tb-name")
                words = gr.Textbox(label="Description (optional)", elem_id="tb-description")
            add_path = gr.Button("Add the file", variant="primary", elem_id="tb-add-path")

    async def named(file: object, given: str) -> Sequence[Any]:
        return [given or Path(_upload_of(file)[1]).stem] if file else [gr.skip()]

    async def adds_upload(arguments: Arguments, file: object, given: str, description: str) -> Pressed:
        if not file:
            raise fail(Code.INVALID, "choose a file first", param="file")
        where, original = _upload_of(file)
        if not (given or "").strip():
            raise fail(Code.INVALID, "is required", param="name", hint="datasets are found by their name")
        uri = await studio.keep_upload(Path(where), original)
        return await _add(studio, given, uri, description)

    async def adds_path(arguments: Arguments, given_path: str, given: str, description: str) -> Pressed:
        missing = [
            Problem(code=Code.INVALID, message="is required", param=param)
            for param, value in (("path", given_path), ("name", given))
            if not value.strip()
        ]
        if missing:
            raise TunebusError(combine(missing))
        return await _add(studio, given, given_path.strip(), description)

    when_changed(upload, named, [upload, uploaded_name], [uploaded_name], raw=True)
    press(add_upload, adds_upload, notice=notice, inputs=[upload, uploaded_name, uploaded_words], raw=True)
    press(add_path, adds_path, notice=notice, inputs=[path, name, words])


async def _add(studio: Studio, name: str, path: str, description: str) -> Pressed:
    outcome = await studio.send("AddDataset", {"name": name, "path": path, "description": description})
    return Pressed(banner("The dataset is added.", "success"), goto=f"/datasets?id={outcome.id}")


def _upload_of(file: object) -> tuple[str, str]:
    """(path, original name) of what Gradio hands over for an uploaded file."""
    assert isinstance(file, dict)
    return str(file["path"]), str(file.get("orig_name") or Path(file["path"]).name)


async def read(studio: Studio, arguments: Arguments) -> Mapping[str, Markup]:
    wanted = arguments.get("id", "")[:200]
    shown = {"datasets": _list(await studio.items("ListDatasets"), wanted)}
    if wanted:
        shown["dataset"] = tag("div", data_load=f"/fragment/dataset?id={quote(wanted)}")
    return shown


async def preview(studio: Studio, arguments: Arguments) -> Markup:
    """One dataset looked into; the registry reads its file."""
    wanted = arguments.get("id", "")[:200]
    dataset = await studio.ask("GetDataset", id=wanted)
    prompts = (await studio.ask("ListPrompts", dataset_id=wanted, limit=1))["items"]
    asked = {"id": dataset["id"], "limit": PREVIEW_ROWS}
    if prompts:
        asked["prompt_id"] = prompts[0]["id"]
    seen = await studio.over_bus("PreviewDataset", **asked)
    return _preview(dataset, seen, prompts[0]["name"] if prompts else None)


def _list(found: Sequence[Document], current: str | None) -> Markup:
    if not found:
        return empty("There are no datasets yet: upload a file of rows below, or name one by its path.")
    rows = [
        (
            link(one["name"], "/datasets", id=one["id"]),
            one["type"],
            f"{one['rows']:,}",
            bytes_text(one["bytes"]),
            ", ".join(one["features"]),
            moment(one["added_at"]),
            link("Train on it", "/train", dataset=one["id"]),
        )
        for one in reversed(found)
    ]
    heads = ["Name", "Type", "Rows", "Size", "Columns", "Added", ""]
    found_table = table(heads, rows, kind="tb-stack")
    return section("All datasets", found_table) if current else found_table


def _preview(dataset: Document, seen: Document, prompt: str | None) -> Markup:
    facts = pairs(
        [
            ("Rows", f"{seen['row_count']:,}"),
            ("Type", f"{dataset['type']}, {bytes_text(dataset['bytes'])}"),
            ("Added", moment(dataset["added_at"])),
            ("SHA-256", tag("code", dataset["sha256"][:16] + "…", title=dataset["sha256"])),
        ]
    )
    columns = table(
        ["Column", "Empty", "Shortest", "Mean", "Longest"],
        [
            (one["name"], one["nulls"], one["min_length"], one["mean_length"], one["max_length"])
            for one in seen["columns"]
        ],
        kind="tb-columns",
    )
    heads = list(dict.fromkeys(name for row in seen["rows"] for name in row))
    rows = table(heads, [[_cell(row.get(name)) for name in heads] for row in seen["rows"]], kind="tb-wrap")
    parts = [
        tag(
            "div",
            tag("h2", dataset["name"]),
            link("Train on it", "/train", dataset=dataset["id"]),
            kind="tb-title-row",
        ),
        tag("p", dataset["description"]) if dataset["description"] else Markup(""),
        join(banner(words) for words in dataset["warnings"]),
        facts,
        tag("h3", "Columns"),
        tag("p", "Lengths in characters.", kind="tb-small"),
        columns,
        _rendered(seen, prompt),
        tag("h3", f"First {len(seen['rows'])} rows"),
        rows,
    ]
    return tag("section", *parts, kind="tb-section tb-panel")


def _rendered(seen: Document, prompt: str | None) -> Markup:
    """The first row as a model will see it."""
    if not seen["rendered"]:
        return Markup("")
    first = seen["rendered"][0]
    how = f"through the prompt {prompt}" if prompt else "through templates made from the columns' names"
    return join(
        [
            tag("h3", "As the model sees it"),
            tag("p", f"The first row, {how}; only the answer is learnt.", kind="tb-small"),
            tag(
                "div", tag("pre", first["prompt"]), tag("pre", first["completion"], kind="tb-answer"), kind="tb-example"
            ),
        ]
    )


def _cell(value: Any) -> Markup:
    return text(value if isinstance(value, str | int | float | bool) or value is None else repr(value))


PAGE = Page("datasets", "datasets.title", build, read, group="library", fragments={"dataset": preview})
