from __future__ import annotations

import base64
import gzip

import pytest

from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.records import UnreadableError
from tests.work import Work, assert_linear, counting


def test_scalars_are_plain():
    text = b"a: 1\nb: 1.5\nc: true\nd: null\ne: 2026-01-01\nf: '1'\ng: 1:30\nh: ~\ni: no\n"
    assert parse_yaml(text, 10) == {
        "a": 1, "b": 1.5, "c": True, "d": None, "e": "2026-01-01", "f": "1", "g": "1:30",
        "h": None, "i": "no",
    }  # fmt: skip


def test_recorded_binary_bodies_are_unpacked():
    packed = base64.b64encode(gzip.compress(b'{"a": 1}'))
    assert parse_yaml(b"x: !!binary " + packed, 10) == {"x": '{"a": 1}'}
    with pytest.raises(UnreadableError, match="broken gzip"):
        parse_yaml(b"x: !!binary " + base64.b64encode(b"\x1f\x8bnope"), 10)


def test_an_image_in_a_recording_stays_base64():
    image = base64.b64encode(b"\x89PNG\xff")
    assert parse_yaml(b"x: !!binary " + image, 10) == {"x": image.decode()}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a: &x [1]\nb: *x\n", "aliases are refused"),
        (b"a: !!python/object/apply:os.system ['true']", "tag"),
        (b"a: !!int '1:1:1'", "tag"),
        (b"a: [", "not YAML"),
        (b"? [a]\n: b\n", "not YAML"),
        (b"a: \xff", "not UTF-8"),
        (b"[" * 50 + b"]" * 50, "nested deeper than 10"),
        (b"[" * 100_000, "nested|not YAML"),
        (b'a: "\\ud800"', "surrogate|not YAML"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
    ],
)
def test_tricks_are_refused(data: bytes, reason: str):
    with pytest.raises(UnreadableError, match=reason):
        parse_yaml(data, 10)


def test_numbers_to_base_60_cost_no_time():
    assert isinstance(parse_yaml(b"a: 1" + b":59" * 100_000, 10)["a"], str)


@pytest.mark.parametrize("start", [b"a: 1", b"a: 1.", b"a: -"])
@pytest.mark.parametrize("piece", [b":59", b"0", b"1e", b"_1"])
def test_a_scalar_is_told_apart_in_linear_work(
    start: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch
):
    """PyYAML's own numbers to base 60 multiply ever longer integers: quadratic in one call each."""
    work = Work()
    reading = counting(monkeypatch, work, "tasks.logs.reading.yaml_text")
    for constructor in ("construct_yaml_int", "construct_yaml_float"):
        monkeypatch.setitem(
            reading._PlainLoader.yaml_constructors,
            f"tag:yaml.org,2002:{constructor.rpartition('_')[2]}",
            lambda loader, node: pytest.fail(f"{len(node.value)} digits to a number"),
        )
    assert_linear(lambda n: work.of(lambda: reading.parse_yaml(start + piece * n, 10)), 500)
