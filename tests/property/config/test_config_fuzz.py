"""Any TOML gives a site or ConfigErrors with their paths; a valid site can be linted."""

import datetime
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import ConfigError
from cbrn_gateway.config.lint import lint
from cbrn_gateway.config.load import parse_site

CONFIG = Path(__file__).parents[3] / "config" / "sites"
SQUARES = sorted(CONFIG.glob("*/site.toml"))
DOCUMENTS = [tomllib.loads(path.read_text().replace("\n#: ", "\n")) for path in SQUARES]
TODAY = datetime.date(2026, 6, 1)
NESTED = "[" * 2_000

text = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20)
words = st.sampled_from(
    (
        *("", "st1", "p01", "../x", "~nobody/x", "a\x00b", "/dev/ttyUSB0", "profile:", "external"),
        *("chemical.winsen_ze03", "cl2", "ppm", "mqtt://[", "https://u:p@h", "Europe/Oslo", "*"),
    )
)
moments = st.one_of(st.datetimes(timezones=st.just(datetime.UTC)), st.dates(), st.times())
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(width=64),
    st.sampled_from([0, -1, 1e308, 5e-324, 10**400]),
)
scalars = st.one_of(st.booleans(), numbers, text, words, moments)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(text, words), inner, max_size=4)
    ),
    max_leaves=8,
)


def toml(value) -> str:
    """Write any value as inline TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    return value.isoformat()


def document(tables) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in tables.items())


def places(value, path=()):
    """Yield the path of every value inside, as keys and indexes."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))


def changed(value, path, change):
    """Return a copy with the value at `path` replaced, or left out where `change` is None."""
    copied = dict(value) if isinstance(value, dict) else list(value)
    key, rest = path[0], path[1:]
    if rest:
        copied[key] = changed(value[key], rest, change)
    elif change is None:
        del copied[key]
    else:
        copied[key] = change
    return copied


@st.composite
def mutated_squares(draw):
    tables = draw(st.sampled_from(DOCUMENTS))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(tables))))
        change = draw(st.one_of(st.none(), values, st.sampled_from(list(tables.values()))))
        if draw(st.booleans()) and isinstance(change, dict | list) and not change:
            change = None
        tables = changed(tables, path, change)
    return tables


def judge(written: str, folder: Path) -> None:
    """Load and lint a text; only a ConfigError whose every problem has a path may come out."""
    try:
        config = parse_site(written, folder / "site.toml", allow_simulated=True)
        problems = [finding.problem for finding in lint(config, TODAY)]
    except ConfigError as error:
        problems = error.problems
        config = None
    assert problems or config is not None
    assert all(p.path and p.reason and p.path.isprintable() for p in problems)


@examples(500)
@given(mutated_squares())
def test_a_square_with_anything_changed_loads_or_says_where_it_is_wrong(tables):
    judge(document(tables), SQUARES[0].parent)


@examples(300)
@given(st.dictionaries(st.one_of(text, st.sampled_from(list(DOCUMENTS[0]))), values, max_size=6))
def test_any_tables_load_or_say_where_they_are_wrong(tables):
    judge(document(tables), SQUARES[0].parent)


@examples(300)
@given(st.one_of(st.text(max_size=200), st.just("a = " + NESTED), st.just("a = " + "9" * 5_000)))
def test_any_text_loads_or_says_where_it_is_wrong(written):
    judge(written, SQUARES[0].parent)


def test_the_worked_squares_load_as_this_test_writes_them():
    for path, tables in zip(SQUARES, DOCUMENTS, strict=True):
        config = parse_site(document(tables), path)
        assert config.model.stations
        assert config.policy.signed
