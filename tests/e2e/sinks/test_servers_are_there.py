"""A missing server skips plainly on a desk and fails where all must run."""

import pytest
from e2e.servers import program


def test_a_missing_server_is_skipped_with_its_package_named(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no-such-server .*Debian: its-package"):
        program("no-such-server", "its-package")


def test_a_missing_server_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-server"):
        program("no-such-server", "its-package")
