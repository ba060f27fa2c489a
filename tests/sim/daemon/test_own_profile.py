"""A whole daemon reads a generic Modbus instrument by the site's own profile, and its next one."""

import asyncio

import msgspec
import pytest
import pytest_asyncio
from samples.own_profile_sample import NAME, OWN_PROFILE, write_profile
from samples.register_server import port_of, serve

from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.config_wire import ConfigAnswer, ConfigRequest, Verb
from cbrn_gateway.live.daemon import Daemon
from cbrn_gateway.live.system_clock import SystemClock

DEADLINE_S = 60
SITE = """
[gateway]
id = "gw"
city = "varde"
data_dir = "kept"
config_trial_s = 0.2
[site]
id = "torg"
[[station]]
id = "st1"
position = {{ lat = 59.9, lon = 10.7 }}
[[device]]
id = "mast"
station = "st1"
driver = "profile:{name}"
host = "127.0.0.1"
port = {port}
period_s = 0.1
"""
WORDS = (0, 1013, 25, 40, 0)


class Mast:
    """A daemon that reads the instrument; what it reads and how it is asked for another."""

    def __init__(self, site_file):
        self.daemon = Daemon(load_site(site_file), SystemClock())
        self.heard: list[tuple[str, float | None, str]] = []
        put = self.daemon.inbox.put
        self.daemon.inbox.put = lambda batch: (
            self.heard.extend((r.channel, r.value, r.unit.value) for r in batch),
            put(batch),
        )[-1]

    async def __aenter__(self):
        self._running = asyncio.create_task(self.daemon.run())
        return self

    async def __aexit__(self, *_):
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    @property
    def config_hash(self):
        return self.daemon.setup.config.model.config_hash

    async def reads(self, *wanted):
        """Wait until it reads all of these."""
        del self.heard[:]
        await self.until(lambda: set(wanted) <= set(self.heard))

    async def until(self, holds):
        async with asyncio.timeout(DEADLINE_S):
            while not holds():
                assert not self._running.done()
                await asyncio.sleep(0.02)

    async def asks(self, verb, config_hash=None):
        request = ConfigRequest(verb=verb, actor="anna", hash=config_hash)
        answer = await self.daemon.reload.answer(msgspec.json.encode(request))
        return msgspec.json.decode(answer, type=ConfigAnswer)

    async def is_confirmed(self):
        async with asyncio.timeout(DEADLINE_S):
            while (await self.asks(Verb.HISTORY)).on_trial:  # noqa: ASYNC110 - asked at its door
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def site_file(tmp_path):
    server = await serve(lambda address, count: WORDS[address : address + count])
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(name=NAME, port=port_of(server)))
    yield path
    server.close()


def with_scale(scale: float) -> str:
    return OWN_PROFILE.replace("scale = 0.1", f"scale = {scale}")


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_changed_own_profile_is_taken_up_on_a_signal_and_a_wrong_one_is_not(site_file):
    path = write_profile(site_file.parent)
    async with Mast(site_file) as mast:
        await mast.reads(("pressure", 1013.0, "hPa"), ("rain", 2.5, "mm/h"), ("ozone", 40.0, "ppb"))
        first = mast.config_hash
        path.write_text(with_scale(0.2))
        mast.daemon.reload.site_file_changed()
        await mast.reads(("rain", 5.0, "mm/h"))
        second = mast.config_hash
        path.write_text("damaged")
        mast.daemon.reload.site_file_changed()
        await mast.until(lambda: mast.daemon.reload.counters["config.refused"])
        await mast.reads(("rain", 5.0, "mm/h"))
        assert mast.config_hash == second != first


async def changes_to(mast, path, scale, reading):
    path.write_text(with_scale(scale))
    mast.daemon.reload.site_file_changed()
    await mast.reads(("rain", reading, "mm/h"))
    await mast.is_confirmed()
    return mast.config_hash


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_rollback_brings_an_own_profile_back_also_after_a_restart(site_file):
    path = write_profile(site_file.parent)
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 2.5, "mm/h"))
        first = mast.config_hash
        second = await changes_to(mast, path, 0.2, 5.0)
        await changes_to(mast, path, 0.4, 10.0)
        answer = await mast.asks(Verb.ROLLBACK)
        assert (answer.accepted, answer.config_hash) == (True, second)
        await mast.reads(("rain", 5.0, "mm/h"))
        assert path.read_text() == with_scale(0.2)
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 5.0, "mm/h"))
        answer = await mast.asks(Verb.ROLLBACK, first[:12])
        assert (answer.accepted, answer.config_hash) == (True, first)
        await mast.reads(("rain", 2.5, "mm/h"))
        assert path.read_text() == OWN_PROFILE
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 2.5, "mm/h"))
        assert mast.config_hash == first


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_rollback_brings_a_profile_back_that_is_not_there_any_more(site_file):
    path = write_profile(site_file.parent)
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 2.5, "mm/h"))
        await changes_to(mast, path, 0.2, 5.0)
    path.unlink()
    path.write_text(with_scale(0.3))
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 7.5, "mm/h"))
        path.unlink()
        assert (await mast.asks(Verb.ROLLBACK)).accepted
        await mast.reads(("rain", 5.0, "mm/h"))
        assert path.read_text() == with_scale(0.2)


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_rollback_does_not_write_over_what_somebody_is_editing(site_file):
    path = write_profile(site_file.parent)
    async with Mast(site_file) as mast:
        await mast.reads(("rain", 2.5, "mm/h"))
        await changes_to(mast, path, 0.2, 5.0)
        path.write_text(with_scale(0.7))
        assert (await mast.asks(Verb.ROLLBACK)).accepted
        await mast.reads(("rain", 2.5, "mm/h"))
        assert path.read_text() == with_scale(0.7)
