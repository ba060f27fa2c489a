"""Rules for every test: well-formed logs, hypothesis profiles, no skipped test in CI."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() == "true"
NIGHT = os.environ.get("CBRN_HYPOTHESIS") == "night"

settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("night", max_examples=5_000, deadline=None)
settings.load_profile("night" if NIGHT else "ci")


class _Formats(logging.Handler):
    """Formats every record, so that a malformed log call fails the test."""

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


@pytest.fixture(autouse=True)
def _log_calls_are_well_formed() -> Iterator[None]:
    handler = _Formats()
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real recordings that may not be copied into the repository."""
    named = os.environ.get("CBRN_REAL_DATA")
    folder = Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real recordings are not on this machine (set CBRN_REAL_DATA)")
    return folder


def pytest_terminal_summary(terminalreporter, exitstatus, config) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if IN_CI and skipped:
        terminalreporter.section("skipped in CI")
        terminalreporter.line(f"{len(skipped)} tests were skipped; in CI every group must run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = 1
