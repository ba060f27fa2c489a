"""Whatever arrives on a wire, a simulated instrument survives it in bounded memory."""

import struct
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from samples.examples import examples

from cbrn_core.errors import FrameError
from cbrn_sim.faults import Fault, Faults
from cbrn_sim.instruments.counting import PulseCounter
from cbrn_sim.instruments.gmc import Gmc
from cbrn_sim.instruments.gmc_memory import Dialect
from cbrn_sim.instruments.modbus_frames import (
    MbapAssembler,
    RtuAssembler,
    RtuRequest,
    answer,
    rtu_frame,
)
from cbrn_sim.instruments.xcd import SensepointXcd, XcdSettings
from cbrn_sim.instruments.ze03 import Ze03
from cbrn_sim.streams import stream

CHUNKS = st.lists(st.binary(max_size=300), max_size=8)
READ = bytes.fromhex("0300020005")


class NoWire:
    async def plug(self):
        """Do nothing."""

    async def unplug(self):
        """Do nothing."""

    def freeze(self, on):
        """Do nothing."""


def well():
    return Faults("unit", NoWire(), stream(1, "x"), knows=frozenset(Fault))


XCD = SensepointXcd(XcdSettings(unit_id=5), lambda _t_s: 1.0, lambda: 1.0, well())


@examples(1500)
@given(st.binary(max_size=260))
def test_any_request_gets_a_well_formed_answer(pdu):
    reply = answer(XCD, pdu)
    function = pdu[0] if pdu else 0
    if reply[0] == function and not function & 0x80:
        assert function in (3, 4)
        count = struct.unpack(">H", pdu[3:5])[0]
        assert reply[1] == 2 * count == len(reply) - 2
    else:
        assert reply[0] == function | 0x80
        assert reply[1] in (1, 2, 3)
        assert len(reply) == 2


@examples(1000)
@given(CHUNKS)
def test_any_tcp_stream_is_cut_or_refused(chunks):
    assembler = MbapAssembler()
    with suppress(FrameError):
        for chunk in chunks:
            for request in assembler.feed(chunk):
                assert 1 <= len(request.pdu) <= 253
                assert len(request.reply(answer(XCD, request.pdu))) <= 260
    assert len(assembler._buffer) <= 260


@examples(1000)
@given(CHUNKS)
def test_a_good_request_is_answered_after_any_burst_and_a_silence(chunks):
    assembler = RtuAssembler()
    for chunk in chunks:
        assembler.feed(chunk, 0.0)
    assert len(assembler._buffer) <= 256 + 8
    assert assembler.feed(rtu_frame(5, READ), 1.0)[-1:] == [RtuRequest(5, READ)]


@examples(500)
@given(CHUNKS, st.sampled_from(Dialect))
def test_a_geiger_counter_answers_after_any_rubbish(chunks, dialect):
    tube = PulseCounter(lambda _t_s: 1.0, stream(1, "x"))
    counter = Gmc(dialect, tube, lambda _t_s: datetime(2026, 1, 1, tzinfo=UTC), well())
    for chunk in chunks:
        counter.receive(chunk, 0.0)
        assert len(counter._buffer) <= 32
    # An unfinished command may swallow as much as its parameters are long.
    counter.receive(b"\0" * 16 + b"<POWERON>>", 0.0)
    assert counter.receive(b"<GETVER>>", 0.0).startswith(b"GMC-")


@examples(500)
@given(CHUNKS)
def test_a_gas_module_answers_after_any_rubbish(chunks):
    module = Ze03("nh3", lambda _t_s: 5.0, well())
    for chunk in chunks:
        module.receive(chunk, 0.0)
        assert len(module._buffer) < 9
    module.receive(bytes(9), 0.0)
    read = bytes.fromhex("ff0186000000000079")
    assert module.receive(read, 0.0).hex() == "ff8600050000000075"
