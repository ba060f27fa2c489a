"""A whole daemon reads a generic Modbus instrument by the site's own profile, and its next one."""

import asyncio

import pytest
from samples.own_profile_sample import NAME, OWN_PROFILE, write_profile
from samples.register_server import port_of, serve

from cbrn_gateway.config.load import load_site
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


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_a_changed_own_profile_is_taken_up_on_a_signal_and_a_wrong_one_is_not(tmp_path):
    server = await serve(lambda address, count: WORDS[address : address + count])
    path = write_profile(tmp_path)
    site_file = tmp_path / "site.toml"
    site_file.write_text(SITE.format(name=NAME, port=port_of(server)))
    daemon = Daemon(load_site(site_file), SystemClock())
    heard: list[tuple[str, float | None, str]] = []
    put = daemon.inbox.put
    daemon.inbox.put = lambda batch: (
        heard.extend((r.channel, r.value, r.unit.value) for r in batch),
        put(batch),
    )[-1]

    async def until_heard(*wanted):
        del heard[:]
        async with asyncio.timeout(DEADLINE_S):
            while not set(wanted) <= set(heard):  # noqa: ASYNC110 - the daemon tells nobody
                await asyncio.sleep(0.02)

    running = asyncio.create_task(daemon.run())
    try:
        await until_heard(
            ("pressure", 1013.0, "hPa"), ("rain", 2.5, "mm/h"), ("ozone", 40.0, "ppb")
        )
        first = daemon.setup.config.model.config_hash
        path.write_text(OWN_PROFILE.replace("scale = 0.1", "scale = 0.2"))
        daemon.reload.site_file_changed()
        await until_heard(("rain", 5.0, "mm/h"))
        second = daemon.setup.config.model.config_hash
        path.write_text("damaged")
        daemon.reload.site_file_changed()
        async with asyncio.timeout(DEADLINE_S):
            while not daemon.reload.counters["config.refused"]:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        await until_heard(("rain", 5.0, "mm/h"))
        assert daemon.setup.config.model.config_hash == second != first
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        server.close()
