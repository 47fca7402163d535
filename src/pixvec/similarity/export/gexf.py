"""Links as GEXF 1.2 (gexf.net), Gephi's own format."""

from __future__ import annotations

from typing import BinaryIO

from pixvec.similarity.export.nodes import Nodes, edges
from pixvec.similarity.export.xml_writer import XmlWriter
from pixvec.similarity.links import Links


def write_gexf(links: Links, nodes: Nodes, file: BinaryIO) -> None:
    """Write a directed graph: a node for each row, called by its number, and an edge for each link."""
    root = {"xmlns": "http://www.gexf.net/1.2draft", "version": "1.2"}
    with (
        XmlWriter(file) as xml,
        xml.element("gexf", root),
        xml.element("graph", {"mode": "static", "defaultedgetype": "directed"}),
    ):
        if nodes.names:
            with xml.element("attributes", {"class": "node", "mode": "static"}):
                for place, name in enumerate(nodes.names):
                    xml.leaf("attribute", {"id": str(place), "title": name, "type": "string"})
        with xml.element("nodes"):
            for row, texts in enumerate(nodes.texts(len(links.has_vector))):
                _write_node(xml, row, texts, nodes.names)
        with xml.element("edges"):
            for number, (source, target, weight) in enumerate(edges(links)):
                ends = {"id": str(number), "source": str(source), "target": str(target), "weight": weight}
                xml.leaf("edge", ends)


def _write_node(xml: XmlWriter, row: int, texts: dict[str, str], names: list[str]) -> None:
    label = texts.get(names[0], str(row)) if names else str(row)
    with xml.element("node", {"id": str(row), "label": label}):
        if texts:
            with xml.element("attvalues"):
                for name, text in texts.items():
                    xml.leaf("attvalue", {"for": str(names.index(name)), "value": text})
