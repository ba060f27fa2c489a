"""New configurations under load: nothing is lost on what they do not concern, nothing forgotten.

The whole daemon runs in this process; anemometers on pseudo-terminals say twenty numbered
lines a second each, chlorine comes in from outside.
"""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from samples.daemon_here import DaemonHere
from samples.site_samples import chlorine
from sim.daemon.wind_poles import WindPole

from cbrn_core.alarm import AlarmState, Command
from cbrn_gateway.config.load import load_site
from cbrn_gateway.live.config_wire import ConfigAnswer, ConfigRequest, Verb
from cbrn_gateway.live.control import ask
from cbrn_gateway.store.journal_file import JournalEntry, JournalReader
from cbrn_gateway.store.series import SeriesReader

POLICY = Path(__file__).parents[3] / "config/policy/default-1.toml"
HEAD = """
[gateway]
id = "gw"
city = "varde"
data_dir = "kept"
config_trial_s = {trial_s}
[site]
id = "torg"
[alarms]
policy = "fast"
"""
CHANNEL = {"sigma": 0.05, "range": [0, 20], "lod": 0.1, "period_s": 1, "stale_after_s": 600}
STATIONS = chlorine(**CHANNEL) + "".join(
    f'[[station]]\nid = "st{n}"\nposition = {{ lat = 59.9, lon = 10.7{n} }}\n' for n in (2, 3)
)


class Square(DaemonHere):
    """A running daemon with two anemometers that stay, and one that comes and goes."""

    PATIENCE_S = 60.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.poles = [WindPole(folder / f"tty{n}") for n in range(3)]
        self.silent = WindPole(folder / "tty-silent")
        self.silent.is_mute = True
        fast = POLICY.read_text().replace("off_delay_s = 60.0", "off_delay_s = 0.5")
        (folder / "fast.toml").write_text(fast)
        self.site_file = folder / "site.toml"
        self.site_file.write_text(self.text())
        super().__init__(load_site(self.site_file))

    def text(self, guest: str = "", trial_s: float = 0.2) -> str:
        """Return a site file with the two that stay, and a guest."""
        stays = [self.poles[n].device(f"wind{n}", f"st{n + 1}") for n in (0, 1)]
        return HEAD.format(trial_s=trial_s) + STATIONS + "".join(stays) + guest

    def guest(self, pole: WindPole | None = None, **more: object) -> str:
        return (pole or self.poles[2]).device("guest", "st3", **more)

    def stored(self, station: str) -> list[int]:
        """Return the wind speeds of a station as they were stored, in hundredths of m/s."""
        reader = SeriesReader(self.folder / "kept" / "series.db")
        try:
            pages = [readings for readings, _ in reader.samples_after(0)]
        finally:
            reader.close()
        key = (station, "wind_speed")
        return [round(100 * r.value) for page in pages for r in page if r.key == key]

    def taken(self, station: str) -> int | None:
        """Return when the pipeline last heard a station's wind speed (steady µs)."""
        slot = self.pipeline.intake.slot_of((station, "wind_speed"))
        return None if slot is None else self.pipeline.intake.freshness[slot].last_received_us

    def own_trouble(self, reason: str) -> list[dict]:
        """Return what was said of one kind of trouble of the gateway itself."""
        found = [a["properties"] for a in self.heard]
        return [p for p in found if p["agent"] is None and reason in p["level"]]

    async def ask(self, verb: Verb, text: str | None = None) -> ConfigAnswer:
        request = ConfigRequest(verb=verb, actor="anna", text=text)
        line = msgspec.json.encode(request)
        answer = await ask(self.folder / "kept", line, self.PATIENCE_S)
        return msgspec.json.decode(answer, type=ConfigAnswer)

    async def apply(self, text: str) -> ConfigAnswer:
        return await self.ask(Verb.APPLY, text)

    async def confirmed(self) -> None:
        """Wait until what is in force has passed its trial."""
        async with asyncio.timeout(self.PATIENCE_S):
            while (await self.ask(Verb.HISTORY)).on_trial:  # noqa: ASYNC110 - asked at its door
                await asyncio.sleep(0.05)

    async def journalled(self) -> list[JournalEntry]:
        reader = JournalReader(self.folder / "kept" / "journal.db")
        try:
            return reader.entries()
        finally:
            reader.close()

    def alarm(self, agent: str):
        """Return the open alarm about something, None where there is none."""
        alarms = self.pipeline.machine.open_alarms()
        return next((a for a in alarms if a.condition.key.agent == agent), None)

    async def order(self, agent: str, verb: str, **more: object) -> None:
        command = Command(verb=verb, actor="anna", alarm_id=self.alarm(agent).id, **more)
        assert (await self.daemon.operators.obey(command)).refusal is None

    async def latched_chlorine(self) -> str:
        """Let chlorine come and go, somebody acknowledge it; return the alarm's id."""
        await self.chlorine(*[25.0] * 6, every_s=0.1)
        await self.until(lambda: self.alarm("cl2"), "the chlorine alarm")
        await self.order("cl2", "ack")
        while self.alarm("cl2").state is not AlarmState.LATCHED:
            await self.chlorine(*[0.02] * 5, every_s=0.1)
        return self.alarm("cl2").id


@asynccontextmanager
async def square(folder: Path):
    made = Square(folder)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(pole.speak()) for pole in (*made.poles, made.silent)]
        try:
            async with made:
                await made.until(lambda: made.taken("st1") and made.taken("st2"), "the wind")
                yield made
        finally:
            for task in running:
                task.cancel()
    for pole in (*made.poles, made.silent):
        pole.close()


async def end_speech(made: Square) -> None:
    """Let the poles that stay fall silent, and all that they said reach the store."""
    for pole in made.poles:
        pole.is_mute = True
    for n in (0, 1):
        wanted = len(made.poles[n].sent)
        await made.until(lambda n=n, w=wanted: len(made.stored(f"st{n + 1}")) >= w, "the store")


async def reload_under_load(folder: Path, number: int) -> None:
    async with square(folder) as made:
        chlorine = await made.latched_chlorine()
        await made.order("not_in_service", "shelve", text="known", duration_s=3600.0)
        staying = [bus for bus in made.daemon.setup.buses if "tty2" not in bus.name]
        offset = 0
        for turn in range(number):
            offset = turn // 3
            text = made.text(
                "" if turn % 3 == 2 else made.guest(north_offset_deg=offset + turn % 3)
            )
            answer = await made.apply(text)
            assert (answer.accepted, answer.problems) == (True, ())
            began_us = made.clock.now().steady_us
            if turn % 3 != 2:
                await made.until(lambda b=began_us: (made.taken("st3") or 0) > b, "the guest")
            await made.confirmed()
            assert made.alarm("cl2").id == chlorine
            assert made.alarm("cl2").state is AlarmState.LATCHED
            assert made.alarm("not_in_service").state is AlarmState.SHELVED
        await end_speech(made)
        for n in (0, 1):
            assert made.stored(f"st{n + 1}") == made.poles[n].sent
        twice = [value for value, times in Counter(made.stored("st3")).items() if times > 1]
        assert twice == []
        assert all(bus in list(made.daemon.setup.buses) for bus in staying)
        assert {bus.supervisor.restarts for bus in staying} == {0}
        counted = made.daemon.health()
        assert (counted["config.applied"], counted["config.rolled_back"]) == (number, 0)
        assert counted.get("unknown_channel", 0) == 0
        said = [a["properties"] for a in made.heard if a["properties"]["station"] in {"st1", "st2"}]
        assert {p["agent"] for p in said if p["channel"] != "cl2"} == set()
        (event,) = {e.type for e in await made.journalled() if e.alarm_id is None}
        assert event == "configured"
        await made.order("cl2", "comment", text="still here")
        in_force = made.daemon.setup.config.model.config_hash
        await made.until(
            lambda: made.heard[-1]["properties"]["config_hash"] == in_force, "the new hash"
        )


@pytest.mark.asyncio
@pytest.mark.timeout(300)
async def test_twenty_reloads_lose_no_sample_of_the_others_and_keep_what_is_latched(tmp_path):
    await reload_under_load(tmp_path, 20)


@pytest.mark.night
@pytest.mark.asyncio
@pytest.mark.timeout(1200)
async def test_a_hundred_reloads_lose_no_sample_of_the_others(tmp_path):
    await reload_under_load(tmp_path, 100)


@pytest.mark.asyncio
@pytest.mark.timeout(120)
async def test_what_cannot_be_made_changes_nothing_and_the_answer_says_why(tmp_path):
    async with square(tmp_path) as made:
        before = made.daemon.setup.config
        buses = list(made.daemon.setup.buses)
        refused = {
            "not TOML": "[gateway",
            "options": made.text(made.guest(north_offset_deg='"north"')),
            "a wire twice": made.text(made.poles[0].device("again", "st3")),
            "policy": made.text().replace('"fast"', '"absent"'),
            "who it is": made.text().replace('id = "torg"', 'id = "park"'),
            "where it is": made.text().replace('"kept"', '"elsewhere"'),
        }
        said = {name: await made.apply(text) for name, text in refused.items()}
        assert made.daemon.setup.config is before
        assert list(made.daemon.setup.buses) == buses
    assert not any(answer.accepted for answer in said.values())
    paths = {name: answer.problems[0].path for name, answer in said.items()}
    assert paths["options"] == "device[3].north_offset_deg"
    assert paths["policy"].startswith("alarms.")
    assert paths["who it is"] == "site.id"
    assert paths["where it is"] == "gateway.data_dir"
    assert "cannot change while the daemon runs" in said["who it is"].problems[0].reason
    assert all(answer.config_hash == before.model.config_hash for answer in said.values())


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_device_that_falls_silent_on_trial_is_taken_back_and_told(tmp_path):
    async with square(tmp_path) as made:
        good = made.text(made.guest())
        assert (await made.apply(good)).accepted
        await made.until(lambda: made.taken("st3"), "the guest")
        await made.confirmed()
        in_force = made.daemon.setup.config.model.config_hash
        answer = await made.apply(made.text(made.guest(made.silent)))
        assert (answer.accepted, answer.on_trial) == (True, True)
        assert answer.config_hash != in_force
        (told,) = await made.until(
            lambda: made.own_trouble("configuration not in force"), "the alarm"
        )
        began_us = made.clock.now().steady_us
        await made.until(lambda: made.taken("st3") > began_us, "the guest on its old wire")
        history = (await made.ask(Verb.HISTORY)).versions
        assert made.daemon.setup.config.model.config_hash == in_force
        assert made.site_file.read_text() == good
        await end_speech(made)
        assert made.stored("st1") == made.poles[0].sent
    assert (told["kind"], told["priority"]) == ("technical", 2)
    assert "guest delivers nothing" in told["text"]
    assert [v.how for v in history] == ["start", "apply", "apply", "rollback"]
    assert (history[-1].actor, history[-1].replaces) == ("gateway", 3)


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_a_person_goes_back_step_by_step_and_the_site_file_follows(tmp_path):
    async with square(tmp_path) as made:
        texts = [made.text(), made.text(made.guest()), made.text(made.guest(silence_s=9))]
        hashes = [made.daemon.setup.config.model.config_hash]
        for text in texts[1:]:
            hashes.append((await made.apply(text)).config_hash)
            await made.until(lambda: made.taken("st3"), "the guest")
            await made.confirmed()
        back = [await made.ask(Verb.ROLLBACK) for _ in range(3)]
        assert [answer.accepted for answer in back] == [True, True, False]
        assert [answer.config_hash for answer in back] == [hashes[1], hashes[0], hashes[0]]
        assert made.site_file.read_text() == texts[0]
        assert made.own_trouble("configuration not in force") == []


@pytest.mark.asyncio
@pytest.mark.timeout(180)
async def test_an_edited_site_file_is_applied_on_a_signal_and_refused_with_an_alarm(tmp_path):
    async with square(tmp_path) as made:
        made.site_file.write_text(made.text(made.guest()))
        made.daemon.reload.site_file_changed()
        await made.until(lambda: made.taken("st3"), "the guest")
        await made.confirmed()
        made.site_file.write_text(made.text(made.guest(baud_rate='"fast"')))
        made.daemon.reload.site_file_changed()
        (told,) = await made.until(
            lambda: made.own_trouble("configuration not in force"), "the alarm"
        )
        began_us = made.clock.now().steady_us
        await made.until(lambda: made.taken("st3") > began_us, "the guest, untouched")
        made.site_file.write_text(made.text())
        made.daemon.reload.site_file_changed()
        await made.until(lambda: len(made.own_trouble("configuration not in force")) > 1, "its end")
    assert "device[3]" in told["text"]
    assert made.own_trouble("configuration not in force")[-1]["state"] == "rtn_unack"
