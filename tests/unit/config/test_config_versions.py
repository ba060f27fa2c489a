"""The history of site files: what was in force, and what to go back to."""

import pytest

from cbrn_core.errors import InputError
from cbrn_gateway.config.versions import FOLDER, MOST_KEPT, Versions


@pytest.fixture
def versions(tmp_path):
    return Versions(tmp_path)


def put(versions, *texts, replaces=None):
    for text in texts:
        put_in = versions.add(
            text,
            f"{text}-hash",
            time="2026-06-01T06:00:00.000Z",
            actor="anna",
            how="apply",
            replaces=replaces,
        )
    return put_in


def test_going_back_goes_further_each_time_and_never_to_what_was_rejected(versions):
    put(versions, "a", "b", "c")
    for expected in ("b", "a"):
        version = versions.choose(None)
        assert versions.text(version) == expected
        put(versions, expected, replaces=versions.all()[-1].number)
    with pytest.raises(InputError, match="no earlier configuration"):
        versions.choose(None)


def test_a_hash_may_be_given_by_its_beginning_also_of_what_was_rejected(versions):
    put(versions, "a", "b")
    put(versions, "a", replaces=2)
    assert versions.choose("b-h").number == 2
    with pytest.raises(InputError, match="'x'"):
        versions.choose("x")


def test_what_is_in_force_already_is_kept_once(versions):
    assert put(versions, "a", "a").number == 1
    assert [v.number for v in versions.all()] == [1]


def test_the_oldest_leave_with_their_files(versions, tmp_path):
    put(versions, *(f"t{n}" for n in range(MOST_KEPT + 5)))
    assert [v.number for v in versions.all()] == list(range(6, MOST_KEPT + 6))
    assert len(list((tmp_path / FOLDER).glob("*.toml"))) == MOST_KEPT


def test_a_changed_file_does_not_come_back(versions, tmp_path):
    put(versions, "a", "b")
    (old,) = (tmp_path / FOLDER).glob("000001-*.toml")
    old.write_text("another")
    with pytest.raises(InputError, match="was changed"):
        versions.text(versions.choose(None))
    old.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        versions.text(versions.choose(None))


def test_nothing_on_record_and_a_damaged_list_are_told(versions, tmp_path):
    with pytest.raises(InputError):
        versions.choose(None)
    put(versions, "a")
    (tmp_path / FOLDER / "versions.jsonl").write_bytes(b"\xff{")
    assert versions.all() == []


def test_a_damaged_line_of_the_list_costs_that_version_only(versions, tmp_path):
    put(versions, "a", "b", "c")
    listed = tmp_path / FOLDER / "versions.jsonl"
    first, _, last = listed.read_bytes().splitlines()
    listed.write_bytes(b"\n".join([first, b'{"number": 2', last, b""]))
    assert [v.number for v in versions.all()] == [1, 3]
    assert versions.text(versions.choose(None)) == "a"
    assert put(versions, "d").number == 4


def test_only_the_owner_may_read_what_is_kept(versions, tmp_path):
    put(versions, "a")
    folder = tmp_path / FOLDER
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
