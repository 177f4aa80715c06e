"""The walk over a graph that is made up here, so that what must be found is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.lineage.walk import walk
from tasks.model.lineage import Direction, Edge, Key, Kind, LeftOut, Link, Neighbour
from tasks.report.lineage import tree

#: kinds in an order in which data goes; an edge leads from one to a later one
_ORDER: tuple[Kind, ...] = ("log_file", "request", "sample", "eval_set", "run")
_LINKS = [
    Link(source, target, f"{source} to {target}")
    for place, source in enumerate(_ORDER)
    for target in _ORDER[place + 1 :]
]
_HISTORY = Link("eval_set", "eval_set", "was replaced by", is_followed=False)


class Graph:
    """Pairs by link; counts how often it is asked."""

    def __init__(self, pairs: Mapping[Link, Sequence[tuple[str, str]]]) -> None:
        self.pairs = pairs
        self.num_asked = 0

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self.pairs)

    def neighbours(
        self, link: Link, direction: Direction, ids: Sequence[str], limit: int | None
    ) -> Iterator[Neighbour]:
        self.num_asked += 1
        ways = [pair if direction == "down" else pair[::-1] for pair in self.pairs[link]]
        for near in ids:
            found = sorted(far for start, far in ways if start == near)
            for far in found[:limit]:
                yield Neighbour(near, far, "", len(found))

    def describe(self, kind: Kind, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        return {}


def _edges(graph: Graph) -> set[Edge]:
    return {
        Edge(Key(link.source, one), Key(link.target, other), link.relation)
        for link, pairs in graph.pairs.items()
        for one, other in pairs
    }


def _reachable(edges: set[Edge], root: Key, direction: Direction) -> set[Edge]:
    """By asking every edge again until nothing new is reached."""
    keys, found = {root}, set()
    while new := {e for e in edges - found if e.ends(direction)[0] in keys}:
        found |= new
        keys |= {edge.ends(direction)[1] for edge in new}
    return found


@st.composite
def _graphs(draw: st.DrawFn) -> Graph:
    names = st.sampled_from("abcd")
    return Graph({
        link: sorted(draw(st.sets(st.tuples(names, names), max_size=5))) for link in _LINKS
    })  # fmt: skip


@given(_graphs(), st.sampled_from(_ORDER), st.sampled_from("abcd"))
def test_a_walk_finds_all_that_can_be_reached_and_what_is_found_down_is_found_up(
    graph: Graph, kind: Kind, name: str
):
    root = Key(kind, name)
    down = walk(graph, root, "down")
    assert set(down.edges) == _reachable(_edges(graph), root, "down")
    assert len(down.edges) == len(set(down.edges))
    for edge in down.edges:
        assert edge in walk(graph, edge.target, "up", depth=1).edges
        assert edge in walk(graph, root, "down").edges
    for edge in walk(graph, root, "up").edges:
        assert edge in walk(graph, edge.source, "down", depth=1).edges


@given(_graphs(), st.sampled_from("abcd"))
def test_what_is_shown_and_what_is_left_out_are_all(graph: Graph, name: str):
    whole = walk(graph, Key("log_file", name), "down", depth=1)
    cut = walk(graph, Key("log_file", name), "down", depth=1, limits=(1,))
    shown = len(cut.edges) + sum(one.number for one in cut.left_out)
    assert shown == len(whole.edges)


def test_limits_hold_level_by_level_and_say_what_they_leave_out():
    names = [f"r{number}" for number in range(12)]
    graph = Graph({
        Link("log_file", "request", "holds"): [("log", name) for name in names],
        Link("request", "sample", "became"): [
            (name, f"{name}.{n}") for name in names for n in range(4)
        ],
    })  # fmt: skip
    found = walk(graph, Key("log_file", "log"), "down", limits=(5, 2))
    assert found.left_out[0] == LeftOut(Key("log_file", "log"), "request", "holds", 7)
    assert {one.number for one in found.left_out[1:]} == {2}
    assert len(found.left_out) == 6
    assert len(found.edges) == 5 + 5 * 2


@pytest.mark.parametrize(("depth", "kinds"), [
    (1, {"log_file", "request"}), (2, {"log_file", "request", "sample"}),
    (None, {"log_file", "request", "sample", "run"}),
])  # fmt: skip
def test_depth_is_a_number_of_levels(depth: int | None, kinds: set[str]):
    graph = Graph({
        Link("log_file", "request", "holds"): [("a", "b")],
        Link("request", "sample", "became"): [("b", "c")],
        Link("sample", "run", "in"): [("c", "d")],
    })  # fmt: skip
    found = walk(graph, Key("log_file", "a"), "down", depth=depth)
    assert {key.kind for key in found.nodes} == kinds


def test_a_history_is_told_one_step_far():
    graph = Graph({
        _HISTORY: [("s1", "s2"), ("s2", "s3"), ("s3", "s4")],
        Link("eval_set", "run", "was asked in"): [(f"s{n}", f"run{n}") for n in range(1, 5)],
    })  # fmt: skip
    found = walk(graph, Key("eval_set", "s1"), "down")
    assert {key.id for key in found.nodes} == {"s1", "s2", "run1"}


def test_a_level_is_asked_once_a_link_however_many_things_are_on_it():
    def asked(number: int) -> int:
        names = [f"r{n}" for n in range(number)]
        graph = Graph({
            Link("log_file", "request", "holds"): [("log", name) for name in names],
            Link("request", "sample", "became"): [(name, name) for name in names],
        })  # fmt: skip
        walk(graph, Key("log_file", "log"), "down")
        return graph.num_asked

    assert asked(2) == asked(200) == 2


def test_the_tree_tells_a_thing_whole_once():
    graph = Graph({
        Link("log_file", "request", "holds"): [("log", "a"), ("log", "b")],
        Link("request", "sample", "became"): [("a", "s"), ("b", "s")],
        Link("sample", "run", "in"): [("s", "r")],
    })  # fmt: skip
    drawn = tree(walk(graph, Key("log_file", "log"), "down"))
    first, second = (branch.branches[0] for branch in drawn.branches)
    assert first.text.startswith("sample s")
    assert [run.text.split(" · ")[0] for run in first.branches] == ["run r"]
    assert second.text.endswith("(told elsewhere)")
    assert second.branches == ()
