"""One detector on a Modbus bus: how it is proven, read and judged."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from cbrn_core.channel import Device
from cbrn_core.clock import Clock, Now
from cbrn_core.errors import ExceptionReply, FrameError, ReadTimeout
from cbrn_core.reading import Flag, Quality, Reading
from cbrn_core.times import seconds_to_us
from cbrn_drivers.codec.modbus import ReadRequest
from cbrn_drivers.decoded import DecodedReading, as_readings
from cbrn_drivers.modbus_plan import Plan, Value, registers_at, values_in
from cbrn_drivers.modbus_profile import RegisterMap
from cbrn_drivers.modbus_verdict import GasMatch, Standing, fault_readings, gas_match, readings_of

ILLEGAL_ADDRESS = 2
NOT_THERE = frozenset({1, 2, 3})
"""Exception codes that say that the instrument has no such register."""
BUSY = frozenset({5, 6})
"""Exception codes that ask for patience (application protocol §7): acknowledge, busy."""

Read = Callable[[ReadRequest], Awaitable[tuple[int, ...]]]
Count = Callable[[str], None]


class Sample(NamedTuple):
    """Values of one round of reads; `at.wall_us` is half way between question and answer."""

    values: dict[str, Value]
    at: Now


class Detector:
    """Knows what has been proven about one device since it last fell silent.

    `read` asks the instrument, `count` counts what went wrong under a name.
    """

    def __init__(
        self,
        device: Device,
        registers: RegisterMap,
        *,
        unit_id: int,
        clock: Clock,
        read: Read,
        count: Count,
        gas_scale: float | None = None,
    ) -> None:
        self.device = device
        self.registers = registers
        self._unit_id = unit_id
        self._clock = clock
        self._read = read
        self._count = count
        self._gas_scale = gas_scale
        self._channel_ids = tuple(c.id for c in device.channels)
        self.plan = Plan(registers, unit_id, self._channel_ids, registers.max_gap)
        self._proven = False
        self._refused: str | None = None
        self._hint: str | None = None
        self._gas_doubt: str | None = None
        self._slow_due_us = 0
        self._heart: Value = None
        self._beat_us = 0

    def doubt(self) -> None:
        """Forget what was proven: the device fell silent, or the wire was opened again.

        The identity that is then read first has another length than a sample, so that a
        late reply to the sample cannot pass for the next one.
        """
        self._proven = False
        self._hint = None
        self._heart = None

    async def poll(self) -> list[Reading]:
        """Return the readings of one visit.

        Raises:
            TransportError: no answer, or no connection.
            FrameError: a damaged or a foreign reply; the instrument asks for patience.
        """
        try:
            if not self._proven:
                await self._prove()
            if self._refused is not None:
                self._proven = False
                return self._ill(self._refused)
            sample = await self._sample_once_or_split()
        except ExceptionReply as error:
            if error.code in BUSY:
                raise
            self._count(f"refused_{error.code}")
            return self._ill(str(error), error.code)
        return self._judged(sample) + await self._slow()

    async def _prove(self) -> None:
        """Check identity and gas; what is wrong stays in `_refused`."""
        wrong = await self._wrong_identity(0)
        if wrong is not None:
            self._count("identity_wrong")
            if self._hint is None:
                self._hint = await self._where_it_is()
            self._refused = wrong + self._hint
            return
        self._hint = None
        self._refused = await self._wrong_gas()
        self._proven = True

    async def _wrong_identity(self, shift: int) -> str | None:
        """Return what is wrong with the identity `shift` registers further on."""
        identity = self.registers.identity
        if identity is None:
            return None
        field = self.registers.fields[identity.field]
        asked = [r._replace(address=r.address + shift) for r in self.plan.identity]
        if any(r.address < 0 for r in asked):
            return "no such register"
        words: dict[tuple[int, int], int] = {}
        try:
            for planned, request in zip(self.plan.identity, asked, strict=True):
                words |= registers_at(planned, await self._read(request))
        except ExceptionReply as error:
            if error.code not in NOT_THERE:
                raise
            return f"wrong identity: register {field.register} is refused"
        values = values_in(self.registers, words)
        kind = values.get(identity.field)
        if kind not in identity.values:
            expected = " or ".join(str(v) for v in identity.values)
            return f"wrong identity: register {field.register} says {kind}, not {expected}"
        own = values.get(identity.address_field) if identity.address_field else self._unit_id
        if own != self._unit_id:
            return f"wrong identity: it says that it is unit {own}, not {self._unit_id}"
        return None

    async def _where_it_is(self) -> str:
        """Return a hint where the identity lies one register beside its place, else ""."""
        for shift in (1, -1):
            try:
                found = await self._wrong_identity(shift) is None
            except (FrameError, ReadTimeout):
                found = False
            if found:
                base = self.registers.address_base - shift
                self._count("address_off_by_one")
                return f"; addresses are off by one: set address_base = {base}"
        return ""

    async def _wrong_gas(self) -> str | None:
        self._gas_doubt = None
        judged = [
            channel_id
            for channel_id, m in self.registers.measurements_of(self._channel_ids)
            if m.judged
        ]
        if self.registers.gas is None or not judged:
            return None
        channel = next(c for c in self.device.channels if c.id == judged[0])
        try:
            values = (await self._round(self.plan.gas_name)).values
        except ExceptionReply as error:
            if error.code not in NOT_THERE:
                raise
            self._count("gas_name_unreadable")
            return None
        match, shown = gas_match(self.registers, values, channel.quantity)
        if match is GasMatch.OTHER:
            self._count("gas_mismatch")
            return f"fitted for {shown!r}, configured for {channel.quantity}"
        if match is GasMatch.UNKNOWN:
            self._count("gas_name_unknown")
            self._gas_doubt = f"gas name {shown!r} is unknown"
        if match is GasMatch.UNNAMED:
            self._count("gas_name_empty")
        return None

    async def _sample_once_or_split(self) -> Sample:
        try:
            return await self._round(self.plan.sample)
        except ExceptionReply as error:
            if error.code != ILLEGAL_ADDRESS:
                raise
        # Some detectors refuse a block that takes a register along which they do not have.
        exact = Plan(self.registers, self._unit_id, self._channel_ids, max_gap=0)
        sample = await self._round(exact.sample)
        if exact.sample != self.plan.sample:
            self.plan = exact
            self._count("reads_split")
        return sample

    async def _round(self, requests: Sequence[ReadRequest]) -> Sample:
        asked = self._clock.now()
        words: dict[tuple[int, int], int] = {}
        for request in requests:
            words |= registers_at(request, await self._read(request))
        answered = self._clock.now()
        at = Now(answered.steady_us, (asked.wall_us + answered.wall_us) // 2)
        return Sample(values_in(self.registers, words), at)

    def _judged(self, sample: Sample) -> list[Reading]:
        decoded = readings_of(
            self.registers,
            sample.values,
            self.device.channels,
            gas_scale=self._gas_scale,
            before=self._known_before(sample),
        )
        return as_readings(decoded, self.device, sample.at)

    def _known_before(self, sample: Sample) -> Standing:
        standing = Standing()
        if self._gas_doubt is not None:
            standing = standing.but(Quality.GOOD, Flag.INSTRUMENT_WARNING, self._gas_doubt)
        if self._heart_stands(sample):
            standing = standing.but(Quality.STALE, Flag.STUCK, "heartbeat stands still")
        return standing

    def _heart_stands(self, sample: Sample) -> bool:
        heartbeat = self.registers.heartbeat
        if heartbeat is None:
            return False
        beat = sample.values.get(heartbeat.field)
        if self._heart is None or beat != self._heart:
            self._heart, self._beat_us = beat, sample.at.steady_us
        return sample.at.steady_us - self._beat_us > seconds_to_us(heartbeat.stale_after_s)

    async def _slow(self) -> list[Reading]:
        """Return temperature and the like now and then; its failure never costs the sample."""
        now_us = self._clock.now().steady_us
        if not self.plan.slow or now_us < self._slow_due_us:
            return []
        self._slow_due_us = now_us + seconds_to_us(self.registers.slow_period_s)
        try:
            sample = await self._round(self.plan.slow)
        except ExceptionReply:
            self._count("slow_refused")
            return []
        except (ReadTimeout, FrameError):
            self._count("slow_unanswered")
            self.doubt()
            return []
        decoded = readings_of(self.registers, sample.values, self.device.channels)
        return as_readings(decoded, self.device, sample.at)

    def _ill(self, text: str, code: int | None = None) -> list[Reading]:
        decoded: list[DecodedReading] = fault_readings(
            self.registers, self.device.channels, text, code
        )
        return as_readings(decoded, self.device, self._clock.now())
