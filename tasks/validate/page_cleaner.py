"""HTML made by others, cut down to what is safe and ours to show.

Great Expectations' pages load styles, scripts, fonts and a logo from the web. Rather than list
what to take out, this keeps a short list of elements and attributes and drops the rest, so a new
outside resource in a later version cannot slip through. Pure; standard library only.
"""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_KEPT = _names(
    "div span p h1 h2 h3 h4 h5 h6 table thead tbody tr th td strong em b i code pre ul ol li br a"
)
#: dropped with everything inside
_DROPPED_WHOLE = _names("head script style nav footer form label button iframe object svg template")
_VOID = _names("br hr img input link meta source area base col embed track wbr")
#: blocks of the page that make no sense without its scripts: its side bar, and what it folds away
_DROPPED_CLASSES = frozenset(("collapse", "col-lg-2"))


def clean(html: str) -> str:
    """The kept elements of `html` with only class, id and links within the page."""
    cleaner = _Cleaner()
    cleaner.feed(html)
    cleaner.close()
    return "".join(cleaner.parts)


class _Cleaner(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._open: list[str] = []
        #: open elements inside the one being dropped, that one included; empty: nothing is dropped
        self._dropping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if self._dropping or _is_dropped_whole(tag, values):
            if tag not in _VOID:
                self._dropping.append(tag)
            return
        if tag not in _KEPT:
            return
        self.parts.append(f"<{tag}{_kept_attributes(tag, values)}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropping:
            if tag in self._dropping:
                while self._dropping.pop() != tag:
                    pass
        elif tag in self._open:
            while True:
                last = self._open.pop()
                self.parts.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        if not self._dropping:
            self.parts.append(escape(data) if data.strip() else " ")

    def close(self) -> None:
        super().close()
        self.parts.extend(f"</{tag}>" for tag in reversed(self._open))
        self._open.clear()


def _is_dropped_whole(tag: str, values: dict[str, str]) -> bool:
    return (
        tag in _DROPPED_WHOLE
        or values.get("data-toggle") == "collapse"
        or not _DROPPED_CLASSES.isdisjoint(values.get("class", "").split())
    )


def _kept_attributes(tag: str, values: dict[str, str]) -> str:
    kept = {name: values[name] for name in ("class", "id") if values.get(name)}
    if tag == "a" and values.get("href", "").startswith("#"):
        kept["href"] = values["href"]
    return "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
