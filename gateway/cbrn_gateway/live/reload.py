"""New configurations for a running daemon: applied, tried, kept, taken back.

One change at a time. A configuration that cannot be made changes nothing. One that is
applied is on trial: where something that worked before does not work with it, the daemon
goes back to the last confirmed one by itself and says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from cbrn_core.alarm import Event, EventKind, Reason
from cbrn_core.clock import Clock
from cbrn_core.errors import ConfigError, InputError, Problem, StorageError
from cbrn_core.times import US_PER_S, format_rfc3339
from cbrn_gateway.alarms.render import render_event
from cbrn_gateway.config.admission import candidate
from cbrn_gateway.config.plan import plan
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.config.versions import Versions
from cbrn_gateway.live.config_wire import ConfigAnswer, ConfigRequest, Verb, told
from cbrn_gateway.live.notices import Notices
from cbrn_gateway.live.setup import Setup
from cbrn_gateway.live.site_files import SiteFiles
from cbrn_gateway.live.trial import Trial, working
from cbrn_gateway.store.journal import Journal

_LOG = logging.getLogger(__name__)

GATEWAY = "gateway"
ABOUT = "configuration"
MOST_LINES = 1_000
LONGEST_STORING_S = 5.0
"""A disk that refuses must not keep anybody from the way back."""

_HASH_SHOWN = 12
_MOST_KNOWN = 10


class InForce(NamedTuple):
    """A configuration with its text and its number in the history, 0 where it is not kept."""

    config: SiteConfig
    text: str | None
    number: int


class Wish(NamedTuple):
    """A text that somebody wants in force; `replaces` makes it a way back, without a trial.

    `config` is what the text meant when it was in force before.
    """

    text: str
    actor: str
    how: str
    replaces: int | None = None
    reason: str | None = None
    config: SiteConfig | None = None


class Reload:
    """The one who changes the configuration; `save` makes a snapshot for the next start."""

    def __init__(
        self,
        setup: Setup,
        journal: Journal,
        notices: Notices,
        clock: Clock,
        save: Callable[[], Awaitable[None]],
    ) -> None:
        self.counters = {"config.applied": 0, "config.refused": 0, "config.rolled_back": 0}
        self._setup = setup
        self._journal = journal
        self._notices = notices
        self._clock = clock
        self._save = save
        self._versions = Versions(setup.config.data_dir)
        self._known: dict[int, SiteConfig] = {}
        self._current = self._confirmed = InForce(setup.config, None, 0)
        self._files = SiteFiles(setup.config.path)
        self._trial: Trial | None = None
        self._lock = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._signalled = False

    async def begin(self) -> None:
        """Put the configuration of this start on record: the site file is in force now."""
        config = self._setup.config
        self._notices.mended(Reason.CONFIG_NOT_IN_FORCE, ABOUT)
        try:
            text = await asyncio.to_thread(self._files.read)
        except ConfigError as error:
            _LOG.warning("this configuration cannot be kept: %s", error)
            return
        self._files.were_read(text, config)
        self._current = await self._kept(Wish(text, GATEWAY, "start"), config)
        self._confirmed = self._current

    def site_file_changed(self) -> None:
        """Apply the site file as it is now, as soon as `run` comes to it (SIGHUP)."""
        self._signalled = True
        self._stirred.set()

    async def run(self) -> None:
        """Obey signals and end trials until cancelled."""
        while True:
            await self._wait()
            async with self._lock:
                if self._signalled:
                    self._signalled = False
                    await self._apply_site_file()
                trial = self._trial
                if trial is not None and trial.due_us <= self._clock.now().steady_us:
                    await self._judge(trial)

    async def answer(self, line: bytes) -> bytes | None:
        """Answer a `cbrn-config/1`; None for any other line."""
        try:
            request = msgspec.json.decode(line, type=ConfigRequest)
        except msgspec.DecodeError:
            return None
        async with self._lock:
            return msgspec.json.encode(await self._obey(request))

    async def _obey(self, request: ConfigRequest) -> ConfigAnswer:
        try:
            if request.verb is Verb.HISTORY:
                versions = await asyncio.to_thread(self._versions.all)
                return self._answer(versions=tuple(versions))
            if request.verb is Verb.ROLLBACK:
                return await self._apply(await self._way_back(request))
            if request.text is None:
                return self._refused("apply needs the text of a site file")
            return await self._apply(Wish(request.text, request.actor, "apply"))
        except (InputError, StorageError) as error:
            return self._refused(str(error))

    async def _way_back(self, request: ConfigRequest) -> Wish:
        """Return what a rollback wants; raises InputError where there is no way back."""
        replaces, actor = self._current.number, request.actor
        config, text, _ = self._confirmed
        if request.hash is None and self._trial is not None and text is not None:
            return Wish(text, actor, "rollback", replaces, config=config)
        version = await asyncio.to_thread(self._versions.choose, request.hash)
        text = await asyncio.to_thread(self._versions.text, version)
        known = self._known.get(version.number)
        if known is None:
            own = await asyncio.to_thread(self._versions.own_profiles, version)
            try:
                known = await asyncio.to_thread(candidate, text, self._setup.config, own)
            except ConfigError as error:
                raise InputError(f"version {version.number} cannot be used: {error}") from None
        if known.model.config_hash != version.config_hash:
            shown = version.config_hash[:_HASH_SHOWN]
            raise InputError(
                f"{shown} cannot come back: a policy or playbook that it names was changed"
            )
        return Wish(text, actor, "rollback", replaces, config=known)

    async def _apply_site_file(self) -> None:
        try:
            text = await asyncio.to_thread(self._files.read)
        except ConfigError as error:
            answer = self._refused("the site file cannot be read", error.problems)
        else:
            answer = await self._apply(Wish(text, GATEWAY, "reload"))
            if answer.accepted:
                self._files.were_read(text, self._setup.config)
        if not answer.accepted:
            problems = [f"{p.path}: {p.reason}" for p in answer.problems]
            why = (*problems, answer.reason or "")[0]
            self._notices.failing(Reason.CONFIG_NOT_IN_FORCE, ABOUT, why)

    async def _apply(self, wish: Wish) -> ConfigAnswer:
        try:
            config = wish.config
            if config is None:
                config = await asyncio.to_thread(candidate, wish.text, self._setup.config)
            return await self._change(config, wish)
        except ConfigError as error:
            return self._refused("the configuration cannot be used", error.problems)
        except Exception as error:  # noqa: BLE001 - a defect in a change must not end the daemon
            _LOG.exception("the configuration cannot be changed")
            kind = type(error).__name__
            return self._refused(f"the gateway cannot make it ({kind}): nothing has changed")

    async def _change(self, config: SiteConfig, wish: Wish) -> ConfigAnswer:
        """Change to a configuration; raises what keeps it from being made."""
        planned = await asyncio.to_thread(plan, self._setup.config, config)
        if planned.is_empty and not self._setup.is_touched_by(config):
            if wish.replaces is None:
                self._files.were_read(None, config)
            return self._answer(reason="nothing changes")
        before = working(self._setup) if self._trial is None else self._trial.before
        await self._setup.change(config)
        began_us = self._clock.now().steady_us
        changes = tuple(planned.lines())[:MOST_LINES]
        self.counters["config.applied"] += 1
        self._trial = None
        if wish.replaces is None:
            self._files.were_read(None, config)
            self._trial = Trial(self._setup, self._confirmed.config, before, began_us)
            self._stirred.set()
        self._current = await self._recorded(wish, config, changes)
        if wish.replaces is not None:
            await self._confirm(write=wish.reason is None)
        return self._answer(changes=changes)

    async def _judge(self, trial: Trial) -> None:
        """End a trial: keep the new configuration, or go back to the confirmed one."""
        failures = trial.failures()
        if not failures:
            await self._confirm(write=True)
            return
        why = "; ".join(failures)
        config, text, _ = self._confirmed
        _LOG.error("the new configuration fails its trial: %s", why)
        wish = Wish(text or "", GATEWAY, "rollback", self._current.number, why, config)
        self._trial = None
        answer = await self._apply(wish)
        self.counters["config.rolled_back"] += answer.accepted
        self._notices.failing(Reason.CONFIG_NOT_IN_FORCE, ABOUT, why)

    async def _confirm(self, *, write: bool) -> None:
        """Make what is in force the configuration to go back to.

        `write` makes it that of the next start, too: not where the gateway went back by
        itself, since its files are then somebody's work that has still to be mended.
        """
        self._trial = None
        self._confirmed = self._current
        config, text, _ = self._current
        self._notices.mended(Reason.CONFIG_NOT_IN_FORCE, ABOUT)
        await self._setup.sinks.settle(config)
        if write and text is not None:
            await asyncio.to_thread(self._files.write, text, config)

    async def _recorded(self, wish: Wish, config: SiteConfig, changes: tuple[str, ...]) -> InForce:
        """Tell log, journal and history of a change, and let a restart go on from here."""
        shown = config.model.config_hash[:_HASH_SHOWN]
        _LOG.warning("configuration %s in force (%s by %s)", shown, wish.how, wish.actor)
        for line in changes:
            _LOG.info("%s", line)
        in_force = await self._kept(wish, config)
        event = Event(
            kind=EventKind.CONFIGURED,
            time_us=self._clock.now().wall_us,
            text=f"configuration {shown} in force ({wish.how})",
            actor=wish.actor,
            facts={"config_hash": config.model.config_hash, "reason": wish.reason},
        )
        try:
            async with asyncio.timeout(LONGEST_STORING_S):
                await self._journal.append([render_event(event, config.model.gateway)])
                await self._save()
        except (StorageError, TimeoutError) as error:
            _LOG.error("the change of configuration cannot be stored: %r", error)
        return in_force

    async def _kept(self, wish: Wish, config: SiteConfig) -> InForce:
        """Put a configuration into the history; without a disk it is in force all the same."""
        if not wish.text:
            return InForce(config, None, 0)
        try:
            version = await asyncio.to_thread(
                self._versions.add,
                wish.text,
                config.model.config_hash,
                time=format_rfc3339(self._clock.now().wall_us),
                actor=wish.actor,
                how=wish.how,
                replaces=wish.replaces,
                reason=wish.reason,
                own_profiles=config.own_profiles,
            )
        except StorageError as error:
            _LOG.error("this configuration cannot be kept: %s", error)
            return InForce(config, wish.text, 0)
        self._known[version.number] = config
        for number in list(self._known)[:-_MOST_KNOWN]:
            del self._known[number]
        return InForce(config, wish.text, version.number)

    async def _wait(self) -> None:
        """Return when there is a signal, another trial, or when the trial has ended."""
        wait_s = None
        if self._trial is not None:
            wait_s = max(0.0, (self._trial.due_us - self._clock.now().steady_us) / US_PER_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stirred.wait()
        self._stirred.clear()

    def _answer(self, **fields: Any) -> ConfigAnswer:  # noqa: ANN401 - those of the answer
        trial = self._trial
        left_us = 0 if trial is None else trial.due_us - self._clock.now().steady_us
        return ConfigAnswer(
            **{
                "accepted": True,
                "config_hash": self._setup.config.model.config_hash,
                "trial_s": max(0.0, left_us / US_PER_S),
                "on_trial": trial is not None,
                **fields,
            }
        )

    def _refused(self, reason: str, problems: Sequence[Problem] = ()) -> ConfigAnswer:
        self.counters["config.refused"] += 1
        _LOG.error("configuration refused: %s", "; ".join([reason, *map(str, problems)]))
        return self._answer(accepted=False, reason=reason, problems=told(problems))
