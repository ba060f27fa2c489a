"""Our canonical JSON is the library's, byte for byte, and refuses what it refuses."""

from enum import IntEnum, StrEnum

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_gateway.store.canonical_json import canonical_json


class Word(StrEnum):
    PLAIN = "plain"
    QUOTED = 'a "quoted" word'


class Rank(IntEnum):
    LOW = 3


texts = st.text(max_size=8) | st.sampled_from(["\ue000", "\U0001f600", "\u2028", "\x7f", "\x1b"])
plain = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.floats(1e-8, 1e-3)
    | st.integers(-(2**70), 2**70).map(float)
    | st.sampled_from([*Word, *Rank])
)
foreign = st.sampled_from([b"bytes", {1, 2}, 1j, {1: 2}, {None: 1}, {"a": 1, 2: 3}])
values = st.recursive(
    plain | texts,
    lambda x: (
        st.lists(x, max_size=4)
        | st.lists(x, max_size=3).map(tuple)
        | st.dictionaries(texts, x, max_size=5)
    ),
    max_leaves=12,
)


def outcome(write, value) -> bytes | None:
    """Return what is written, None where the value is refused."""
    try:
        return write(value)
    except ValueError:
        return None


@examples(2000)
@given(values)
@example({"\ue000": 1, "\U0001f600": 2, "a": 3})
@example([-0.0, 1e21, 1e20, 123456789012345680.0, 1e-7, 1e-6, 5e-324, 0.1, -4.5])
def test_it_is_the_librarys_to_the_byte(value):
    assert outcome(canonical_json, value) == outcome(rfc8785.dumps, value)


@given(st.lists(values | foreign, min_size=1, max_size=3))
def test_what_json_does_not_have_is_refused_as_the_library_does(value):
    assert outcome(canonical_json, value) == outcome(rfc8785.dumps, value)


def test_what_is_nested_too_deeply_is_a_recursion_error():
    value: list = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(RecursionError):
        canonical_json(value)
