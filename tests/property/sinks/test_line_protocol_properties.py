"""Line protocol read back by a parser that shares nothing with the writer."""

import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_gateway.sinks.line_protocol import encode_line, field_text, tag_text


class Point(NamedTuple):
    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | int | str]
    time_ns: int


class Reader:
    """Character by character, as the reference describes it: a backslash takes the next."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def until(self, ends: str) -> str:
        word = ""
        while self.text[self.at] not in ends:
            if self.text[self.at] == "\\" and self.text[self.at + 1] in ",= ":
                self.at += 1
            word += self.text[self.at]
            self.at += 1
        return word

    def step(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def quoted(self) -> str:
        assert self.step() == '"'
        word = ""
        while (letter := self.step()) != '"':
            if letter == "\\":
                letter = self.step()
                assert letter in '"\\'
            word += letter
        return word

    def field(self) -> float | int | str:
        if self.text[self.at] == '"':
            return self.quoted()
        word = self.until(", ")
        return int(word[:-1]) if word.endswith("i") else float(word)


def parse(line: bytes) -> Point:
    reader = Reader(line.decode())
    measurement = reader.until(", ")
    tags = {}
    while reader.step() == ",":
        key = reader.until("=")
        reader.step()
        tags[key] = reader.until(", ")
    fields = {}
    while True:
        name = reader.until("=")
        reader.step()
        fields[name] = reader.field()
        if reader.step() == " ":
            break
    return Point(measurement, tags, fields, int(reader.text[reader.at :]))


any_text = st.text(
    st.one_of(st.sampled_from('\\,= "\n\r\t\0i\u2028😀'), st.characters()), max_size=100
)
names = st.from_regex(r"[a-z][a-z_]{0,10}", fullmatch=True)
values = st.one_of(
    st.floats(),
    st.integers(min_value=-(2**70), max_value=2**70),
    any_text,
    st.none(),
)


def is_kept(value) -> bool:
    if value is None:
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or abs(value) < 2**63


@examples(2000)
@given(
    measurement=names,
    tags=st.dictionaries(names, any_text, max_size=6),
    fields=st.dictionaries(names, values, max_size=6),
    time_ns=st.integers(min_value=-(2**62), max_value=2**62),
)
def test_every_line_reads_back_as_what_was_written(measurement, tags, fields, time_ns):
    line = encode_line(measurement, sorted(tags.items()), fields, time_ns)
    kept = {name: value for name, value in fields.items() if is_kept(value)}
    if not kept:
        assert line is None
        return
    point = parse(line)
    assert b"\n" not in line
    assert (point.measurement, point.time_ns) == (measurement, time_ns)
    assert point.tags == {key: tag_text(text) for key, text in tags.items() if text}
    expected = {n: field_text(v) if isinstance(v, str) else v for n, v in kept.items()}
    assert point.fields == expected
    assert {n: type(v) for n, v in point.fields.items()} == {
        n: type(v) for n, v in expected.items()
    }


@examples(2000)
@given(text=any_text)
def test_a_tag_is_short_on_one_line_and_ends_in_no_backslash(text):
    tag = tag_text(text)
    assert len(tag) <= 64
    assert "\\" not in tag
    assert tag.isprintable() or all(
        ord(letter) >= 0x80 for letter in tag if not letter.isprintable()
    )


@given(text=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_an_id_is_written_as_it_is(text):
    assert tag_text(text) == text
