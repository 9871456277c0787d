"""Layout of a text file: the separator of its columns, their names, its comments.

The separator is guessed only if one alone gives a rectangle of numbers.
"""

from __future__ import annotations

import contextlib
import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from emix.cli.text_content import TextContent

# Any number of spaces and tabs, also before the first column.
BLANKS = " "
SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'", BLANKS: "blank"}
# Texts that R, SAS, pandas and spreadsheets write for "no value".
MISSING = (
    *("", ".", "-", "?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "None"),
    *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
# Errors of spreadsheets also begin with #, but they are values.
_COMMENT = re.compile(r"\s*#(?!N/A|NA(?:[\s,;|]|$)|DIV/0!|NAME\?|NULL!|NUM!|REF!|VALUE!)")
_SAMPLE_LINES = 100
_SAMPLE_CHARACTERS = 1 << 20


@dataclass(frozen=True)
class Layout:
    """Layout of the columns of a text file.

    Attributes
    ----------
    separator : str
        One character; BLANKS for any number of blanks.
    names : tuple of str
        The columns' names: from the header, from a comment in its place, or x0, x1, …
    n_header_lines : int
        Number of lines before the rows, not counting comments and empty lines.
    names_are_apart : bool
        True if the names are those of a comment, or of a header that has none for the row numbers.
    rows : tuple of tuples of str
        The first rows, without blanks around the values.
    """

    separator: str
    names: tuple[str, ...]
    n_header_lines: int
    names_are_apart: bool
    rows: tuple[tuple[str, ...], ...]


def find_layout(
    content: TextContent, *, header: bool, separator: str | None, likely: str | None, wanted: Collection[str]
) -> Layout:
    """Find the layout of a text file from its first lines.

    Parameters
    ----------
    content : TextContent
        The file.
    header : bool
        True if a line names the columns.
    separator : str or None
        The separator of the columns, if it is known.
    likely : str or None
        The usual separator of files of this kind. It is taken if it gives a rectangle of numbers, or if no other does.
    wanted : collection of str
        The columns that must be numbers; all if empty.

    Raises
    ------
    ValueError
        If the file is empty or no text in UTF-8, the separator of its columns is not clear, or its first line is no
        header or has a name twice.
    """
    sample = _sample(content)
    if not any(counts(line) for _, line in sample):
        raise ValueError("the file is empty")
    layout = _read_by(separator, sample, header) if separator else _guessed(sample, header, likely, wanted)
    # Read by a wrong separator, a file has one column. The message names a separator that would give more.
    _check_separator(sample, layout.separator)
    _check_names(layout.names)
    return layout


def counts(line: str) -> bool:
    """True if a line is neither empty nor a comment."""
    return bool(line.strip()) and _COMMENT.match(line) is None


def records(
    lines: Iterable[tuple[int, str]], separator: str, *, strict: bool = True
) -> Iterator[tuple[int, int, list[str]]]:
    """Yield each record's last line number, from 1, the number of lines that count up to there, and the record.

    Raises
    ------
    ValueError
        If strict, at a line whose quotation marks are not CSV's.
    """
    last = 0

    def counted() -> Iterator[str]:
        nonlocal last
        for number, line in lines:
            if counts(line):
                last = number
                yield with_tabs(line) if separator == BLANKS else line

    reader = csv.reader(
        counted(), delimiter="\t" if separator == BLANKS else separator, strict=strict, skipinitialspace=True
    )
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "unexpected end" in reason:
                reason = "a quotation mark is not closed"
            elif "new-line character" in reason:
                reason = "lines end with carriage returns alone: save the file with line feeds"
            raise ValueError(f"line {last}: {reason}") from error
        if record:
            yield last, reader.line_num, record


def with_tabs(line: str) -> str:
    """Return a line with one tab for any number of blanks between values, and none before or after them."""
    return "\t".join(re.findall(r'(?:"[^"]*"|[^\s"])+|"', line) if '"' in line else line.split())


def is_number(text: str) -> bool:
    """True if a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def listed(names: Sequence[str]) -> str:
    """Return names one after the other, as many as a message can hold."""
    shown = ", ".join(map(str, names[:12])) or "none"
    return shown + (f", … ({len(names)} in all)" if len(names) > 12 else "")


def _sample(content: TextContent) -> list[tuple[int, str]]:
    """Read the first lines: a hundred that count, or some MB."""
    sample: list[tuple[int, str]] = []
    size = n_counting = 0
    for number, line in content.lines():
        sample.append((number, line))
        size += len(line)
        n_counting += counts(line)
        if n_counting == _SAMPLE_LINES or (size > _SAMPLE_CHARACTERS and n_counting > 2):
            break
    return sample


def _read_by(separator: str, sample: Sequence[tuple[int, str]], header: bool) -> Layout:
    first, *others = list(records(sample, separator, strict=False))
    rows = tuple(tuple(value.strip() for value in record) for _, _, record in others)
    top = tuple(value.strip() for value in first[2])
    if not header:
        return Layout(separator, tuple(f"x{j}" for j in range(len(top))), 0, False, (top, *rows))
    if all(map(is_number, top)):
        names = _names_in_comment(sample, first[0], separator)
        if len(names) == len(top):
            return Layout(separator, names, 0, True, (top, *rows))
    if _rows_are_numbered(top, rows):
        return Layout(separator, ("", *top), first[1], True, rows)
    return Layout(separator, top, first[1], False, rows)


def _names_in_comment(sample: Sequence[tuple[int, str]], first_row: int, separator: str) -> tuple[str, ...]:
    """Read names of the last comment above the rows, as numpy.savetxt writes them."""
    comments = [line.strip().lstrip("#") for number, line in sample if number < first_row and not counts(line)]
    parsed = list(records([(1, comments[-1])], separator, strict=False)) if comments else []
    names = tuple(value.strip() for value in parsed[0][2]) if parsed else ()
    return () if any(map(is_number, names)) or len(set(names)) < len(names) else names


def _rows_are_numbered(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """True if each row begins with its number and the header has no name for it, as R and pandas print a table.

    A single name above values such as 1,5 and 2,5 is a sign of decimal commas instead.
    """
    if len(names) < 2 or len(rows) < 2 or any(len(row) != len(names) + 1 for row in rows):
        return False
    numbers = [row[0] for row in rows]
    return any(numbers == [str(i + start) for i in range(len(rows))] for start in (0, 1))


def _guessed(sample: Sequence[tuple[int, str]], header: bool, likely: str | None, wanted: Collection[str]) -> Layout:
    usual = _read_by(likely, sample, header) if likely is not None else None
    if usual is not None and _is_of_numbers(usual, wanted):
        return usual
    layouts = []
    for separator in SEPARATORS:
        # Read by a wrong separator, all columns are one value, which may be longer than csv allows.
        with contextlib.suppress(ValueError):
            layouts.append(_read_by(separator, sample, header))
    possible = _different(one for one in layouts if _is_of_numbers(one, wanted))
    if len(possible) == 1:
        return possible[0]
    if usual is not None:
        return usual
    if not possible:
        # No reading gives only numbers. One that is at least a rectangle leads to the message that names the text.
        possible = _different(one for one in layouts if len(one.names) > 1 and _is_rectangle(one))
        if len(possible) == 1:
            return possible[0]
        if layouts and all(len(one.names) == 1 for one in layouts):
            return layouts[0]
    words = ", ".join(SEPARATORS[one.separator] for one in possible) or ", ".join(SEPARATORS.values())
    raise ValueError(f"it is not clear what separates the columns: pass --separator with one of {words}")


def _different(layouts: Iterable[Layout]) -> list[Layout]:
    """Leave out layouts of the same table: with one tab between columns, tabs and blanks give the same."""
    tables: dict[object, Layout] = {}
    for layout in layouts:
        tables.setdefault((layout.names, layout.rows), layout)
    return list(tables.values())


def _is_rectangle(layout: Layout) -> bool:
    return bool(layout.rows) and all(len(row) == len(layout.names) for row in layout.rows)


def _is_of_numbers(layout: Layout, wanted: Collection[str]) -> bool:
    if not _is_rectangle(layout) or not set(wanted) <= set(layout.names):
        return False
    chosen = [not wanted or name in wanted for name in layout.names]
    values = [value for row in layout.rows for value, is_chosen in zip(row, chosen) if is_chosen]
    given = [value for value in values if value not in MISSING]
    return bool(given) and all(map(is_number, given))


def _check_separator(sample: Sequence[tuple[int, str]], separator: str) -> None:
    """Refuse a first line that is one value, if another separator gives it as many values as the second line."""
    found = [record for _, _, record in records(sample, separator, strict=False)]
    first, second = found[0], found[1] if len(found) > 1 else []
    if len(first) != 1 or not second:
        return
    rest = separator.join(second)  # a decimal comma may have split values between semicolons
    for other, name in SEPARATORS.items():
        if other == BLANKS:
            parts = len(first[0].split()) == len(rest.split()) > 1
        else:
            parts = first[0].count(other) == rest.count(other) > 0
        if other != separator and parts:
            raise ValueError(
                f"the first line is one value, {first[0]!r}: if {name} separates the columns, pass --separator {name}"
            )


def _check_names(names: Sequence[str]) -> None:
    """Refuse a first line that is a row of data, and repeated names."""
    if all(is_number(name) for name in names):
        raise ValueError(
            f"the first line holds numbers ({listed(names)}), expected column names: "
            "pass --no-header if it is a row of data"
        )
    for j, name in enumerate(names):
        if name in names[:j]:
            raise ValueError(
                f"columns {names.index(name) + 1} and {j + 1} have the same name, {name!r}: give each its own"
            )
