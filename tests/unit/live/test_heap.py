import ctypes

import pytest

from cbrn_gateway.live.heap import give_back_what_is_free


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_glibc_takes_every_wish():
    assert give_back_what_is_free()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not give_back_what_is_free()
