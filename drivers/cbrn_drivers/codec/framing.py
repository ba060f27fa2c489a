"""Cutting byte streams into frames, with resynchronisation and capped buffers."""

from collections.abc import Callable


class LineFramer:
    """Cuts a stream into lines; a frame is the text after the last start character.

    A frame that was cut off and the good one behind it share a line: only the good one
    is kept. Blank lines are passed over.

    Args:
        starts: characters that may start a frame; empty: the whole line is the frame.
        comment: a line that begins so is handed out whole, unless a frame starts in it.
        limit: longest frame in bytes; what is longer is thrown away up to its end.

    Attributes:
        skipped_bytes: thrown away so far, line ends not counted.
    """

    def __init__(self, starts: bytes = b"", *, comment: bytes = b"", limit: int = 512) -> None:
        self.skipped_bytes = 0
        self._starts = starts
        self._comment = comment
        self._limit = limit
        self._rest = b""
        self._overrun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes in, return the frames completed by them, without line ends."""
        *lines, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        frames = [frame for line in lines if (frame := self._end_line(line))]
        self._rest = rest if len(rest) <= self._limit else self._cut(rest)
        return frames

    def reset(self) -> None:
        """Forget the unfinished line."""
        self.skipped_bytes += len(self._rest)
        self._rest = b""
        self._overrun = False

    def _end_line(self, line: bytes) -> bytes:
        if not line:  # between the two characters of a line end
            self._overrun = False
            return b""
        tail_of_overrun, self._overrun = self._overrun, False
        frame = after_last_start(line, self._starts)
        if tail_of_overrun and not self._starts:
            frame = b""
        elif not frame and not tail_of_overrun and self._comment and line.startswith(self._comment):
            frame = line
        if len(frame) > self._limit:
            frame = b""
        self.skipped_bytes += len(line) - len(frame)
        return frame

    def _cut(self, rest: bytes) -> bytes:
        """Return what may still become a frame of a line that is too long."""
        tail = after_last_start(rest, self._starts) if self._starts else b""
        if len(tail) > self._limit:
            tail = b""
        self.skipped_bytes += len(rest) - len(tail)
        self._overrun = True
        return tail


def after_last_start(line: bytes, starts: bytes) -> bytes:
    """Return the line from its last start character on, b"" where it has none."""
    if not starts:
        return line
    position = max([line.rfind(start) for start in starts])
    return line[position:] if position >= 0 else b""


class FixedFramer:
    """Cuts a stream into frames of one length that begin with `start` and pass `check`.

    Where a candidate fails, one byte is dropped and the search goes on: a good frame
    behind a damaged one is never lost.

    Attributes:
        skipped_bytes: thrown away so far.
        failed_frames: candidates with the start byte that failed `check`.
    """

    def __init__(self, start: int, length: int, check: Callable[[bytes], bool]) -> None:
        self.skipped_bytes = 0
        self.failed_frames = 0
        self._start = bytes((start,))
        self._length = length
        self._check = check
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes in, return the frames completed by them."""
        if not self._buffer and self._is_frame(chunk):
            return [chunk]  # by far the most: one whole frame
        self._buffer += chunk
        frames: list[bytes] = []
        position = 0
        while (found := self._buffer.find(self._start, position)) >= 0:
            candidate = bytes(self._buffer[found : found + self._length])
            if len(candidate) < self._length:
                break
            self.skipped_bytes += found - position
            if self._check(candidate):
                frames.append(candidate)
                position = found + self._length
            else:
                self.failed_frames += 1
                self.skipped_bytes += 1
                position = found + 1
        keep_from = found if found >= 0 else len(self._buffer)
        self.skipped_bytes += keep_from - position
        del self._buffer[:keep_from]
        return frames

    def reset(self) -> None:
        """Forget the unfinished frame."""
        self.skipped_bytes += len(self._buffer)
        self._buffer.clear()

    def _is_frame(self, chunk: bytes) -> bool:
        right_size = len(chunk) == self._length
        return right_size and chunk.startswith(self._start) and self._check(chunk)
