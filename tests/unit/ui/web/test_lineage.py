"""The lineage as a drawing: whole, readable, and nothing of a name gets out of its place."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from tunebus.ui.web.lineage import HEIGHT, WIDTH, Graph, Node, drawn, shown

HOSTILE = '</text><script>alert("1")</script>'


def graph(adapters: int = 3) -> Graph:
    found = Graph("model/1")
    found.put(Node("model/1", "model", HOSTILE, 0, "/models?id=1"))
    for number in range(adapters):
        node = Node(f"adapter/{number}", "adapter", f"adapter {number}", 3, f"/adapters?id={number}")
        found.put(node, of="model/1", words="adapts")
    return found


def boxes(across: bool) -> list[tuple[float, float]]:
    svg = ElementTree.fromstring(drawn(graph(), across=across))
    assert not [one for one in svg.iter() if one.tag == "script"]
    assert len(list(svg.iter("path"))) == 3
    assert len(list(svg.iter("a"))) == 4
    width = float(svg.attrib["width"])
    found = [(float(one.attrib["x"]), float(one.attrib["y"])) for one in svg.iter("rect")]
    assert all(x >= 0 and x + WIDTH <= width for x, _ in found)
    return found


def test_no_two_boxes_overlap_in_either_shape() -> None:
    for across in (True, False):
        found = boxes(across)
        assert len(found) == 4
        for number, (x, y) in enumerate(found):
            for other_x, other_y in found[:number]:
                assert abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT


def test_the_narrow_shape_fits_a_phone() -> None:
    assert max(x for x, _ in boxes(across=False)) + WIDTH <= 366


def test_what_is_drawn_is_said_in_words_too() -> None:
    words = shown(graph(1))
    assert "adapter 0" in words.split("</svg>")[-1]
    assert "<script" not in words
    assert "svg" not in shown(Graph("model/1", {"model/1": Node("model/1", "model", "alone", 0)}))


def test_an_edge_to_what_is_not_there_is_left_out() -> None:
    found = graph(1)
    found.join("dataset/9", "model/1", "data")
    found.join("model/1", "adapter/0", "adapts")
    assert len(found.edges) == 1
