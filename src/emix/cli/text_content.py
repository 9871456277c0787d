"""The bytes of a text file, from a disk, a pipe or standard input, plain or compressed by gzip.

A plain file on a disk is left there. Other input is kept in memory, and checked while it arrives: a device may have no
end, and bytes that are no text are refused long before memory is full.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

STANDARD_STREAM = "-"
_GZIP = b"\x1f\x8b"  # no text in UTF-8 begins so
CHUNK_BYTES = 1 << 20
# As long as a row of 3 million numbers. A file without line ends is refused after so many bytes.
LONGEST_LINE = 1 << 26


class TextContent:
    """The bytes of one text file.

    Parameters
    ----------
    source : str
        A path, or "-" for standard input.

    Raises
    ------
    ValueError
        If it is compressed and damaged, or a pipe or a device gives something else than text.
    OSError
        If it cannot be read.
    """

    def __init__(self, source: str) -> None:
        self._path = source
        self._kept: bytes | None = None
        if source == STANDARD_STREAM:
            if sys.stdin is None or sys.stdin.closed:
                raise ValueError("it is closed")
            self._kept = _text_of(sys.stdin.buffer)
            return
        with open(source, "rb") as stream:
            if not Path(source).is_file() or stream.peek(2)[:2] == _GZIP:
                self._kept = _text_of(stream)

    def open(self) -> BinaryIO:
        """Open the text at its beginning."""
        return open(self._path, "rb") if self._kept is None else io.BytesIO(self._kept)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the lines with their ends and their numbers, from 1.

        Raises
        ------
        ValueError
            At a line that is not UTF-8, or is too long.
        """
        with self.open() as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                _check_text(line, 0)
                if len(line) == LONGEST_LINE:
                    raise ValueError(f"line {number} does not end within {LONGEST_LINE >> 20} MiB: not a table")
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"line {number} is not UTF-8 (byte 0x{line[error.start]:02x} after {error.start} others): "
                        "save the file in that encoding"
                    ) from error


def _text_of(stream: BinaryIO) -> bytes:
    """Read a stream to its end, as long as it looks like lines of text."""
    content = bytearray()
    line_start = 0
    for chunk in _chunks(stream):
        _check_text(chunk, len(content))
        line_end = chunk.rfind(b"\n")
        if line_end >= 0:
            line_start = len(content) + line_end + 1
        content += chunk
        if len(content) - line_start > LONGEST_LINE:
            raise ValueError(f"no line ends within {LONGEST_LINE >> 20} MiB: not a table")
    return bytes(content)


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    # The first bytes tell if the stream is compressed. A buffer can show them even if the stream only goes forward.
    buffered = io.BufferedReader(cast("io.RawIOBase", stream), CHUNK_BYTES)
    try:
        packed = buffered.peek(2)[:2] == _GZIP
        reader = gzip.GzipFile(fileobj=buffered) if packed else buffered
        while chunk := reader.read(CHUNK_BYTES):
            yield chunk
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"its gzip compression is damaged or cut off ({error})") from error
    finally:
        buffered.detach()  # the stream belongs to the caller, and would be closed with the buffer


def _check_text(piece: bytes, offset: int) -> None:
    zero = piece.find(b"\0")
    if zero >= 0 and not piece.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16 is refused as not UTF-8
        raise ValueError(f"there is a zero byte after {offset + zero} others: not a text, or not one in UTF-8")
