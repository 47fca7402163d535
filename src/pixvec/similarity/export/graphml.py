"""Links as GraphML (graphml.graphdrawing.org), which Gephi, Cytoscape, yEd, networkx and igraph read."""

from __future__ import annotations

from typing import BinaryIO

from pixvec.similarity.export.nodes import Nodes, edges
from pixvec.similarity.export.xml_writer import XmlWriter
from pixvec.similarity.links import Links


def write_graphml(links: Links, nodes: Nodes, file: BinaryIO) -> None:
    """Write a directed graph: a node for each row, called by its number, and an edge for each link."""
    keys = {name: f"n{place}" for place, name in enumerate(nodes.names)}
    with XmlWriter(file) as xml, xml.element("graphml", {"xmlns": "http://graphml.graphdrawing.org/xmlns"}):
        for name, key in keys.items():
            xml.leaf("key", {"id": key, "for": "node", "attr.name": name, "attr.type": "string"})
        if nodes.names and "label" not in keys:
            xml.leaf("key", {"id": "label", "for": "node", "attr.name": "label", "attr.type": "string"})
        xml.leaf("key", {"id": "weight", "for": "edge", "attr.name": "weight", "attr.type": "double"})
        with xml.element("graph", {"edgedefault": "directed"}):
            _write_nodes(xml, links, nodes, keys)
            for source, target, weight in edges(links):
                with xml.element("edge", {"source": str(source), "target": str(target)}):
                    xml.leaf("data", {"key": "weight"}, weight)


def _write_nodes(xml: XmlWriter, links: Links, nodes: Nodes, keys: dict[str, str]) -> None:
    for row, texts in enumerate(nodes.texts(len(links.has_vector))):
        with xml.element("node", {"id": str(row)}):
            for name, text in texts.items():
                xml.leaf("data", {"key": keys[name]}, text)
            if nodes.names and "label" not in keys:
                xml.leaf("data", {"key": "label"}, texts.get(nodes.names[0], str(row)))
