"""A page of HTML as a test reads it: without a browser, and strictly."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Element:
    """One element with what stands in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text inside, in order of the elements' ends."""
        return "".join(self.texts)

    def all(self, tag: str, of_class: str | None = None) -> list[Element]:
        """The elements below with this tag, and class."""
        found = []
        for child in self.children:
            if child.tag == tag and (of_class is None or of_class in child.attributes.get("class", "").split()):
                found.append(child)
            found += child.all(tag, of_class)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.texts.append(data)


def read_page(content: str) -> Element:
    """The page, of which this is checked: every element is closed, ids are unique and links lead to one of them, there
    is no script and no handler, nothing comes from elsewhere, the policy for content says so, every figure and table
    has a title, and no control character is left."""
    reader = _Reader()
    reader.feed(content)
    reader.close()
    assert [element.tag for element in reader.open] == ["root"]
    everything = [reader.root, *descendants(reader.root)]
    ids = Counter(e.attributes["id"] for e in everything if "id" in e.attributes)
    assert max(ids.values()) == 1, ids.most_common(3)
    for element in everything:
        assert element.tag not in ("script", "iframe", "object", "embed", "form", "base", "img"), element
        for name, value in element.attributes.items():
            assert not name.startswith("on"), element
            if name in ("href", "src"):
                assert value == "data:," or value.removeprefix("#") in ids, element
            assert value != "url(" or "#" in value
    policies = [e.attributes["content"] for e in everything if "http-equiv" in e.attributes]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert not re.search(r"url\((?!#)|@import|javascript:", content)
    for figure in reader.root.all("svg"):
        assert figure.all("title")
        assert figure.attributes["aria-label"]
    for table in reader.root.all("table"):
        assert table.all("caption")[0].text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]", content)
    return reader.root


def descendants(element: Element) -> list[Element]:
    """All elements below."""
    return [e for child in element.children for e in [child, *descendants(child)]]
