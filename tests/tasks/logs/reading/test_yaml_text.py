from __future__ import annotations

import base64
import gzip
import time

import pytest

from tasks.logs.reading.yaml_text import parse_yaml
from tasks.logs.shapes.records import UnreadableError


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
    start = time.monotonic()
    assert isinstance(parse_yaml(b"a: 1" + b":59" * 100_000, 10)["a"], str)
    assert time.monotonic() - start < 10
