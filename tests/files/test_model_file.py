"""Model files: what is saved comes back exactly, and anything else is refused."""

from __future__ import annotations

import io
import os
import pickle
import stat
import zipfile
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emix.exceptions import ModelFileError
from emix.files import model_file
from emix.files.model_file import load_model, save_model

HEADER: dict[str, Any] = {
    "kind": "GaussianMixture",
    "n_components": 2,
    "tol": 1e-6,
    "feature_names": ["a", "b\u00e9"],
    "x": None,
}
ARRAYS: dict[str, Any] = {
    "weights": np.array([0.25, 0.75]),
    "means": np.arange(4, dtype=np.float32).reshape(2, 2),
    "converged": np.array(True),
    "empty": np.zeros((0, 3)),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    save_model(path, HEADER, ARRAYS)
    return path


def assert_same_content(loaded: tuple[dict[str, Any], dict[str, Any]], header: Any, arrays: Any) -> None:
    assert loaded[0] == header
    assert sorted(loaded[1]) == sorted(arrays)
    for name, expected in arrays.items():
        found = loaded[1][name]
        expected = np.asarray(expected)
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert found.shape == expected.shape
        assert found.tobytes() == expected.astype(found.dtype).tobytes()
        assert found.flags.writeable and found.flags.c_contiguous


def make_archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def with_right_digest(envelope: bytes, **arrays: bytes) -> dict[str, bytes]:
    """Members of a file that lies, but whose checksum is right: what a person with intent would make."""
    members = {"header": model_file.npy_bytes("header", np.frombuffer(envelope, np.uint8)), **arrays}
    members["sha256"] = model_file.npy_bytes("sha256", model_file.digest_of(members.items()))
    return {f"{name}.npy": data for name, data in members.items()}


# Saved content comes back


def test_round_trip(saved: Path) -> None:
    assert_same_content(load_model(saved), HEADER, ARRAYS)
    assert_same_content(load_model(str(saved), kind="GaussianMixture"), HEADER, ARRAYS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(lambda n: n not in ("header", "sha256"))
dtypes = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes(sizes=(16, 32, 64))
)
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.dictionaries(st.text(), json_values, max_size=4), values=st.dictionaries(names, arrays, max_size=4))
def test_anything_that_can_be_saved_round_trips(tmp_path: Path, header: dict[str, Any], values: dict[str, Any]) -> None:
    # NaN payloads and the sign of zero too: bytes are compared, not values.
    save_model(tmp_path / "any", header, values)
    assert_same_content(load_model(tmp_path / "any"), header, values)


def test_strided_fortran_and_big_endian_arrays_keep_their_values(tmp_path: Path) -> None:
    base = np.arange(24.0).reshape(4, 6)
    values = {"strided": base[::2, ::-3], "fortran": np.asfortranarray(base), "big": base.astype(">f8")}
    save_model(tmp_path / "m", {}, values)
    assert_same_content(load_model(tmp_path / "m"), {}, values)


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    save_model(tmp_path / "a", HEADER, ARRAYS)
    save_model(tmp_path / "b", dict(reversed(HEADER.items())), dict(reversed(ARRAYS.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_numpy_alone_opens_the_file(saved: Path) -> None:
    with np.load(saved, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["weights"], ARRAYS["weights"])
        assert archive["header"].tobytes().startswith(b'{"arrays"')


# Writing


@pytest.mark.parametrize("name", ["model", "model.npz", "model.emix", "no suffix.", "\u6a21\u578b"])
def test_the_path_is_taken_as_given(tmp_path: Path, name: str) -> None:
    save_model(tmp_path / name, HEADER, ARRAYS)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert_same_content(load_model(tmp_path / name), HEADER, ARRAYS)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_model(saved, {"kind": "other"}, {})
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]


def test_bad_content_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(TypeError, match=r"header does not survive JSON.*Use lists for tuples"):
        save_model(path, {"shape": (1, 2)}, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_model(path, {"tol": float("nan")}, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        save_model(path, {"rng": object()}, {})
    for values in (
        np.array([object()]),
        np.array(["text"]),
        np.array([1j]),
        np.zeros(2, "i4,f8"),
        np.zeros(1, "M8[s]"),
    ):
        with pytest.raises(TypeError, match=r"array 'a' has dtype .* Put text into the header"):
            save_model(path, {}, {"a": values})
    for name in ("", "a/b", "../a", "a.npy", "header", "sha256", "x" * 65, "1a", "\u00e9", "a\n"):
        with pytest.raises(ValueError, match=r"array name .* cannot be stored: expected an ASCII identifier"):
            save_model(path, {}, {name: 1.0})
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist: '.*model'"):
        save_model(tmp_path / "missing" / "model", HEADER, ARRAYS)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no permission bits, and symbolic links not for everyone")
def test_permissions_and_links_are_kept(saved: Path) -> None:
    saved.chmod(0o640)
    link = saved.parent / "link"
    link.symlink_to(saved.name)
    save_model(link, {"kind": "new"}, {})
    assert link.is_symlink() and stat.S_IMODE(saved.stat().st_mode) == 0o640
    assert load_model(saved)[0] == {"kind": "new"}
    plain = saved.parent / "plain"
    plain.touch()
    fresh = saved.parent / "fresh"
    save_model(fresh, {}, {})
    # A new file gets what the umask gives any new file, not the 0600 of a temporary one.
    assert fresh.stat().st_mode == plain.stat().st_mode


# Refusing


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.npz"):
        load_model(tmp_path / "missing.npz")


def test_every_flipped_byte_is_refused_or_changes_nothing(saved: Path) -> None:
    content = saved.read_bytes()
    harmless = 0
    for position in range(len(content)):
        for mask in (0xFF, 0x01):
            damaged = bytearray(content)
            damaged[position] ^= mask
            saved.write_bytes(damaged)
            try:
                loaded = load_model(saved)
            except ModelFileError:
                continue
            harmless += 1
            assert_same_content(loaded, HEADER, ARRAYS)
    # Zip does not read times, versions, attributes and the copy of sizes and CRC before each member's bytes, less than
    # 50 bytes for each of the six members. More would mean that content is read unchecked.
    assert harmless < 2 * 50 * 6


def test_every_truncation_is_refused(saved: Path) -> None:
    content = saved.read_bytes()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"model\.npz.*(not a model file|damaged)"):
            load_model(saved)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18), pickle.dumps({"a": 1}), bytes(1000)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ModelFileError, match="not a model file of emix") as caught:
        load_model(tmp_path / "other")
    assert caught.value.path == str(tmp_path / "other")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_other_npz_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, weights=np.ones(3))
    with pytest.raises(ModelFileError, match=r"not a model file of emix: its first member is not 'header\.npy'"):
        load_model(path)
    np.savez(path, header=np.frombuffer(b'{"format": "other"}', np.uint8))
    with pytest.raises(ModelFileError, match="not a model file of emix: its header does not say so"):
        load_model(path)


def test_another_kind_is_refused(saved: Path) -> None:
    with pytest.raises(ModelFileError, match="holds a model of kind 'GaussianMixture', expected 'HiddenMarkov'"):
        load_model(saved, kind="HiddenMarkov")


def test_a_newer_format_asks_for_an_upgrade(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The version is read first, whatever else a later format changes.
    envelope = b'{"format": "emix", "format_version": 3, "tensors": {}}'
    make_archive(saved, {**with_right_digest(envelope), "tensors/0": b"new"})
    with pytest.raises(ModelFileError, match="was written by format 3, this emix reads up to 1: upgrade emix"):
        load_model(saved)


def test_an_altered_array_under_a_right_crc_is_refused(saved: Path) -> None:
    # zip's own CRC protects against accidents inside a member; rewritten members need the SHA-256.
    with zipfile.ZipFile(saved) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members["weights.npy"] = model_file.npy_bytes("weights", np.array([0.5, 0.5]))
    make_archive(saved, members)
    with pytest.raises(ModelFileError, match="altered or damaged: its SHA-256 does not match"):
        load_model(saved)
    del members["weights.npy"]
    make_archive(saved, members)
    with pytest.raises(ModelFileError, match=r"has members .* not those that its header lists"):
        load_model(saved)


def npy_with_header(text: str, data: bytes = b"") -> bytes:
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "member",
    [
        npy_with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", pickle.dumps([print])),
        npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", bytes(8)),
        npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", bytes(8)),
        npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}", bytes(8)),
        npy_with_header("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", bytes(24)),
        npy_with_header("{'descr': '|S8', 'fortran_order': False, 'shape': (1,)}", bytes(8)),
        npy_with_header("__import__('os').system('true')"),
        b"no array",
    ],
)
def test_members_that_lie_under_a_right_checksum_are_refused(tmp_path: Path, member: bytes) -> None:
    envelope = b'{"format": "emix", "format_version": 1, "header": {}, "arrays": ["a"]}'
    make_archive(tmp_path / "m", with_right_digest(envelope, a=member))
    with pytest.raises(ModelFileError, match="is damaged or is not a model file"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    "envelope",
    [
        b"[]",
        b"{",
        b"\xff",
        b'{"format": "emix"}',
        b'{"format": "emix", "format_version": "1", "header": {}, "arrays": []}',
        b'{"format": "emix", "format_version": 0, "header": {}, "arrays": []}',
        b'{"format": "emix", "format_version": 1, "header": [], "arrays": []}',
        b'{"format": "emix", "format_version": 1, "header": {}, "arrays": ["../a"]}',
        b'{"format": "emix", "format_version": 1, "header": {}, "arrays": [[]]}',
        b"[" * 100_000,
    ],
)
def test_odd_headers_are_refused(tmp_path: Path, envelope: bytes) -> None:
    make_archive(tmp_path / "m", with_right_digest(envelope))
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "m")


def test_a_zip_bomb_is_refused_before_it_is_read(tmp_path: Path, saved: Path) -> None:
    members = with_right_digest(b'{"format": "emix", "format_version": 1, "header": {}, "arrays": []}')
    make_archive(tmp_path / "bomb", members, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="compressed members, which emix never writes"):
        load_model(tmp_path / "bomb")
    # A stored member that declares more than the file has.
    content = bytearray(saved.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = (2**31).to_bytes(4, "little") * 2
    saved.write_bytes(content)
    with pytest.raises(ModelFileError, match="overlap or are larger than the file"):
        load_model(saved)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    array = model_file.npy_bytes("a", [1.0])
    members = with_right_digest(b'{"format": "emix", "format_version": 1, "header": {}, "arrays": ["a", "a"]}', a=array)
    with zipfile.ZipFile(tmp_path / "m", "w") as archive:
        for name in ("header.npy", "a.npy"):
            archive.writestr(name, members[name])
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.npy", members["a.npy"])
        archive.writestr("sha256.npy", members["sha256.npy"])
    with pytest.raises(ModelFileError, match="two members of one name"):
        load_model(tmp_path / "m")


def test_an_encrypted_or_foreign_file_does_not_leak_other_errors(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("header.npy", b"x")
    content = bytearray(buffer.getvalue())
    content[6] |= 1  # the flag of an encrypted member, in the local header
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError, match="encrypted"):
        load_model(tmp_path / "m")
