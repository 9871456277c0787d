"""Files that are read block by block: the results, the words and the order of a file that is read whole."""

from __future__ import annotations

import errno
import gzip
import io
import json
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import emix
from emix.cli import long_tables, memory, text_blocks
from emix.cli.command_line import main
from emix.cli.long_rows import LongRows
from emix.cli.long_tables import long_table
from emix.cli.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3000, 3)) + 5.0 * RNG.integers(2, size=(3000, 1))
FRAME = pl.DataFrame(
    {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "w": RNG.integers(1, 4, size=3000), "name": np.arange(3000).astype(str)}
)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def all_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as long, and blocks of text are a few lines."""
    monkeypatch.setattr(long_tables, "LONG_BYTES", 0)
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 4000)


def write(folder: Path, suffix: str, frame: pl.DataFrame = FRAME) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".parquet":
        frame.write_parquet(path, row_group_size=700)
    elif suffix == ".npy":
        np.save(path, frame.drop("name").to_numpy())
    else:
        frame.write_csv(path, separator="\t" if suffix == ".tsv" else ",")
    return path


def words(suffix: str) -> list[str]:
    """Options that choose columns and weights."""
    return ["--columns", "0,1,2", "--weights", "3"] if suffix == ".npy" else ["--columns", "a,b,c", "--weights", "w"]


# Reading


@pytest.mark.usefixtures("all_long")
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npy"])
def test_blocks_are_the_table(tmp_path: Path, suffix: str) -> None:
    path = str(write(tmp_path, suffix))
    columns, weights = (["2", "0"], "3") if suffix == ".npy" else (["c", "a"], "w")
    whole = read_table(path, columns=columns, weights=weights)
    long = long_table(path, columns=columns, weights=weights)
    assert long is not None
    blocks = list(long.blocks())
    assert suffix in (".npy", ".parquet") or len(blocks) > 10
    assert (long.names, long.n_rows, long.n_used) == (whole.names, 3000, 3000)
    np.testing.assert_array_equal(np.concatenate([block.X for block in blocks]), whole.array)
    np.testing.assert_array_equal(np.concatenate([block.weight for block in blocks]), whole.weights)


@pytest.mark.usefixtures("all_long")
@pytest.mark.parametrize(
    ("name", "line", "header"),
    [
        ("quotes over lines", '{0},{1},"a ""name""\nof, two lines"\n', "x,y,name\n"),
        ("comments and empty lines", '# it"s row {0}\n\n{0}.5,{1},r{0}\n', "# first\nx,y,name\n"),
        ("blanks", "  {0}   {1} r{0}  \n", "x y name\n"),
        ("plus signs, blanks, carriage returns", "+{0}, {1} ,r{0}\r\n", "x,y,name\r\n"),
        ("integers, then fractions", "{0}{2},{1},r{0}\n", "x,y,name\n"),
        ("a mark at the beginning", "{0},{1},r{0}\n", "\ufeffx,y,name\n"),
    ],
)
def test_texts_of_all_kinds(tmp_path: Path, name: str, line: str, header: str) -> None:
    path = tmp_path / "rows.csv"
    lines = [line.format(i, i % 7, ".25" if i > 400 else "") for i in range(500)]
    path.write_bytes((header + "".join(lines)).encode())
    how = {"columns": ["x", "y"], "carried": "name"}
    whole, long = read_table(str(path), **how), long_table(str(path), **how)
    assert long is not None
    blocks = list(long.blocks())
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate([block.X for block in blocks]), whole.array)
    assert pl.concat([block.carried for block in blocks]).equals(whole.carried)


@pytest.mark.usefixtures("all_long")
@pytest.mark.parametrize(
    ("line", "block_bytes"),
    [
        ("{0},{0}\n", 4000),
        (60 * " " + "{0}" + 60 * " " + "{0}\n", 4000),  # of which hardly more than the numbers are kept
        ("# " + 90 * "-" + "\n{0} {0}\n", 4000),
        (60 * " " + "{0}" + 60 * " " + "{0}\n", 1 << 20),  # one block, though the file is longer
    ],
)
def test_the_number_of_rows_is_foretold_by_the_share_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, block_bytes: int
) -> None:
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", block_bytes)
    path, n_rows, n_done = tmp_path / "rows.txt", 2000, 0
    header = "x,y\n" if "," in line else "x y\n"
    path.write_text(header + "".join(line.format(1000 + i) for i in range(n_rows)))
    table = long_table(str(path))
    assert table is not None and table.file.expected_rows(0) is None
    for block in table.blocks():
        n_done += block.n_rows
        # Rows are of one length; what is read runs ahead by less than a block of text, which is 1 in 5 at first.
        expected = table.file.expected_rows(n_done)
        assert expected == pytest.approx(n_rows, rel=0.25)
    assert n_done == n_rows and expected == pytest.approx(n_rows, rel=1e-12)


@pytest.mark.usefixtures("all_long")
def test_a_single_column_keeps_its_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("x\n" + "".join("\n" if i % 10 == 3 else f"{i}\n" for i in range(2001)))
    whole, long = read_table(str(path), drop_missing=True), long_table(str(path), drop_missing=True)
    assert long is not None
    np.testing.assert_array_equal(np.concatenate([block.X for block in long.blocks()]), whole.array)
    assert (long.n_rows, long.n_used) == (whole.n_rows, whole.n_used) == (2001, 1801)


def test_short_files_standard_input_and_compressed_ones_are_read_whole(
    csv_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert long_table(str(csv_file)) is None
    assert long_table(str(write(tmp_path, ".parquet")), columns=["a"]) is None
    monkeypatch.setattr(long_tables, "LONG_BYTES", 0)
    assert long_table("-") is None
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(csv_file.read_bytes()))
    assert long_table(str(packed)) is None


# Words of refusals


BAD = {
    "text": ("b", "abc"),
    "infinite": ("a", "inf"),
    "missing": ("c", None),
    "too large": ("a", "1e200"),
    "negative weight": ("w", "-2"),
    "infinite weight": ("w", "inf"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_a_bad_value_is_refused_in_the_words_for_a_short_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], suffix: str, kind: str
) -> None:
    if kind == "text" and suffix != ".csv":
        return  # a column of numbers holds no text there
    column, value = BAD[kind]
    texts = FRAME[column].cast(pl.String).to_list()
    texts[2345] = value
    frame = FRAME.with_columns(pl.Series(column, texts))
    if suffix != ".csv":
        frame = frame.with_columns(pl.col(column).cast(pl.Float64))
    path = write(tmp_path, suffix, frame)
    said = []
    for size in (1 << 30, 0):
        monkeypatch.setattr(long_tables, "LONG_BYTES", size)
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 4000)
        assert run("fit", path, "-k", 2, *words(suffix), "--out", tmp_path / "model.npz") == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        said.append(captured.err)
    name = {"a": "x0", "c": "x2", "w": "x3"}[column] if suffix == ".npy" else column
    assert f"{path}: column {name!r}" in said[0]
    assert "row 2346" in said[0]
    # A long file is refused at its first row without a value, and does not know how many there are. Of its columns,
    # only those that are asked for are numbers so far.
    assert said[1] == said[0].replace(" (1 row in all)", "").replace("a, c, w, name)", "a, c, w)")
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.usefixtures("all_long")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1,2,3,4,n,5\n", "line 2002 has 6 values, but the first line names 5 columns"),
        (b"1,2,3,4,\xff\n" * 2 + b"1,x\xff,3,4,n\n", "line 2002 is not UTF-8"),
    ],
)
def test_damaged_lines_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, message: str) -> None:
    path = write(tmp_path, ".csv")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2001], line, *lines[2001:]]))
    assert run("fit", path, "-k", 2, "--columns", "a,b,c") == 1
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("all_long")
def test_nothing_but_missing_values_and_weights_of_zero_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, ".csv", FRAME.with_columns(a=pl.lit(None, pl.Float64), w=pl.lit(0)))
    assert run("fit", path, "-k", 2, "--columns", "a,b", "--missing", "drop") == 1
    assert "no row has a value in every column (a, b)" in capsys.readouterr().err
    assert run("fit", path, "-k", 2, "--columns", "b,c", "--weights", "w") == 1
    assert f"{path}: column 'w' holds 0 in every row" in capsys.readouterr().err


@pytest.mark.usefixtures("all_long")
def test_row_numbers_are_told_by_a_pass_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.csv"
    frame = FRAME.select("a", "b")
    frame.with_row_index("").write_csv(path)
    assert run("fit", path, "-k", 2, "--json") == 0
    captured = capsys.readouterr()
    assert "the first column, which has no name, holds row numbers and is left out" in captured.err
    assert json.loads(captured.out)["model"]["feature_names"] == ["a", "b"]
    shuffled = pl.Series("", np.random.default_rng(0).permutation(3000))
    frame.insert_column(0, shuffled).write_csv(path)
    assert run("fit", path, "-k", 2) == 1
    assert "column '' holds whole numbers that do not rise" in capsys.readouterr().err
    FRAME.select(pl.Series("id", RNG.integers(9, size=3000)), "a").write_csv(path)
    assert run("fit", path, "-k", 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["model"]["feature_names"] == ["id", "a"]


# Fit


@pytest.mark.usefixtures("all_long")
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_a_fit_is_that_of_the_stream(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write(tmp_path, suffix), tmp_path / "model.npz"
    assert run("fit", path, "-k", 2, *words(suffix), "--json", "--out", out, "--plot", tmp_path / "fit.png") == 0
    found = json.loads(capsys.readouterr().out)
    gm = emix.GaussianMixture(2, random_state=0).fit(X, sample_weight=FRAME["w"].to_numpy().astype(float))
    loaded = emix.GaussianMixture.load(out)
    # As any stream and array: the same start, and sums in the same order. Texts of numbers are read back exactly.
    np.testing.assert_allclose(loaded.means_, gm.means_, rtol=1e-9)
    assert found["fit"]["log_likelihood"] == pytest.approx(gm.log_likelihood_, rel=1e-12)
    assert found["fit"]["icl"] == pytest.approx(gm.icl(X, FRAME["w"].to_numpy().astype(float)), rel=1e-9)
    assert found["data"] == {"file": str(path), "n_rows": 3000, "n_used": 3000}
    names = ["x0", "x1", "x2"] if suffix == ".npy" else ["a", "b", "c"]
    assert found["model"]["feature_names"] == names
    assert hasattr(loaded, "feature_names_in_") == (suffix != ".npy")


@pytest.mark.usefixtures("all_long")
def test_the_summary_is_that_of_a_short_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, ".csv", FRAME.with_columns(b=pl.when(pl.col("a") > 7.0).then(None).otherwise(pl.col("b"))))
    options = ["--columns", "a,b", "--weights", "w", "--missing", "drop"]
    assert run("fit", path, "-k", 2, *options) == 0
    long = capsys.readouterr()
    monkeypatch.setattr(long_tables, "LONG_BYTES", 1 << 30)
    assert run("fit", path, "-k", 2, *options) == 0
    short = capsys.readouterr()
    assert long.err == short.err and "have no value in some column and are left out" in long.err
    for one, other in zip(long.out.splitlines(), short.out.splitlines(), strict=True):
        assert one == other or one.startswith("Time ")


@pytest.mark.usefixtures("all_long")
def test_numbers_of_a_text_are_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = long_table(str(write(tmp_path, ".csv")), columns=["a", "b"], weights="w")
    assert table is not None
    source, n_passes = LongRows(table), []
    blocks = table.blocks
    monkeypatch.setattr(table, "blocks", lambda: n_passes.append(1) or blocks())
    first = [(batch.X, batch.weight) for batch in source.batches(1)]
    again = [(batch.X, batch.weight) for batch in source.batches(1)]
    assert len(n_passes) == 1
    for (X_first, w_first), (X_again, w_again) in zip(first, again, strict=True):
        np.testing.assert_array_equal(X_first, X_again)
        np.testing.assert_array_equal(w_first, w_again)


@pytest.mark.usefixtures("all_long")
def test_a_full_temporary_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    assert run("fit", write(tmp_path, ".csv"), "-k", 2, "--columns", "a,b") == 1
    said = capsys.readouterr().err
    assert "No space left on device for the numbers of a text, 16 bytes a row" in said and "TMPDIR" in said


def test_a_choice_reads_all_rows_and_refuses_more_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(long_tables, "LONG_BYTES", 0)
    path = write(tmp_path, ".parquet")
    assert run("fit", path, "-k", "1-2", "--covariance", "tied", "--columns", "a,b", "--quiet") == 0
    capsys.readouterr()
    monkeypatch.setattr(memory, "memory_bytes", lambda: 1000.0)
    assert run("fit", path, "-k", "1-2", "--columns", "a,b") == 1
    said = capsys.readouterr().err
    assert "a choice among mixtures reads all rows into memory, which takes about 9.6e-05 GB" in said
    assert "fit one mixture" in said
    assert run("report", path, "--columns", "a,b", "--out", tmp_path / "page.html") == 1
    assert "a report reads all rows into memory" in capsys.readouterr().err
    assert run("fit", path, "-k", "2", "--columns", "a,b", "--quiet") == 0


# Results of rows


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.npz"
    emix.GaussianMixture(2, random_state=0).fit(FRAME.select("a", "b", "c")).save(path)
    return path


@pytest.mark.parametrize("command", ["score", "predict"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
@pytest.mark.parametrize("out", [".csv", ".tsv", ".parquet", "-"])
def test_results_are_those_of_a_short_file(
    tmp_path: Path,
    model_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    suffix: str,
    out: str,
) -> None:
    frame = FRAME.with_columns(b=pl.when(pl.col("a") > 7.0).then(None).otherwise(pl.col("b")))
    path = write(tmp_path, suffix, frame)
    options = ["--columns", "0,1,2"] if suffix == ".npy" else ["--id", "name"]
    results = []
    for size in (1 << 30, 0):
        monkeypatch.setattr(long_tables, "LONG_BYTES", size)
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 4000)
        target = "-" if out == "-" else tmp_path / f"results{out}"
        assert run(command, model_file, path, *options, "--missing", "drop", "--out", target) == 0
        captured = capsys.readouterr()
        if out == "-":
            results.append((captured.err, captured.out))
        elif out == ".parquet":
            results.append((captured.err, pl.read_parquet(target).to_dict(as_series=False)))
        else:
            results.append((captured.err, target.read_text()))
    assert results[0] == results[1]  # the same bits: a row's scores do not depend on its block
    assert "rows have no value in some column and stay empty" in results[0][0]


@pytest.mark.usefixtures("all_long")
def test_a_bad_row_leaves_standard_output_empty_and_the_file_as_it_was(
    tmp_path: Path, model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = FRAME.with_columns(b=pl.when(pl.col("name") == "2900").then(np.inf).otherwise(pl.col("b")))
    path, out = write(tmp_path, ".csv", frame), tmp_path / "scores.csv"
    out.write_text("before")
    for target in ("-", out):
        assert run("score", model_file, path, "--out", target) == 1
        captured = capsys.readouterr()
        assert captured.out == "" and "column 'b' holds inf in row 2901" in captured.err
    assert out.read_text() == "before"
    assert run("score", model_file, path, "--json") == 1
    assert capsys.readouterr().out == ""


def test_the_summary_of_scores_is_that_of_a_short_file(
    tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, found = write(tmp_path, ".csv"), []
    for size in (1 << 30, 0):
        monkeypatch.setattr(long_tables, "LONG_BYTES", size)
        monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 4000)
        assert run("score", model_file, path, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    short, long = (one.pop("scores") for one in found)
    assert found[0] == found[1]
    assert long["rows"] == short["rows"] and long["least"] == short["least"]
    assert long["total"] == pytest.approx(short["total"], rel=1e-12)  # sums in another order
