import os

import pytest

from cbrn_core.errors import StorageError
from cbrn_gateway.store.ballast import Ballast, free_bytes

SIZE_BYTES = 1_000_000


def test_the_ballast_takes_real_blocks_and_gives_them_back(tmp_path):
    ballast = Ballast(tmp_path, SIZE_BYTES)
    assert not ballast.is_held
    ballast.build()
    assert ballast.is_held
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= SIZE_BYTES
    assert ballast.release()
    assert not ballast.is_held
    assert not ballast.release()
    assert ballast.released == 1


def test_a_file_with_holes_is_no_ballast_and_is_filled(tmp_path):
    with (tmp_path / "ballast").open("wb") as sparse:
        sparse.truncate(SIZE_BYTES)
    ballast = Ballast(tmp_path, SIZE_BYTES)
    assert not ballast.is_held
    ballast.build()
    assert ballast.is_held


def test_what_could_not_be_taken_whole_is_given_back(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(StorageError, match="No space left"):
        Ballast(tmp_path, SIZE_BYTES).build()
    assert not (tmp_path / "ballast").exists()


def test_no_ballast_is_wanted_of_size_zero(tmp_path):
    ballast = Ballast(tmp_path, 0)
    ballast.build()
    assert ballast.is_held
    assert not (tmp_path / "ballast").exists()


def test_the_room_of_a_folder_that_is_not_there_is_an_error(tmp_path):
    assert free_bytes(tmp_path) > 0
    with pytest.raises(StorageError, match="does not answer"):
        free_bytes(tmp_path / "nowhere")
