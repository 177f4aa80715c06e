"""The chain that a verdict hangs on, and its first link that is another today. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tasks.receipts.differences import first_difference

LinkName = Literal[
    "log", "rule", "set", "sample", "prompt", "weights", "tokenizer", "engine", "package",
    "processor", "seed", "threads", "policy", "evidence", "record",
]  # fmt: skip
#: `moved`: another one, as was asked for; `unknown`: nothing was recorded, or it cannot be seen
State = Literal["same", "differs", "gone", "moved", "unknown"]

#: without them nothing can be executed
_NEEDED: tuple[LinkName, ...] = ("sample", "weights", "tokenizer")


@dataclass(frozen=True, slots=True)
class Link:
    """`of`: the file, release or key that it is; `then` and `now` in words or digests."""

    name: LinkName
    of: str
    state: State
    then: str = ""
    now: str = ""

    def __str__(self) -> str:
        what = f"{self.name} ({self.of})" if self.of else self.name
        if self.state == "gone":
            return f"{what} is gone"
        return f"{what}: {self.then} → {self.now}" if self.state in ("differs", "moved") else what

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Chain:
    """In the order in which one rests on the other."""

    links: tuple[Link, ...]

    @property
    def first(self) -> Link | None:
        """The first that is another today."""
        return next((link for link in self.links if link.state == "differs"), None)

    @property
    def moved(self) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.state == "moved")

    @property
    def gone(self) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.state == "gone")

    @property
    def unknown(self) -> tuple[Link, ...]:
        return tuple(link for link in self.links if link.state == "unknown")

    @property
    def missing(self) -> Link | None:
        """What has to be there and is not."""
        return next((link for link in self.gone if link.name in _NEEDED), None)


def held(name: LinkName, of: str, then: Any, now: Any) -> Link:
    """One value then and now; None then: not recorded, None now: gone."""
    if then is None:
        return Link(name, of, "unknown", "", _text(now))
    if now is None:
        return Link(name, of, "gone", _text(then))
    is_same = first_difference(then, now) is None
    return Link(name, of, "same" if is_same else "differs", *_texts(then, now))


def held_each(
    name: LinkName, then: Mapping[str, Any], now: Mapping[str, Any], of: str = ""
) -> Iterator[Link]:
    """Key by key; what is on one side alone differs. One link where all are the same."""
    links = [
        Link(name, f"{of}{key}", "differs", *_texts(then.get(key), now.get(key)))
        for key in sorted(then.keys() | now.keys())
        if first_difference(then.get(key), now.get(key)) is not None
    ]
    yield from links or [Link(name, of.rstrip(": ."), "same")]


#: of a model's files, those that do not make the tokenizer
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".gguf")
_CONFIGURATION = ("config.json", "generation_config.json")


def is_of_weights(file: str) -> bool:
    return file.endswith(_WEIGHTS) or file in _CONFIGURATION


def model_links(
    of: str, then: str, now: str | None, files: tuple[Mapping[str, str], Mapping[str, str]]
) -> Iterator[Link]:
    """`then`, `now`: digests of the whole; `files`: of each file, then and now. A file that holds
    weights and tokenizer counts as weights, and so does what was not recorded file by file."""
    if now is None or now == then:
        yield held("weights", of, then, now)
        yield held("tokenizer", of, then, now)
        return
    changed = [name for name in sorted(files[0].keys() | files[1].keys())
               if files[0].get(name) != files[1].get(name)]  # fmt: skip
    if not files[0] or not changed:
        yield Link("weights", of, "differs", short(then), short(now))
        yield Link("tokenizer", of, "unknown")
        return
    parts: tuple[tuple[LinkName, bool], ...] = (("weights", True), ("tokenizer", False))
    for name, own in parts:
        found = next((file for file in changed if is_of_weights(file) is own), None)
        if found is None:
            yield Link(name, of, "same")
        else:
            yield Link(
                name, f"{of}: {found}", "differs",
                short(files[0].get(found, "nothing")), short(files[1].get(found, "nothing")),
            )  # fmt: skip


#: key of what is recorded of an engine → the link that it belongs to
_ENGINE: Mapping[str, LinkName] = {
    "dtype": "engine", "quantization": "engine", "batch_invariant": "engine",
    "code": "package", "versions": "package",
    "device": "processor", "kernels": "processor", "processor": "processor", "gpu": "processor",
    "num_threads": "threads",
}  # fmt: skip


def engine_links(
    of: str, then: Mapping[str, Any], now: Mapping[str, Any], *, is_moved: bool
) -> Iterator[Link]:
    """What was recorded of the engine that answered, and this one. `is_moved`: another device is
    asked for, so what comes of that is no difference of the record."""
    for key, name in _ENGINE.items():
        was, is_now = then.get(key), now.get(key)
        if key not in then:
            yield Link(name, f"{of}: {key}", "unknown", "", _text(is_now))
        elif is_moved and name in ("engine", "processor", "threads") and was != is_now:
            yield Link(name, f"{of}: {key}", "moved", *_texts(was, is_now))
        elif key == "versions":
            yield from _versions(was or {}, is_now or {}, is_moved=is_moved)
        else:
            state: State = "same" if was == is_now else "differs"
            yield Link(name, f"{of}: {key}", state, *_texts(was, is_now))


def _versions(
    was: Mapping[str, str], is_now: Mapping[str, str], *, is_moved: bool
) -> Iterator[Link]:
    """Of a GPU's compiler nothing is known where there is none."""
    names = was.keys() & is_now.keys() if is_moved else was.keys() | is_now.keys()
    then, now = ({name: one.get(name) for name in names} for one in (was, is_now))
    yield from held_each("package", then, now)


def in_order(links: Iterable[Link]) -> Chain:
    """By the order of LinkName; within one as they come, each once."""
    order: Sequence[str] = get_args(LinkName)
    return Chain(tuple(sorted(dict.fromkeys(links), key=lambda link: order.index(link.name))))


def short(digest: str) -> str:
    return digest[:16]


_MAX_CHARS = 80


def _texts(then: Any, now: Any) -> tuple[str, str]:
    """Both, and of what is long where it begins to differ."""
    both = _whole(then), _whole(now)
    pairs = zip(*both, strict=False)
    same = next((place for place, (a, b) in enumerate(pairs) if a != b), min(map(len, both)))
    start = max(0, same - _MAX_CHARS // 2) if max(map(len, both)) > _MAX_CHARS else 0
    first, second = (_cut(text, start) for text in both)
    return first, second


def _cut(text: str, start: int) -> str:
    end = start + _MAX_CHARS
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"


def _text(value: Any) -> str:
    return _cut(_whole(value), 0)


def _whole(value: Any) -> str:
    """In one line; a digest by its beginning, None as nothing."""
    if value is None:
        return "nothing"
    text = " ".join(str(value).split())
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return short(text) if is_digest else text
