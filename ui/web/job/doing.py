"""What may be done with one job in the state it is in: buttons, and dialogs for what needs more than a press."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tunebus.services.platform.home import SCHEME
from tunebus.ui.web.forms import dialog, labelled, opener
from tunebus.ui.web.job.listing import order_buttons, priority_form
from tunebus.ui.web.job.names import COMMANDS, ENDED, EVALUATION, EXPORT, FINE_TUNING, WAITING, is_imported, job_name
from tunebus.ui.web.listing import option
from tunebus.ui.web.markup import Markup, act, link, tag
from tunebus.ui.web.studio import Document
from tunebus.ui.web.words import phrase, say

TUNABLE = (
    ("learning_rate", "learning_rate", "number"),
    ("num_epochs", "num_train_epochs", "number"),
    ("max_steps", "max_steps", "integer"),
    ("batch_size", "per_device_train_batch_size", "integer"),
    ("gradient_accumulation_steps", "gradient_accumulation_steps", "integer"),
    ("max_length", "max_length", "integer"),
    ("seed", "seed", "integer"),
)
"""What a clone is most often made for: (field of the command, its name in the recipe, how it is read)."""

STEPS = 200
"""So many of the newest checkpoints can be chosen to branch from."""


def actions(job: Document) -> Markup:
    made: list[object] = []
    if job["state"] not in ENDED:
        made += [*_stop(job), *_queue(job)]
        if job["kind"] == FINE_TUNING and job["register_adapter"]:
            made.append(
                act(say("jobs.do.evaluate_later"), "compare_with_base", {"id": job["id"]}, id="tb-compare-later")
            )
    elif job["kind"] == FINE_TUNING and not is_imported(job):
        made += _after_training(job)
    if job["kind"] == EVALUATION:
        comparison = f"/evaluate?{urlencode({'id': job['parent_id']})}"
        made.append(tag("a", say("jobs.do.side_by_side"), href=comparison, kind="tb-button tb-primary"))
    if job["kind"] == EXPORT and job["state"] == "succeeded" and str(job["destination"] or "").startswith(SCHEME):
        files = f"/download/export?{urlencode({'id': job['id']})}"
        made.append(tag("a", say("jobs.do.download"), href=files, kind="tb-button tb-primary", download=""))
    if job["kind"] == FINE_TUNING and not is_imported(job):
        made += _derived(job)
    made += _annotate(job)
    if job["state"] in ENDED:
        made += _remove(job)
    return tag("div", *made, kind="tb-actions tb-doing")


def _stop(job: Document) -> list[object]:
    if job["stop"] == "force":
        return []
    stops, same = f"Stop{COMMANDS[job['kind']]}", {"id": job["id"]}
    force = {} if job["kind"] == EVALUATION else {"force": True}
    choices = tag(
        "div",
        act(
            say("jobs.stop.gracefully"),
            stops,
            same,
            kind="tb-primary",
            done=say("jobs.stop.later"),
            id="tb-stop-gracefully",
        ),
        act(say("jobs.stop.now"), stops, same | force, kind="tb-danger", done=say("jobs.stop.soon"), id="tb-stop-now"),
        tag("button", say("jobs.stop.keep"), id="tb-keep", kind="tb-button", type="button", data_close=""),
        kind="tb-actions",
    )
    words = tag("div", tag("h2", say("jobs.stop.title")), tag("p", _lost(job)), id="tb-stop-words")
    return [
        tag("button", say("jobs.do.stop"), type="button", kind="tb-button", id="tb-stop", data_dialog="tb-stopping"),
        tag("dialog", words, choices, id="tb-stopping", kind="tb-dialog", aria_label=say("jobs.stop.title")),
    ]


def _lost(job: Document) -> str:
    if job["kind"] != FINE_TUNING:
        return say(f"jobs.stop.of_{job['kind']}")
    if job["state"] in WAITING:
        return say("jobs.stop.of_waiting")
    lost = max(0, ((job["progress"] or {}).get("step") or 0) - (job["checkpoint_step"] or 0))
    return say("jobs.stop.of_training", count=lost)


def _queue(job: Document) -> list[object]:
    if job["state"] not in WAITING:
        return []
    made: list[object] = [order_buttons(job, hold=False), priority_form(job, named=True)]
    if job["state"] != "held":
        reason = tag("input", name="reason", id="tb-hold-reason", maxlength="500", autocomplete="off")
        made += _dialog(
            "tb-holding",
            say("jobs.do.hold_for"),
            say("jobs.hold.title", job=job_name(job)),
            "HoldJob",
            {"job_id": job["id"]},
            [labelled("tb-hold-reason", say("jobs.hold.reason"), reason)],
            say("jobs.do.hold"),
            done=say("jobs.done.held"),
        )
    others = tag(
        "input",
        name="depends_on",
        id="tb-depends-on",
        data_as="lines",
        data_keep_empty="",
        value=", ".join(str(other["name"]) for other in job.get("dependencies") or ()),
    )
    made += _dialog(
        "tb-depending",
        say("jobs.do.depend"),
        say("jobs.depend.title", job=job_name(job)),
        "SetJobDependencies",
        {"job_id": job["id"]},
        [
            tag("p", say("jobs.depend.lead"), kind="tb-small"),
            labelled("tb-depends-on", say("jobs.depend.others"), others),
        ],
        say("jobs.depend.do"),
        done=say("jobs.done.noted"),
    )
    return made


def _after_training(job: Document) -> list[object]:
    same = {"id": job["id"]}
    if job["state"] != "succeeded":
        kinds = "" if job["suggestion"] else "tb-primary"
        made: list[object] = []
        if job["checkpoint_step"]:
            words = say("jobs.do.resume", step=f"{job['checkpoint_step']:,}")
            resume = {"done": say("jobs.done.again"), "title": say("jobs.why.resume")}
            made.append(act(words, "ResumeFineTuningJob", same, kind=kinds, **resume))
            kinds = ""
        retry = {"done": say("jobs.done.again"), "title": say("jobs.why.retry")}
        made.append(act(say("jobs.do.retry"), "RetryFineTuningJob", same, kind=kinds, **retry))
        return made
    made = []
    if job.get("adapter_id"):
        made.append(act(say("jobs.do.evaluate"), "compare_with_base", same, kind="tb-primary", id="tb-compare"))
    if job.get("adapter_id"):
        trial = f"/adapters?{urlencode({'id': job['adapter_id'], 'tab': 'try'})}"
        made.append(tag("a", say("jobs.do.try"), href=trial, kind="tb-button"))
    if job.get("adapter_id") or job.get("model_id"):
        made += _export(job)
    return made + _extend(job)


def _derived(job: Document) -> list[object]:
    made = _dialog(
        "tb-cloning",
        say("jobs.do.clone"),
        say("jobs.clone.title", job=job_name(job)),
        "derive_job",
        {"id": job["id"], "by": "clone"},
        [
            tag("p", phrase("jobs.clone.lead", form=_form_of(job)), kind="tb-small"),
            *_changes(job, "clone"),
        ],
        say("jobs.clone.do"),
        goto="/jobs?id={id}",
        why=say("jobs.why.clone"),
    )
    steps = sorted({point["step"] for point in job["checkpoints"]}, reverse=True)[:STEPS]
    if steps:
        options = [option(str(step), say("jobs.branch.step_of", step=f"{step:,}")) for step in steps]
        choose = tag("select", *options, name="step", data_as="integer", id="tb-branch-step")
        made += _dialog(
            "tb-branching",
            say("jobs.do.branch"),
            say("jobs.branch.title", job=job_name(job)),
            "derive_job",
            {"id": job["id"], "by": "branch"},
            [
                tag("p", say("jobs.branch.lead"), kind="tb-small"),
                labelled("tb-branch-step", say("jobs.branch.step"), choose),
                *_changes(job, "branch"),
            ],
            say("jobs.branch.do"),
            goto="/jobs?id={id}",
            why=say("jobs.why.branch"),
        )
    if job["total_steps"] and job["state"] in ENDED:
        made.append(
            act(
                say("jobs.do.rerun"),
                "RerunFineTuningJob",
                {"id": job["id"]},
                confirm=say("jobs.rerun.sure"),
                done=say("jobs.done.rerun"),
                goto="/jobs?id={id}",
                title=say("jobs.why.rerun"),
            )
        )
    return made


def _form_of(job: Document) -> Markup:
    return link(say("jobs.clone.form"), "/train", clone=str(job["id"]))


def _changes(job: Document, prefix: str) -> list[object]:
    """Fields for what is to be another: what it is now as placeholder, and the difference in words by `jobs.js`."""
    arguments: Mapping[str, Any] = job["recipe"].get("training_arguments") or {}
    rows = []
    for name, recorded, kind in TUNABLE:
        now = arguments.get(recorded)
        shown = "" if now is None else f"{now:g}" if isinstance(now, float) else str(now)
        field = tag(
            "input",
            name=f"changes.{name}",
            id=f"tb-{prefix}-{name}",
            inputmode="decimal",
            data_as=kind,
            data_was=shown or say("jobs.clone.chosen"),
            placeholder=shown or say("jobs.clone.chosen"),
            autocomplete="off",
        )
        rows.append(labelled(f"tb-{prefix}-{name}", say(f"jobs.setting.{name}"), field))
    more = tag(
        "textarea",
        name="more",
        id=f"tb-{prefix}-more",
        rows="2",
        data_as="json",
        spellcheck="false",
        placeholder='{"lora": {"r": 32}}',
    )
    name = tag(
        "input", name="adapter_name", id=f"tb-{prefix}-name", maxlength="100", placeholder=say("jobs.clone.free")
    )
    return [
        labelled(f"tb-{prefix}-name", say("jobs.clone.name"), name),
        tag("div", *rows, kind="tb-job-fields"),
        labelled(f"tb-{prefix}-more", say("jobs.clone.more"), more),
        tag("p", say("jobs.clone.same"), kind="tb-small", data_keep="", data_difference="", aria_live="polite"),
    ]


def _extend(job: Document) -> list[object]:
    epochs = tag("input", name="num_epochs", id="tb-extend-epochs", data_as="number", inputmode="decimal", value="1")
    steps = tag("input", name="max_steps", id="tb-extend-steps", data_as="integer", inputmode="numeric")
    name = tag("input", name="adapter_name", id="tb-extend-name", maxlength="100", placeholder=say("jobs.clone.free"))
    return _dialog(
        "tb-extending",
        say("jobs.do.extend"),
        say("jobs.extend.title", job=job_name(job)),
        "ExtendFineTuningJob",
        {"id": job["id"]},
        [
            tag("p", say("jobs.extend.lead"), kind="tb-small"),
            labelled("tb-extend-epochs", say("jobs.extend.epochs"), epochs),
            labelled("tb-extend-steps", say("jobs.extend.steps"), steps),
            labelled("tb-extend-name", say("jobs.clone.name"), name),
        ],
        say("jobs.extend.do"),
        done=say("jobs.done.extended"),
        goto="/jobs?id={id}",
        why=say("jobs.why.extend"),
    )


def _export(job: Document) -> list[object]:
    made = {"adapter_id": job["adapter_id"]} if job.get("adapter_id") else {"model_id": job["model_id"]}
    kinds = ("adapter", "merged", "registry") if job.get("adapter_id") else ("merged", "registry")
    options = [option(kind, say(f"jobs.export.{kind}")) for kind in kinds]
    types = ("auto", "float32", "bfloat16", "float16")
    where = tag("input", name="destination", id="tb-export-where", placeholder=say("jobs.export.where_hint"))
    return _dialog(
        "tb-exporting",
        say("jobs.do.export"),
        say("jobs.export.title", job=job_name(job)),
        "StartExportJob",
        made,
        [
            labelled(
                "tb-export-type", say("jobs.export.type"), tag("select", *options, name="type", id="tb-export-type")
            ),
            labelled("tb-export-where", say("jobs.export.where"), where),
            labelled(
                "tb-export-dtype",
                say("jobs.export.dtype"),
                tag("select", *(option(one, one) for one in types), name="dtype", id="tb-export-dtype"),
            ),
        ],
        say("jobs.export.do"),
        done=say("jobs.done.exporting"),
        goto="/jobs?id={id}",
    )


def _annotate(job: Document) -> list[object]:
    labels = tag(
        "input",
        name="labels",
        id="tb-note-labels",
        data_as="lines",
        data_keep_empty="",
        value=", ".join(job["labels"]),
        placeholder=say("jobs.labels_hint"),
    )
    notes = tag(
        "textarea", job["notes"], name="notes", id="tb-note-text", rows="6", data_keep_empty="", maxlength="10000"
    )
    return _dialog(
        "tb-noting",
        say("jobs.do.note"),
        say("jobs.note.title", job=job_name(job)),
        "annotate_job",
        {"id": job["id"]},
        [
            labelled("tb-note-labels", say("jobs.note.labels"), labels),
            labelled("tb-note-text", say("jobs.note.notes"), notes),
        ],
        say("jobs.note.do"),
        done=say("jobs.done.noted"),
    )


def _remove(job: Document) -> list[object]:
    files = tag(
        "label",
        tag("input", type="checkbox", name="delete_files"),
        " ",
        say("jobs.remove.files"),
    )
    return _dialog(
        "tb-removing",
        say("jobs.do.remove"),
        say("jobs.remove.title", job=job_name(job)),
        f"Remove{COMMANDS[job['kind']]}",
        {"id": job["id"]},
        [
            tag("p", say(f"jobs.remove.{'export' if job['kind'] == EXPORT else 'lead'}")),
            tag("div", files, kind="tb-field"),
        ],
        say("jobs.remove.do"),
        done=say("jobs.done.removed"),
        goto="/jobs",
        kind="tb-danger",
    )


def _dialog(
    name: str,
    button: str,
    title: str,
    action: str,
    values: Mapping[str, Any],
    fields: Sequence[object],
    do: str,
    *,
    done: str = "",
    goto: str = "",
    kind: str = "",
    why: str = "",
) -> list[object]:
    """A button, which tells `why` when it is pointed at, and the dialog with a form that it opens."""
    form = dialog(name, title, fields, action, values, do, done=done, goto=goto, kind=kind or "tb-primary")
    return [opener(button, name, kind, **({"title": why} if why else {})), form]
