"""Where an adapter or a model comes from and what came of it, as a graph drawn on the server and as a list of words."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tunebus.contracts.errors import Code, TunebusError
from tunebus.ui.web.job.names import job_name
from tunebus.ui.web.listing import address
from tunebus.ui.web.markup import Markup, cut, join, tag
from tunebus.ui.web.studio import Document, Studio
from tunebus.ui.web.words import phrase, say

NEWEST = 4  # of what there may be many of
WIDTH, HEIGHT = 176, 46
GAP, STEP = 12, 44
NARROW = 2  # nodes beside each other where the screen is narrow
LETTERS = 18


@dataclass(frozen=True)
class Node:
    """One thing. `layer` says how far from the beginning it stands; without `href` it is gone, or a mere count."""

    key: str
    kind: str
    label: str
    layer: int
    href: str = ""
    detail: str = ""


@dataclass
class Graph:
    """Nodes by key, and who came of whom: (from, to, a key of the words)."""

    current: str = ""
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)

    def put(self, node: Node, *, of: str = "", words: str = "") -> None:
        self.nodes.setdefault(node.key, node)
        if of:
            self.join(of, node.key, words)

    def join(self, before: str, after: str, words: str) -> None:
        if before in self.nodes and after in self.nodes and (before, after, words) not in self.edges:
            self.edges.append((before, after, words))


async def made_by(studio: Studio, made: Document) -> Document | None:
    """The training that made an adapter or a model; None where none did, or where it was removed."""
    if not made["fine_tuning_job_id"]:
        return None
    try:
        return await studio.ask("GetFineTuningJob", id=made["fine_tuning_job_id"])
    except TunebusError as error:
        if error.problem.code != Code.NOT_FOUND:
            raise
        return None


async def of_adapter(studio: Studio, adapter: Document) -> Graph:
    """Its base, its training with data and checkpoints, what scored it and what it was exported as."""
    graph = Graph(f"adapter/{adapter['id']}")
    base = _model_node(adapter["model_id"], adapter["model_name"], 0, gone="model_id" in adapter.get("removed", ()))
    graph.put(base)
    job = await _training(studio, graph, adapter)
    graph.put(_adapter_node(adapter, 3))
    if job is not None:
        graph.join(_last_of_training(graph, job), graph.current, "made")
    else:
        graph.join(base.key, graph.current, "adapts")
    await _consequences(studio, graph, adapter_id=adapter["id"])
    return graph


async def of_model(studio: Studio, model: Document) -> Graph:
    """The training that made it, if one did, its adapters, what scored it and what it was exported as."""
    graph = Graph(f"model/{model['id']}")
    job = await _training(studio, graph, model)
    graph.put(_model_node(model["id"], model["name"], 3 if job else 0))
    if job is not None:
        graph.join(_last_of_training(graph, job), graph.current, "made")
    adapters = list(reversed(await studio.items("ListAdapters", model_id=model["id"])))
    for adapter in adapters[:NEWEST]:
        graph.put(_adapter_node(adapter, 3 if not job else 4), of=graph.current, words="adapts")
    if len(adapters) > NEWEST:
        more = say("lineage.more", count=len(adapters) - NEWEST)
        node = Node("more/adapters", "adapter", more, 4 if job else 3, address("/adapters", {"model": model["name"]}))
        graph.put(node, of=graph.current, words="adapts")
    await _consequences(studio, graph, model_id=model["id"])
    return graph


def shown(graph: Graph) -> Markup:
    """The graph in both shapes, of which the screen's width chooses one, and in words."""
    if not graph.edges:
        return tag("p", say("lineage.alone"), kind="tb-empty")
    lines = [
        tag("li", phrase(f"lineage.said.{words}", one=_named(graph.nodes[one]), other=_named(graph.nodes[other])))
        for one, other, words in graph.edges
    ]
    as_words = tag("details", tag("summary", say("lineage.as_words")), tag("ul", *lines), kind="tb-lineage-words")
    return join(
        [
            tag("div", drawn(graph, across=True), kind="tb-lineage tb-lineage-wide"),
            tag("div", drawn(graph, across=False), kind="tb-lineage tb-lineage-narrow"),
            as_words,
        ]
    )


def drawn(graph: Graph, *, across: bool) -> Markup:
    """An inline SVG: layers from left to right, or from top to bottom for narrow screens."""
    layers = [
        [node for node in graph.nodes.values() if node.layer == layer]
        for layer in sorted({node.layer for node in graph.nodes.values()})
    ]
    places = _across(layers) if across else _down(layers)
    width = max(x for x, _ in places.values()) + WIDTH + 2
    height = max(y for _, y in places.values()) + HEIGHT + 2
    lines = [_line(places[one], places[other], across=across) for one, other, _ in graph.edges]
    boxes = [_box(node, places[node.key], current=node.key == graph.current) for node in graph.nodes.values()]
    return tag(
        "svg",
        *lines,
        *boxes,
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        role="group",
        aria_label=say("lineage.label"),
    )


def _across(layers: Sequence[Sequence[Node]]) -> dict[str, tuple[int, int]]:
    tallest = max(len(layer) for layer in layers)
    whole = tallest * (HEIGHT + GAP) - GAP
    places = {}
    for column, layer in enumerate(layers):
        begin = (whole - (len(layer) * (HEIGHT + GAP) - GAP)) // 2
        for row, node in enumerate(layer):
            places[node.key] = (1 + column * (WIDTH + STEP), 1 + begin + row * (HEIGHT + GAP))
    return places


def _down(layers: Sequence[Sequence[Node]]) -> dict[str, tuple[int, int]]:
    places = {}
    y = 1
    for layer in layers:
        for begin in range(0, len(layer), NARROW):
            line = layer[begin : begin + NARROW]
            left = (NARROW - len(line)) * (WIDTH + GAP) // 2
            for column, node in enumerate(line):
                places[node.key] = (1 + left + column * (WIDTH + GAP), y)
            y += HEIGHT + GAP
        y += STEP // 2
    return places


def _line(one: tuple[int, int], other: tuple[int, int], *, across: bool) -> Markup:
    if across:
        x1, y1, x2, y2 = one[0] + WIDTH, one[1] + HEIGHT // 2, other[0], other[1] + HEIGHT // 2
        middle = (x1 + x2) // 2
        path = f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
    else:
        x1, y1, x2, y2 = one[0] + WIDTH // 2, one[1] + HEIGHT, other[0] + WIDTH // 2, other[1]
        middle = (y1 + y2) // 2
        path = f"M{x1} {y1}C{x1} {middle} {x2} {middle} {x2} {y2}"
    return tag("path", d=path, kind="tb-lineage-line")


def _box(node: Node, place: tuple[int, int], *, current: bool) -> Markup:
    x, y = place
    kind = say(f"lineage.kind.{node.kind}")
    above = f"{kind} · {node.detail}" if node.detail else kind
    parts = [
        tag("title", f"{kind}: {node.label}"),
        tag("rect", x=str(x), y=str(y), width=str(WIDTH), height=str(HEIGHT), rx="8"),
        tag("text", cut(above, LETTERS + 6), x=str(x + 11), y=str(y + 18), kind="tb-lineage-kind"),
        tag("text", cut(node.label, LETTERS), x=str(x + 11), y=str(y + 36), kind="tb-lineage-name"),
    ]
    look = f"tb-lineage-node tb-lineage-{node.kind}{' tb-lineage-current' if current else ''}"
    if not node.href:
        return tag("g", *parts, kind=look)
    here = {"aria_current": "true"} if current else {}
    return tag("a", *parts, kind=look, href=node.href, aria_label=f"{kind}: {node.label}", **here)


def _named(node: Node) -> Markup:
    words = f"{say(f'lineage.kind.{node.kind}')} {node.label}"
    return tag("a", words, href=node.href) if node.href else tag("span", words)


async def _training(studio: Studio, graph: Graph, made: Document) -> Document | None:
    """The job with what went into it and its checkpoints; None where there is none."""
    job = await made_by(studio, made)
    if job is None:
        return None
    gone = job.get("removed", ())
    graph.put(_model_node(job["base_model_id"], job["base_model_name"], 0, gone="base_model_id" in gone))
    if job["dataset_id"]:
        href = "" if "dataset_id" in gone else address("/datasets", {"id": job["dataset_id"]})
        graph.put(Node(f"dataset/{job['dataset_id']}", "dataset", str(job["dataset_name"]), 0, href))
    node = _job_node(job, 1)
    graph.put(node, of=f"model/{job['base_model_id']}", words="base")
    graph.join(f"dataset/{job['dataset_id']}", node.key, "data")
    if origin := job.get("origin"):
        with contextlib.suppress(TunebusError):
            earlier = await studio.ask("GetFineTuningJob", id=origin["job_id"])
            graph.put(_job_node(earlier, 0))
            graph.join(f"job/{earlier['id']}", node.key, "origin")
    for point in _newest_checkpoints(job):
        loss = point["eval_loss"] if point["eval_loss"] is not None else point["loss"]
        detail = "" if loss is None else say("lineage.loss", loss=f"{loss:.3g}")
        href = address("/jobs", {"id": job["id"], "tab": "checkpoints"})
        label = say("lineage.step", step=point["step"])
        graph.put(Node(_point_key(job, point), "checkpoint", label, 2, href, detail), of=node.key, words="saved")
    return job


def _newest_checkpoints(job: Document) -> list[Document]:
    return list(job["checkpoints"][-2:])


def _last_of_training(graph: Graph, job: Document) -> str:
    """What the result was made from: the newest checkpoint where it stands at the last step, else the job."""
    points = _newest_checkpoints(job)
    if points and points[-1]["step"] == job["step"]:
        return _point_key(job, points[-1])
    return f"job/{job['id']}"


def _point_key(job: Document, point: Document) -> str:
    return f"checkpoint/{job['id']}/{point['attempt']}/{point['step']}"


async def _consequences(studio: Studio, graph: Graph, **of: Any) -> None:
    """What was scored, tried and exported, the newest of each."""
    last = max(node.layer for node in graph.nodes.values()) + 1
    for kind, query, words in (
        ("evaluation", "ListEvaluationJobs", "scored"),
        ("export", "ListExportJobs", "exported"),
    ):
        only = {"typed": False} if kind == "evaluation" else {}
        page = await studio.ask(query, limit=NEWEST + 1, order="newest", **of, **only)
        jobs = [job for job in page["items"] if not of.get("model_id") or not job["adapter_id"]]
        for job in jobs[:NEWEST]:
            if kind == "evaluation":
                href, label = address("/evaluate", {"id": job["parent_id"]}), str(job["dataset_name"] or job_name(job))
            else:
                href, label = address("/jobs", {"id": job["id"]}), job["type"]
            graph.put(Node(f"{kind}/{job['id']}", kind, label, last, href, job["state"]), of=graph.current, words=words)


def _model_node(model_id: str, name: str | None, layer: int, *, gone: bool = False) -> Node:
    return Node(
        f"model/{model_id}", "model", name or model_id, layer, "" if gone else address("/models", {"id": model_id})
    )


def _adapter_node(adapter: Document, layer: int) -> Node:
    return Node(
        f"adapter/{adapter['id']}", "adapter", adapter["name"], layer, address("/adapters", {"id": adapter["id"]})
    )


def _job_node(job: Document, layer: int) -> Node:
    return Node(f"job/{job['id']}", "job", job_name(job), layer, address("/jobs", {"id": job["id"]}), job["state"])
