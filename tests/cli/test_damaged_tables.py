"""Tables that are damaged or odd in thousands of ways: each is read, or refused in one line."""

from __future__ import annotations

import gzip
import io
import random
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from emix.cli.command_line import main

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.random.default_rng(0).normal(size=(12, 3)).round(4)
FRAME = pl.DataFrame(VALUES, schema=["a", "b", "c"])
BITS = [
    *(b",", b";", b"\t", b" ", b"|", b"\n", b"\r", b"\r\n", b"\n\n", b'"', b"'", b"#", b"\0", b"\xff", b"\xef\xbb\xbf"),
    *(b"NA", b"#N/A", b".", b"-", b"nan", b"inf", b"1e999", b"1_0", b"1,5", b"true", b"9" * 400, b"a", b"\x1f\x8b"),
    *(b"\xc2\xa0", b"\xe2\x80\xa8", b"\x0c", b"\x1c", b"{", b"PK\x03\x04"),
]
SUFFIXES = [".csv", ".tsv", ".txt", ".dat", ".gz", ".npy", ".parquet"]


def sound_files() -> list[tuple[str, bytes]]:
    """Files of every kind, with their suffixes."""
    files = []
    for separator in (",", ", ", ";", "\t", "|", " ", "   "):
        for before in (separator.join("abc") + "\n", "", "# one\n" + separator.join("abc") + "\n"):
            text = before + "".join(separator.join(map(str, row)) + "\n" for row in VALUES.tolist())
            files += [(suffix, text.encode()) for suffix in (".csv", ".txt")]
    numbered = "".join(f'"{i}",{a},{b},{c}\n' for i, (a, b, c) in enumerate(VALUES.tolist()))
    files.append((".csv", ('"","a","b","c"\n' + numbered).encode()))
    files += [(".csv.gz", gzip.compress(content)) for _, content in files[::5]]
    for dtype in ("f8", "f4", "i4", ">f8", "f2", "g", "O", "U5", "M8[s]"):
        stream = io.BytesIO()
        np.save(stream, VALUES.astype(dtype))
        files.append((".npy", stream.getvalue()))
    for compression in ("zstd", "snappy", "uncompressed", "gzip"):
        stream = io.BytesIO()
        FRAME.with_columns(d=pl.Series([None, 1.0] * 6)).write_parquet(stream, compression=compression)
        files.append((".parquet", stream.getvalue()))
    return files


def damage(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    kind = rng.random()
    if rng.random() < 0.1:
        return content
    # Parquet is only cut off: told of a page of 2**61 values, polars asks for their memory and ends the process.
    if kind < 0.15 or content.startswith(b"PAR1"):
        return content[: rng.randrange(len(content) + 1)]
    if kind < 0.2:
        return rng.randbytes(rng.randrange(300))
    if kind < 0.6:
        for _ in range(rng.choice([1, 1, 2, 5])):
            place = rng.randrange(len(changed) + 1)
            changed[place : place + rng.choice([0, 0, 1, 3])] = rng.choice(BITS)
    elif kind < 0.85:
        for _ in range(rng.choice([1, 3, 10])):
            # Half of it where the headers of binary files are, at both ends.
            place = rng.choice([rng.randrange(len(changed)), rng.randrange(130) - rng.choice([0, 130])])
            changed[place % len(changed)] = rng.randrange(256)
    else:
        begin, end = sorted(rng.randrange(len(content)) for _ in range(2))
        changed = changed[:begin] + changed[end:]
    return bytes(changed)


@pytest.mark.parametrize("seed", range(8))
def test_no_table_ends_in_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], seed: int
) -> None:
    rng = random.Random(seed)
    FRAME.write_csv(tmp_path / "sound.csv")
    model = str(tmp_path / "m.npz")
    assert main(["fit", str(tmp_path / "sound.csv"), "-k", "1", "--quiet", "--out", model]) == 0
    files = sound_files()
    n_read = 0
    for _ in range(250):
        suffix, content = rng.choice(files)
        content = damage(content, rng)
        if rng.random() < 0.1:
            suffix = rng.choice(SUFFIXES)
        path = tmp_path / f"rows{suffix}"
        path.write_bytes(content)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        source = rng.choice([str(path), str(path), str(path), "-"])
        command = rng.choice([["fit", source, "-k", "1"], ["score", model, source]])
        command += rng.choice([[], [], ["--missing", "drop"], ["--columns", "a,b"], ["--no-header"]])
        code = main(command)
        out, err = capfd.readouterr()
        seen = f"{command} of {content!r} gives {code}, {err!r}"
        lines = err.splitlines()
        assert code in (0, 1, 3), seen
        assert all(line.startswith(("emix: error: ", "emix: warning: ")) for line in lines), seen
        assert sum(line.startswith("emix: error: ") for line in lines) == (code == 1), seen
        assert (out == "") == (code == 1), seen
        assert len(err) < 2000, seen
        n_read += code != 1
    assert n_read > 12  # not all are refused for one reason
