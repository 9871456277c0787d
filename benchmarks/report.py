"""Make tables and figures from the JSON of measurements, without measuring again.

    python benchmarks/report.py                             # of all JSON in build/benchmarks
    python benchmarks/report.py FOLDER_OR_JSON …            # of these
    python benchmarks/report.py --readme                    # and put the comparison into README.md

With ``--readme`` the comparison is copied to benchmarks/results, from where README.md shows the figure, and the
table between the two markers of README.md is written anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import comparison
from results import OUTPUT, Results, write

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SHOWN = ROOT / "benchmarks" / "results" / "comparison.json"

#: The table in README.md lies between these.
BEGIN = (
    "<!-- benchmark table: made from benchmarks/results/comparison.json by `python benchmarks/report.py --readme` -->"
)
END = "<!-- benchmark table: end -->"


def with_table(readme: str, table: str) -> str:
    """The README with another table between the markers."""
    before, found, rest = readme.partition(BEGIN)
    _, also, after = rest.partition(END)
    if not (found and also):
        raise SystemExit(f"README.md has not the markers\n{BEGIN}\n{END}")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"


def section(results: Results) -> str:
    """What stands between the markers: the table and the figure."""
    figure = SHOWN.with_suffix(".png").relative_to(ROOT).as_posix()
    return f"{comparison.readme_table(results)}\n\n![Time of an EM iteration by problem and library]({figure})"


def to_readme(path: Path) -> None:
    """Copy a comparison to where README.md shows it, and write its table there."""
    SHOWN.parent.mkdir(exist_ok=True)
    if path.resolve() != SHOWN:
        shutil.copyfile(path, SHOWN)
    write(SHOWN)
    results = json.loads(SHOWN.read_text(encoding="utf-8"))
    text = with_table(README.read_text(encoding="utf-8"), section(results))
    README.write_text(text, encoding="utf-8")
    print(f"written: {README.name}, from {SHOWN.relative_to(ROOT)}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path, default=[OUTPUT], help=f"JSON files or folders ({OUTPUT})")
    parser.add_argument("--readme", action="store_true", help="put the comparison into README.md, too")
    options = parser.parse_args(argv)
    files = [file for path in options.paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise SystemExit(f"no JSON in {', '.join(map(str, options.paths))}: run python benchmarks/run_all.py first")
    for path in files:
        write(path)
        if options.readme and path.name == SHOWN.name:
            to_readme(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
