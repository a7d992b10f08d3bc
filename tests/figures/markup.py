"""Reads HTML as a browser would, for tests of what reached a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "img", "meta", "source"}


@dataclass
class Element:
    """An element with its attributes and the text directly or indirectly inside it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, tag: str, name: str = "") -> list[Element]:
        """Every element below with a tag and, if given, a class, in document order."""
        found = []
        for child in self.children:
            classes = child.attributes.get("class", "").split()
            if child.tag == tag and (not name or name in classes):
                found.append(child)
            found += child.all(tag, name)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read_html(source: str) -> Element:
    """The tree of a fragment or page; fails where an end tag does not match."""
    reader = _Reader()
    reader.feed(source)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is not closed"
    return reader.open[0]
