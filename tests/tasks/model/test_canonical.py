from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.model.canonical import canonical_json, parsed, well_formed

_TEXTS = st.text(st.characters(exclude_categories=()))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner) | st.tuples(inner),
    max_leaves=12,
)


@given(_VALUES)
def test_a_value_is_written_as_pythons_own_json_writes_it(value: object) -> None:
    by_python = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_json(value) == well_formed(by_python)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        canonical_json([value])


@given(_TEXTS)
def test_a_text_of_the_store_is_read_well_formed(text: str) -> None:
    assert parsed(json.dumps([text])) == [well_formed(text)]
    as_stored = json.dumps([well_formed(text)], ensure_ascii=False)  # UTF-8 holds no half pair
    assert parsed(as_stored) == [well_formed(text)]
