"""Model files: a fitted model as data, never as code.

A model file is an ordinary ``.npz`` archive, stored without compression, whose members are

- ``header.npy``: UTF-8 JSON as uint8, ``{"format": "emix", "format_version": 1, "header": {...}, "arrays": [names]}``;
- one ``<name>.npy`` for each array: little-endian, C order, booleans, integers or floats of at most 8 bytes;
- ``sha256.npy``: the SHA-256 over the names and bytes of all the members before it.

``numpy.load(path)`` therefore opens a model file without emix. The same content gives the same bytes: the archive's
timestamps are fixed. Nothing in a file is executed, and no declared size is trusted: a stored member cannot be larger
than the file, and an array's declared shape must match its bytes exactly. The checksum finds accidents. It is no
signature: a file made by hand with a right checksum loads.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.lib.format as npy

from emix.exceptions import ModelFileError
from emix.files.output import writing

__all__ = ["encode_model", "load_made", "load_model", "save_model"]

Made = TypeVar("Made")

FORMAT = "emix"
FORMAT_VERSION = 1
"""The newest format that this code reads, and the format that it writes.

The number rises when an older emix would misread a file.
"""

_HEADER = "header"
_DIGEST = "sha256"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
# First bytes of an archive.
_MAGIC = b"PK\x03\x04"
# Beginning of MS-DOS time, which zip stores. A fixed time makes the bytes a function of the content alone.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_model(path: str | os.PathLike[str], header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all, as `emix.files.output.writing` does.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write, exactly as given: no suffix is added.
    header : mapping of str to anything that JSON can hold
        Must be equal to itself after a round trip through JSON: no tuples, no keys other than str, no NaN or infinity
        (put those into `arrays`).
    arrays : mapping of str to array_like
        Booleans, integers or floats of at most 8 bytes, of any shape. Names are Python identifiers of at most 64
        ASCII characters.

    Raises
    ------
    TypeError
        If the header is not JSON, or an array's dtype cannot be stored without pickle.
    ValueError
        If an array's name cannot be stored, or the header has a number that is not finite.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model"
    ...     save_model(path, {"kind": "Point"}, {"position": [1.0, 2.0]})
    ...     load_model(path, kind="Point")
    ({'kind': 'Point'}, {'position': array([1., 2.])})
    """
    content = encode_model(header, arrays)
    with writing(path) as stream:
        stream.write(content)


def load_model(
    path: str | os.PathLike[str], *, kind: str | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, np.dtype[Any]]]]:
    """Read a model file and check all of it before anything is returned.

    Parameters
    ----------
    path : str or os.PathLike
        A file written by :func:`save_model`.
    kind : str, optional
        Refuse a file whose header has another ``"kind"``.

    Returns
    -------
    header : dict
        As it was saved.
    arrays : dict of str to ndarray
        As they were saved: dtype, shape and values. Native byte order, C order, writable, no memory shared with
        anything.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file was not written by emix, is truncated or altered, was written by a newer format, or holds a
        model of another kind.
    """
    name = os.fspath(path)
    with open(name, "rb") as stream:
        # Only an archive is read beyond four bytes, not a table of gigabytes or a device that never ends.
        content = stream.read(len(_MAGIC))
        if content == _MAGIC:
            content += stream.read()
    try:
        header, arrays = _decode(name, content)
    except ModelFileError:
        raise
    except Exception as error:
        # The content is in memory, so any error while it is decoded comes from the content. zipfile and NumPy raise a
        # dozen classes for damage: BadZipFile, struct.error, NotImplementedError, EOFError, KeyError...
        raise ModelFileError(
            name, f"is damaged or is not a model file of emix ({_summary(error)}). {ADVICE}"
        ) from error
    if kind is not None and header.get("kind") != kind:
        raise ModelFileError(name, f"holds a model of kind {header.get('kind')!r:.100}, expected {kind!r}.")
    return header, arrays


def load_made(
    path: str | os.PathLike[str],
    kind: str,
    make: Callable[[dict[str, Any], dict[str, Any]], Made],
    what: str,
    remedy: str = "save the model again",
) -> Made:
    """Read a model file, and return the object that is made of its header and arrays.

    Parameters
    ----------
    path, kind
        As of `load_model`.
    make : callable
        (header, arrays) returns the object, or raises any of the errors of a value that it does not know.
    what, remedy : str
        Words for the message: "a GaussianMixture", "save the model again".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """
    header, arrays = load_model(path, kind=kind)
    try:
        return make(header, arrays)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        # The checksum is right: a newer emix wrote it, or somebody by hand.
        raise ModelFileError(
            os.fspath(path),
            f"holds {what} that this emix cannot read ({type(error).__name__}: {error}). Upgrade emix, or {remedy}.",
        ) from error


ADVICE = "Copy the file again from where it was saved, or fit and save the model anew."
"""Ends the message of a file that is damaged."""


def _summary(error: Exception) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__


def encode_model(header: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Return the bytes of the model file that `save_model` writes, for callers that send them elsewhere."""
    header = dict(header)
    members = {}
    for name, values in sorted(arrays.items()):
        if not _NAME.fullmatch(name) or name in (_HEADER, _DIGEST):
            raise ValueError(
                f"array name {name!r} cannot be stored: expected an ASCII identifier of at most 64 characters "
                f"other than {_HEADER!r} and {_DIGEST!r}."
            )
        members[name] = npy_bytes(name, values)
    envelope = {"format": FORMAT, "format_version": FORMAT_VERSION, "header": header, "arrays": list(members)}
    text = json.dumps(envelope, sort_keys=True, allow_nan=False)
    if json.loads(text) != envelope:
        raise TypeError(
            f"header does not survive JSON: {header!r:.200} would be read back as {json.loads(text)['header']!r:.200}. "
            "Use lists for tuples and str for keys."
        )
    # The header comes first: a reader of the file learns its version before anything else.
    members = {_HEADER: npy_bytes(_HEADER, np.frombuffer(text.encode(), dtype=np.uint8)), **members}
    members[_DIGEST] = npy_bytes(_DIGEST, digest_of(members.items()))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            info.create_system = 3  # Unix, on every platform
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def _decode(path: str, content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, np.dtype[Any]]]]:
    """Inverse of `encode_model`; raises ModelFileError, or any exception if the content is damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        # Members must be stored and together fit into the file: reading them costs no more than the file did.
        if any(info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size for info in infos):
            raise ModelFileError(path, f"has compressed members, which emix never writes. {ADVICE}")
        if sum(info.file_size for info in infos) > len(content):
            raise ModelFileError(path, f"has members that overlap or are larger than the file. {ADVICE}")
        names = [info.filename.removesuffix(".npy") for info in infos]
        if names[:1] != [_HEADER] or f"{_HEADER}.npy" != infos[0].filename:
            raise ModelFileError(path, "is not a model file of emix: its first member is not 'header.npy'.")
        first = archive.read(infos[0])
        envelope = _read_envelope(path, first)
        if [info.filename for info in infos] != [f"{n}.npy" for n in (_HEADER, *envelope["arrays"], _DIGEST)]:
            raise ModelFileError(path, f"has members {names!r:.200}, not those that its header lists. {ADVICE}")
        members = {_HEADER: first, **{n: archive.read(i) for n, i in zip(names[1:], infos[1:], strict=True)}}
    if len(members) != len(names):
        raise ModelFileError(path, f"has two members of one name: {names!r:.200}. {ADVICE}")
    stored = _read_npy(members.pop(_DIGEST))
    if not np.array_equal(stored, digest_of(members.items())):
        raise ModelFileError(path, f"was altered or damaged: its SHA-256 does not match its content. {ADVICE}")
    arrays = {name: _read_npy(data) for name, data in members.items() if name != _HEADER}
    return envelope["header"], arrays


def _read_envelope(path: str, data: bytes) -> dict[str, Any]:
    envelope = json.loads(_read_npy(data).tobytes().decode())
    if not isinstance(envelope, dict) or envelope.get("format") != FORMAT:
        raise ModelFileError(path, "is not a model file of emix: its header does not say so.")
    version = envelope.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ModelFileError(
            path, f"was written by format {version}, this emix reads up to {FORMAT_VERSION}: upgrade emix."
        )
    names = envelope.get("arrays")
    if version != FORMAT_VERSION or not isinstance(envelope.get("header"), dict) or not isinstance(names, list):
        raise ModelFileError(path, f"has a header that emix did not write. {ADVICE}")
    if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
        raise ModelFileError(path, f"lists arrays of unusual names: {names!r:.200}. {ADVICE}")
    return envelope


def digest_of(members: Iterable[tuple[str, bytes]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the SHA-256 of names and .npy bytes (dtype and shape are in them), each with its length before it."""
    state = hashlib.sha256()
    for name, data in members:
        for part in (name.encode(), data):
            state.update(len(part).to_bytes(8, "little"))
            state.update(part)
    return np.frombuffer(state.digest(), dtype=np.uint8)


def npy_bytes(name: str, values: Any) -> bytes:
    """Return an array as .npy bytes; the name is for the message if its dtype is refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"array {name!r} has dtype {array.dtype}: a model file holds booleans, integers and floats of at most "
            "8 bytes. Put text into the header."
        )
    buffer = io.BytesIO()
    # asarray, not ascontiguousarray, which would make a 0-d array 1-d.
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    npy.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _read_npy(data: bytes) -> np.ndarray[Any, np.dtype[Any]]:
    """Read .npy bytes; unlike numpy.load, check that the declared shape fits the bytes before anything is allocated."""
    stream = io.BytesIO(data)
    if npy.read_magic(stream) != (1, 0):
        raise ValueError("a member has an unknown .npy version")
    shape, fortran_order, dtype = npy.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.kind not in "biuf" or dtype.itemsize > 8 or fortran_order:
        raise ValueError(f"a member has dtype {dtype} or an order that emix never writes")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError(f"a member declares shape {shape}, which does not account for its bytes")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=True)
