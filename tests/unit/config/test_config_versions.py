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


def put_with(versions, profiles, text="site"):
    return versions.add(
        text,
        f"{text}{sorted(profiles.items())}",
        time="2026-06-01T06:00:00.000Z",
        actor="anna",
        how="reload",
        own_profiles=profiles,
    )


def profile_files(tmp_path):
    return list((tmp_path / FOLDER / "profiles").glob("*"))


def test_a_version_comes_back_with_the_profiles_that_it_had(versions, tmp_path):
    put_with(versions, {"mast": "one", "gas": "same"})
    put_with(versions, {"mast": "two", "gas": "same"})
    old = versions.choose(None)
    assert versions.text(old) == "site"
    assert versions.own_profiles(old) == {"mast": "one", "gas": "same"}
    assert len(profile_files(tmp_path)) == 3
    assert all(file.stat().st_mode & 0o077 == 0 for file in profile_files(tmp_path))


def test_what_was_taken_out_of_force_for_its_profile_is_passed_over(versions):
    put_with(versions, {"mast": "one"})
    put_with(versions, {"mast": "two"})
    put_with(versions, {"mast": "three"})
    put(versions, "x", replaces=3)
    assert versions.choose(None).number == 2


def test_profiles_leave_with_the_last_version_that_names_them(versions, tmp_path):
    for number in range(MOST_KEPT + 5):
        put_with(versions, {"mast": f"text {number}", "gas": "same"})
    assert len(profile_files(tmp_path)) == MOST_KEPT + 1
    assert versions.own_profiles(versions.all()[0]) == {"mast": "text 5", "gas": "same"}


@pytest.mark.parametrize("damage", ["changed", None])
def test_a_profile_that_was_changed_or_lost_does_not_come_back(versions, tmp_path, damage):
    put_with(versions, {"mast": "one"})
    (file,) = profile_files(tmp_path)
    put_with(versions, {"mast": "two"})
    file.unlink() if damage is None else file.write_text(damage)
    with pytest.raises(InputError, match="profile mast of 1"):
        versions.own_profiles(versions.choose(None))


def test_a_line_that_names_another_file_is_a_damaged_line(versions, tmp_path):
    put_with(versions, {"mast": "one"})
    put_with(versions, {"mast": "two"})
    listed = tmp_path / FOLDER / "versions.jsonl"
    digest = versions.all()[0].own_profiles["mast"]
    listed.write_bytes(listed.read_bytes().replace(digest.encode(), b"../../site"))
    assert [v.number for v in versions.all()] == [2]


def test_a_version_of_before_profiles_were_kept_is_read_with_those_of_now(versions, tmp_path):
    put(versions, "a", "b")
    assert b"own_profiles" not in (tmp_path / FOLDER / "versions.jsonl").read_bytes()
    assert versions.own_profiles(versions.choose(None)) is None
