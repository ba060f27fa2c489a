"""Runs the pipeline over readings in virtual time; its outputs are deterministic to the byte."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, Protocol

import msgspec

from cbrn_core.errors import StorageError
from cbrn_core.estimate import Estimate
from cbrn_core.reading import Reading
from cbrn_core.times import US_PER_S, format_rfc3339
from cbrn_gateway.alarms.render import render_alert
from cbrn_gateway.config.site_config import SiteConfig
from cbrn_gateway.pipeline.pipeline import Pipeline, StepOutput
from cbrn_gateway.recording import to_json_line
from cbrn_gateway.replay.sources import SourceSchedule
from cbrn_gateway.store.chain import Chain

BATCH_READINGS = 512


class ReadingSource(Protocol):
    """A recording or a log."""

    started_us: int | None
    rejected: dict[str, int]

    def readings(self) -> Iterator[Reading]:
        """Yield readings in order of arrival."""
        ...


class Summary(msgspec.Struct, kw_only=True):
    """`summary.json`: what went in, what came out, what was lost and why."""

    schema: str = "cbrn-replay-summary/1"
    readings_in: int = 0
    readings_used: int = 0
    estimates: int = 0
    alerts: int = 0
    alarms_by_kind: dict[str, int] = {}
    drops: dict[str, int] = {}
    virtual_from: str | None = None
    virtual_until: str | None = None
    virtual_s: float = 0.0


def replay(config: SiteConfig, source: ReadingSource, out: Path) -> Summary:
    """Replay `source` into the files of `out`; nothing of `data_dir` is opened.

    Raises:
        StorageError: `out` cannot be written.
        InputError: the source cannot be read.
    """
    started_s = time.perf_counter()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as files:
            names = ("alerts", "estimates", "sources")
            opened = {n: files.enter_context((out / f"{n}.jsonl").open("wb")) for n in names}
            summary = _Run(config, opened).run(source)
        (out / "summary.json").write_bytes(_pretty(msgspec.to_builtins(summary)))
        wall_s = time.perf_counter() - started_s
        run = {"wall_s": wall_s, "version": version("cbrn-gateway")}
        (out / "run.json").write_bytes(_pretty(run))
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error}") from None
    return summary


class _Run:
    def __init__(self, config: SiteConfig, files: Mapping[str, IO[bytes]]) -> None:
        self._config = config
        self._files = files
        self._pipeline = Pipeline(config.model, config.policy)
        self._presentation = config.presentation
        self._chain = Chain(epoch=0)
        self._sources = SourceSchedule()
        self._kinds: dict[str, str] = {}
        self._summary = Summary()

    def run(self, source: ReadingSource) -> Summary:
        readings = source.readings()
        first_us = last_us = None
        while batch := list(islice(readings, BATCH_READINGS)):
            if first_us is None:
                first_us = batch[0].received_us if source.started_us is None else source.started_us
                self._pipeline.start(first_us)
            last_us = max(self._pipeline.now_us, *(r.received_us for r in batch))
            self._summary.readings_in += len(batch)
            self._write(self._pipeline.step(last_us, batch))
        return self._closed(source, first_us, last_us)

    def _write(self, out: StepOutput) -> None:
        self._summary.readings_used += len(out.readings)
        self._summary.estimates += len(out.estimates)
        for estimate in out.estimates:
            self._files["estimates"].write(to_json_line(_estimate_line(estimate)))
        for alarm in out.alarms:
            self._write_sources(alarm.changed_us)
            self._sources.note(alarm)
            self._kinds[alarm.id] = alarm.condition.key.kind.value
            alert = render_alert(alarm, self._config.model, self._presentation)
            self._files["alerts"].write(to_json_line(self._chain.seal(alert)))
            self._summary.alerts += 1
        self._write_sources(self._pipeline.now_us)

    def _write_sources(self, until_us: int) -> None:
        for line in self._sources.advance(until_us):
            self._files["sources"].write(to_json_line(dict(line)))

    def _closed(self, source: ReadingSource, first_us: int | None, last_us: int | None) -> Summary:
        summary = self._summary
        counts = {
            **self._pipeline.drops.counts(),
            **source.rejected,
            **self._pipeline.rules.counters(),
        }
        summary.drops = {name: number for name, number in sorted(counts.items()) if number}
        summary.alarms_by_kind = dict(sorted(Counter(self._kinds.values()).items()))
        if first_us is not None and last_us is not None:
            summary.virtual_from = format_rfc3339(first_us)
            summary.virtual_until = format_rfc3339(last_us)
            summary.virtual_s = (last_us - first_us) / US_PER_S
        return summary


def _estimate_line(estimate: Estimate) -> dict[str, object]:
    line: dict[str, object] = {
        "time": format_rfc3339(estimate.time_us),
        "station": estimate.station,
        "channel": estimate.channel,
        "value": estimate.value,
        "sigma": estimate.sigma,
        "unit": estimate.unit.value,
        "nis": estimate.nis,
        "quality": estimate.quality.value,
    }
    if estimate.flags:
        line["flags"] = [flag.value for flag in estimate.flags]
    if estimate.fix is not None:
        line["lat"], line["lon"] = estimate.fix.lat, estimate.fix.lon
    return line


def _pretty(fields: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
