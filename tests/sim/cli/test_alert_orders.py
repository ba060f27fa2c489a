"""`alerts` against a running daemon: orders are carried out, or refused with the reason."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine, site_head

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.control import is_running

CBRN_GATEWAY = str(Path(sys.executable).with_name("cbrn-gateway"))
DEADLINE_S = 40
CHANNEL = {"sigma": 0.05, "range": [0, 20], "lod": 0.1, "period_s": 1, "stale_after_s": 600}


async def until(condition):
    """Return what `condition()` gives once it gives something."""
    async with asyncio.timeout(DEADLINE_S):
        while not (found := await condition()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    return found


class Square(DaemonHere):
    """A daemon in this process with one chlorine channel, and the command line beside it."""

    def __init__(self, site_file):
        self.site_file = site_file
        super().__init__(load_site(site_file))

    async def alarm(self, kind):
        """Return the id of the alarm of a kind once it is journalled."""
        return (await self.until(lambda: self.told(kind), kind))[0]["id"]

    async def call(self, *arguments):
        """Call `alerts`; return (exit code, standard output, standard error)."""
        process = await asyncio.create_subprocess_exec(
            CBRN_GATEWAY,
            "alerts",
            *arguments,
            "-c",
            str(self.site_file),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()

    async def listed(self, alarm_id, *options):
        """Return what `alerts list --json` says of one alarm."""
        code, out, _ = await self.call("list", "--json", *options)
        assert code == 0
        features = [json.loads(line) for line in out.splitlines()]
        (said,) = [f["properties"] for f in features if f["id"] == alarm_id]
        return said

    async def listed_with(self, alarm_id, field, value):
        """Return what the list says of an alarm once that field has that value."""

        async def listed():
            said = await self.listed(alarm_id)
            return said if said[field] == value else None

        return await until(listed)


@asynccontextmanager
async def square(tmp_path):
    site_file = tmp_path / "site.toml"
    site_file.write_text(site_head("gw", "varde", "torg", "kept") + chlorine(**CHANNEL))
    async with Square(site_file) as made:
        await until(lambda: is_running(tmp_path / "kept"))
        yield made


@pytest.mark.asyncio
async def test_an_alarm_is_acknowledged_by_the_beginning_of_its_id_once(tmp_path):
    async with square(tmp_path) as city:
        alarm_id = await city.alarm("technical")
        version = (await city.listed(alarm_id))["version"]
        ack = ("ack", f"{alarm_id[:6]}@{version}", "--actor", "B. Hansen", "--comment", "on my way")
        code, out, err = await city.call(*ack)
        assert (code, err) == (0, "")
        assert out == f"ack {alarm_id[:8]}: accepted\n"
        said = await city.listed_with(alarm_id, "state", "ack")
        assert (said["acked_by"], said["note"]) == ("B. Hansen", "on my way")
        code, out, _ = await city.call(*ack)
        assert code == 1
        assert "refused: already acknowledged by B. Hansen" in out


@pytest.mark.asyncio
async def test_priority_1_is_never_shelved_and_the_reason_is_shown(tmp_path):
    async with square(tmp_path) as city:
        await city.chlorine(*[12.0] * 6)
        alarm_id = await city.alarm("specific")
        shelve = ("shelve", alarm_id, "--reason", "noise", "--for", "30m", "--second", "A. Berg")
        code, out, _ = await city.call(*shelve, "--actor", "B. Hansen")
        assert code == 1
        assert "refused: priority 1 is never shelved" in out
        code, out, _ = await city.call(*shelve, "--json")
        answer = json.loads(out)
        assert code == 1
        assert (answer["schema"], answer["accepted"]) == ("cbrn-answer/1", False)
        first = (await city.call("list"))[1].splitlines()[1]
        assert first.startswith("1 "), "priority 1 is on top"


@pytest.mark.asyncio
async def test_an_alarm_that_still_stands_is_commented_shelved_and_not_resolved(tmp_path):
    async with square(tmp_path) as city:
        alarm_id = await city.alarm("technical")
        assert (await city.call("comment", alarm_id[:8], "we test", "--actor", "B"))[0] == 0
        code, out, _ = await city.call("resolve", alarm_id[:8], "--reason", "no", "--actor", "B")
        assert code == 1
        assert "the condition still holds" in out
        shelve = ("shelve", alarm_id[:8], "--reason", "known", "--for", "10m", "--actor", "B")
        assert (await city.call(*shelve))[0] == 0
        said = await city.listed_with(alarm_id, "state", "shelved")
        assert said["until"] is not None
        assert (await city.call("unshelve", alarm_id[:8], "--actor", "B"))[0] == 0


@pytest.mark.asyncio
async def test_a_repeated_key_is_carried_out_once_and_an_old_version_is_refused(tmp_path):
    async with square(tmp_path) as city:
        alarm_id = await city.alarm("technical")
        comment = ("comment", alarm_id, "once", "--actor", "B", "--key", "k-1", "--version", "1")
        assert (await city.call(*comment))[0] == 0
        assert (await city.call(*comment))[0] == 0
        said = await city.listed_with(alarm_id, "note", "once")
        assert said["version"] == 2, "the repeat made no version of its own"
        code, out, _ = await city.call("ack", f"{alarm_id}@9", "--actor", "B")
        assert code == 1
        assert "version 9 is out of date" in out


@pytest.mark.asyncio
async def test_an_alarm_that_is_not_there_is_said(tmp_path):
    async with square(tmp_path) as city:
        await city.alarm("technical")
        code, _, err = await city.call("ack", "zzzz")
        assert code == 1
        assert "there is no alarm 'zzzz'" in err
