"""The commands of `emix` that use a model file: score, predict, sample, plot, info.

As in commands.py, a command takes the parsed arguments and returns an exit code, and refuses by ValueError, OSError or
ImportError.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from emix.cli.classifiers import info_of_classifier, is_classifier, predict_classes
from emix.cli.json_summary import data_facts, fit_facts, model_facts, write_json
from emix.cli.long_scores import ScoreSums, score_long
from emix.cli.long_tables import long_table
from emix.cli.outputs import check_writable, is_standard_output, write_results
from emix.cli.pictures import check_picture, write_picture
from emix.cli.safeguards import EXIT_OK, UsageError, messages_on_stderr, refuse_overwriting
from emix.cli.table_words import columns_left_out, file_title, in_place, left_out, rows_left_out, warn_of
from emix.cli.tables import WRITABLE, check_readable, read_table, write_columns
from emix.cli.text_content import STANDARD_STREAM
from emix.exceptions import ModelFileError
from emix.plots.kinds import KINDS, picture
from emix.requirements import require
from emix.summary.fitted import column_names
from emix.summary.summary import summary

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from typing import Any

    from emix.cli.long_tables import LongTable
    from emix.cli.tables import Table
    from emix.estimators.gaussian_mixture import GaussianMixture
    from emix.gaussian.scoring import Scores


def score(arguments: argparse.Namespace) -> int:
    """`emix score`: log-density, component and responsibilities of each row, or a summary of them."""
    if arguments.json and arguments.out is not None and is_standard_output(arguments.out):
        raise UsageError(f"--json and --out {arguments.out} both write to standard output: leave one out")
    _check_results(arguments)
    estimator = _load(arguments.model)
    K = len(estimator.weights_)
    _check_identifiers(arguments.id, ["log_density", "component", *(f"r{k}" for k in range(K))])
    writes_rows = not arguments.json or arguments.out is not None

    def columns_of(scores: Scores) -> dict[str, Any]:
        assert scores.responsibilities is not None
        columns = {"log_density": scores.log_density, "component": scores.labels}
        return columns | {f"r{k}": np.ascontiguousarray(r) for k, r in enumerate(scores.responsibilities.T)}

    what = {"log_density": True, "labels": True, "responsibilities": writes_rows}
    table, sums = _scored(estimator, arguments, columns_of if writes_rows else None, **what)
    if arguments.json:
        assert sums is not None
        content = {
            "data": data_facts(arguments.file, table),
            "scores": sums.facts(),
            "files": {"model": arguments.model, "scores": arguments.out},
        }
        write_json("score", content)
    return EXIT_OK


def predict(arguments: argparse.Namespace) -> int:
    """`emix predict`: component, or class, of each row."""
    _check_results(arguments)
    check_readable(arguments.model)
    if is_classifier(arguments.model):
        return predict_classes(arguments)
    estimator = _load(arguments.model)
    _check_identifiers(arguments.id, ["component"])
    _scored(estimator, arguments, lambda scores: {"component": scores.labels}, labels=True)
    return EXIT_OK


def _scored(
    estimator: GaussianMixture,
    arguments: argparse.Namespace,
    columns_of: Callable[[Scores], dict[str, Any]] | None,
    **what: bool,
) -> tuple[Table | LongTable, ScoreSums | None]:
    """Score the rows of a file and write the results, if there are columns of them: in one piece, or by blocks."""
    how = _how_to_read(estimator, arguments) | {"carried": arguments.id}
    if (long := long_table(arguments.file, **how)) is not None:
        _check_number_of_columns(estimator, long, arguments)
        warn_of(arguments.file, columns_left_out(long))
        sums = score_long(estimator, long, arguments, columns_of, **what)
        warn_of(arguments.file, rows_left_out(long, "stay empty"))
        return long, sums
    table = read_table(arguments.file, **how)
    _check_number_of_columns(estimator, table, arguments)
    warn_of(arguments.file, left_out(table, "stay empty"))
    scores = _scores(estimator, table, **what)
    if columns_of is not None:
        _write_results(columns_of(scores), table, arguments)
    has_sums = scores.log_density is not None and scores.labels is not None
    return table, ScoreSums.of(scores, len(estimator.weights_)) if has_sums else None


def sample(arguments: argparse.Namespace) -> int:
    """`emix sample`: rows drawn from a mixture."""
    _check_results(arguments)
    estimator = _load(arguments.model)
    names = column_names(estimator)
    for j, name in enumerate(names):
        if name in names[:j]:  # a frame may have that, a file may not
            raise ValueError(f"{arguments.model}: two columns have the name {name!r}: fit with a name for each column")
    estimator.random_state = arguments.seed
    rows, _ = estimator.sample(arguments.rows)
    columns = dict(zip(names, np.ascontiguousarray(rows.T), strict=True))
    write_columns(columns, arguments.out)
    return EXIT_OK


def plot(arguments: argparse.Namespace) -> int:
    """`emix plot`: a picture of a mixture, usually with the rows of a file."""
    check_picture(arguments.out, "--out")
    if arguments.file is None:
        if KINDS[arguments.kind].needs_rows:
            raise UsageError(f"--kind {arguments.kind} draws rows: name a FILE of rows after the model file")
        if arguments.weights is not None or arguments.columns is not None:
            raise UsageError("--weights and --columns belong to a FILE of rows: name it, or leave them out")
    refuse_overwriting(arguments.out, "--out", FILE=arguments.file, MODEL=arguments.model)
    estimator = _load(arguments.model)
    table = None if arguments.file is None else _rows_to_draw(estimator, arguments)
    figure = picture(
        estimator,
        None if table is None else table.array,
        arguments.kind,
        features=arguments.features,
        sample_weight=None if table is None else table.weights,
        feature_names=None if table is None else table.names,
        title=file_title(arguments.file or arguments.model),
    )
    write_picture(figure, arguments.out)
    return EXIT_OK


def info(arguments: argparse.Namespace) -> int:
    """`emix info`: the summary from a model file."""
    check_readable(arguments.model)
    if is_classifier(arguments.model):
        return info_of_classifier(arguments)
    estimator = _load(arguments.model)
    if arguments.json:
        files = {"model": arguments.model}
        write_json("info", {"model": model_facts(estimator), "fit": fit_facts(estimator), "files": files})
    else:
        write_results(f"{summary(estimator)}\n")
    return EXIT_OK


def _check_results(arguments: argparse.Namespace) -> None:
    """Refuse a table of results that cannot be written, before anything is read."""
    require("polars", "cli", "writing tables")
    if arguments.out is not None and arguments.out != STANDARD_STREAM:
        check_writable(arguments.out, WRITABLE)
        refuse_overwriting(arguments.out, "--out", FILE=getattr(arguments, "file", None), MODEL=arguments.model)


def _check_identifiers(name: str | None, results: list[str]) -> None:
    """Refuse a column of identifiers that has the name of a column of the results."""
    if name in results:
        raise UsageError(f"--id is {name!r}, the name of a column of the results: rename the column in the file")


def _load(path: str) -> GaussianMixture:
    from emix.estimators.gaussian_mixture import GaussianMixture

    check_readable(path)
    if is_classifier(path):
        raise ModelFileError(
            path, "holds a classifier, expected one mixture: `emix predict` and `emix info` take the model of --target."
        )
    return GaussianMixture.load(path)


def _rows_to_draw(estimator: GaussianMixture, arguments: argparse.Namespace) -> Table:
    """Read the model's columns, and weights."""
    table = read_table(arguments.file, **_how_to_read(estimator, arguments), weights=arguments.weights)
    _check_number_of_columns(estimator, table, arguments)
    warn_of(arguments.file, left_out(table, "are left out"))
    return table


def _how_to_read(estimator: GaussianMixture, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how the model's columns are read: by name, if both sides have names."""
    names = getattr(estimator, "feature_names_in_", None)
    columns = arguments.columns
    has_names = not arguments.no_header and not arguments.file.lower().endswith(".npy")
    if columns is None and names is not None and has_names:
        columns = [str(name) for name in names]
    return {
        "columns": columns,
        "header": not arguments.no_header,
        "separator": arguments.separator,
        "drop_missing": arguments.missing == "drop",
    }


def _check_number_of_columns(
    estimator: GaussianMixture, table: Table | LongTable, arguments: argparse.Namespace
) -> None:
    n_features = estimator.means_.shape[1]
    if len(table.names) != n_features:
        raise ValueError(
            f"{arguments.file}: {len(table.names)} columns, but the model has {n_features}: choose them with --columns"
        )


def _scores(estimator: GaussianMixture, table: Table, **what: bool) -> Scores:
    """Score the rows in one pass; warnings are lines of standard error."""
    names = getattr(estimator, "feature_names_in_", None)
    # The model gets a frame only if its names are the model's own names.
    rows = table.rows if names is not None and list(names) == list(table.names) else table.array
    with messages_on_stderr():
        # The columns were matched when they were read; a .npy file has no names to compare with the model's.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        return estimator.score_rows(rows, **{"log_density": False, **what})


def _write_results(columns: Mapping[str, Any], table: Table, arguments: argparse.Namespace) -> None:
    """Write results of the rows in the order of the file, after their identifiers."""
    results: dict[str, Any] = {} if table.carried is None else {arguments.id: table.carried}
    results.update(in_place(columns, table.present))
    write_columns(results, arguments.out)
