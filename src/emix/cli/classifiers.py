"""`emix fit --target COLUMN`, and `emix predict` and `emix info` with its model: a mixture for each class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emix.cli import polars_reading
from emix.cli.estimator_settings import settings_of
from emix.cli.json_summary import data_facts, write_json
from emix.cli.memory import check_room
from emix.cli.outputs import is_standard_output, write_results
from emix.cli.safeguards import EXIT_OK, UsageError, messages_on_stderr
from emix.cli.table_words import in_place, left_out, warn_of
from emix.cli.tables import read_table, write_columns
from emix.files.model_file import load_model
from emix.summary.text_table import format_numbers, format_table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from emix.cli.tables import Table
    from emix.supervised.mixture_classifier import MixtureClassifier

_KIND = "MixtureClassifier"


def fit_classifier(arguments: argparse.Namespace, how: dict[str, Any]) -> int:
    """Fit a mixture to the rows of each class; `how` says how the table is read."""
    from emix.supervised.mixture_classifier import MixtureClassifier

    if arguments.plot is not None:
        raise UsageError("--plot draws one mixture, and --target fits one for each class: leave one out")
    if arguments.out is not None and is_standard_output(arguments.out):
        raise UsageError(f"--out is {arguments.out}, expected the name of a file for the model of --target")
    if arguments.criterion in ("icl", "cv"):
        raise UsageError(f"--criterion is {arguments.criterion}, but --target chooses by bic or aic")
    how = how | {"carried": arguments.target}
    check_room(arguments.file, how, "fitting a classifier", "take a part of the rows, or fewer --columns")
    table = read_table(arguments.file, **how)
    if how["drop_missing"]:
        table = _with_classes(arguments, table)
    warn_of(arguments.file, left_out(table, "are left out"))
    classifier = MixtureClassifier(
        arguments.components if len(arguments.components) > 1 else arguments.components[0],
        covariance_type=arguments.covariance,
        criterion=arguments.criterion or "bic",
        **settings_of(arguments),
    )
    with messages_on_stderr():
        classifier.fit(table.rows, _labels(arguments, table), sample_weight=table.weights)
    if arguments.out is not None:
        classifier.save(arguments.out)
    if arguments.json:
        content = {
            "data": data_facts(arguments.file, table),
            "classifier": _facts(classifier),
            "files": {"model": arguments.out},
        }
        write_json("fit", content)
    elif not arguments.quiet:
        data = f"{table.n_used} rows, {_columns(table.names)}"
        write_results(_text(classifier, data) + (f"\n\nModel file  {arguments.out}" if arguments.out else "") + "\n")
    return EXIT_OK


def info_of_classifier(arguments: argparse.Namespace) -> int:
    """`emix info` with the model of a classifier."""
    from emix.supervised.mixture_classifier import MixtureClassifier

    classifier = MixtureClassifier.load(arguments.model)
    if arguments.json:
        write_json("info", {"classifier": _facts(classifier), "files": {"model": arguments.model}})
    else:
        names = getattr(classifier, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(classifier.n_features_in_)]
        write_results(_text(classifier, _columns([str(name) for name in names])) + "\n")
    return EXIT_OK


def is_classifier(path: str) -> bool:
    """True if a model file holds a classifier.

    Raises
    ------
    ModelFileError, OSError
        If it is no model file, or cannot be read.
    """
    return bool(load_model(path)[0].get("kind") == _KIND)


def predict_classes(arguments: argparse.Namespace) -> int:
    """`emix predict` with the model of a classifier: the class of each row."""
    from emix.supervised.mixture_classifier import MixtureClassifier

    if arguments.id == "class":
        raise UsageError("--id is 'class', the name of a column of the results: rename the column in the file")
    classifier = MixtureClassifier.load(arguments.model)
    names = getattr(classifier, "feature_names_in_", None)
    columns = arguments.columns
    if (
        columns is None
        and names is not None
        and not arguments.no_header
        and not arguments.file.lower().endswith(".npy")
    ):
        columns = [str(name) for name in names]
    how = {
        "columns": columns,
        "header": not arguments.no_header,
        "separator": arguments.separator,
        "drop_missing": arguments.missing == "drop",
        "carried": arguments.id,
    }
    check_room(arguments.file, how, "predicting classes", "take a part of the rows at a time")
    table = read_table(arguments.file, **how)
    if len(table.names) != classifier.n_features_in_:
        raise ValueError(
            f"{arguments.file}: {len(table.names)} columns, but the model has {classifier.n_features_in_}: choose them "
            "with --columns"
        )
    warn_of(arguments.file, left_out(table, "stay empty"))
    by_name = names is not None and list(names) == list(table.names)
    rows = table.rows if by_name or names is None else polars_reading.polars().DataFrame(table.array, list(names))
    with messages_on_stderr():
        found = classifier.predict(rows if names is not None else table.array)
    results: dict[str, Any] = {} if table.carried is None else {arguments.id: table.carried}
    results.update(in_place({"class": found}, table.present))
    write_columns(results, arguments.out)
    return EXIT_OK


def _with_classes(arguments: argparse.Namespace, table: Table) -> Table:
    """Return a table without the rows that have no class."""
    assert table.carried is not None
    has_class = table.carried.is_not_null().to_numpy()
    used = np.ones(table.n_rows, dtype=bool) if table.present is None else table.present
    if has_class[used].all():
        return table
    present, kept = used & has_class, has_class[used]
    if not present.any():
        raise ValueError(f"{arguments.file}: no row has a value in every column, the class {arguments.target!r} too")
    weights = None if table.weights is None else table.weights[kept]
    rows = polars_reading.polars().DataFrame(table.rows).filter(kept)
    return replace(table, rows=rows, weights=weights, present=present)


def _labels(arguments: argparse.Namespace, table: Table) -> NDArray[Any]:
    """Return the class of each row that is used: numbers of a Parquet file as such, all others as texts."""
    polars, column = polars_reading.polars(), table.carried
    assert column is not None
    if table.present is not None:
        column = column.filter(polars.Series(table.present))
    if column.null_count():
        places = np.flatnonzero(table.present) if table.present is not None else np.arange(len(column))
        row = int(places[int(column.is_null().arg_max() or 0)])
        raise ValueError(
            f"{arguments.file}: column {arguments.target!r} has no value in row {row + 1}, expected a class in every "
            "row: fill or remove such rows, or leave them out with --missing drop"
        )
    if not (column.dtype.is_integer() or column.dtype == polars.Boolean):
        column = column.cast(polars.String)
        return np.array(column.to_list())
    return column.to_numpy()


def _facts(classifier: MixtureClassifier) -> dict[str, Any]:
    """Return what is known of a classifier: its classes, their mixtures, and the fit."""
    classes = [
        {
            "class": label,
            "prior": prior,
            "n_components": len(mixture.weights_),
            "covariance_type": structure,
            "weights": mixture.weights_,
            "means": mixture.means_,
            "covariances": mixture.covariances_,
        }
        for label, prior, mixture, structure in zip(
            classifier.classes_.tolist(), classifier.priors_, classifier.mixtures_, classifier.covariance_types_
        )
    ]
    return {
        "classes": classes,
        "log_likelihood": classifier.log_likelihood_,
        "n_parameters": classifier.n_parameters_,
        "bic": classifier.bic_,
    }


def _columns(names: Sequence[str]) -> str:
    return f"{len(names)} columns ({', '.join(names[:10])})"


def _text(classifier: MixtureClassifier, data: str) -> str:
    columns = [
        [str(label) for label in classifier.classes_.tolist()],
        format_numbers(classifier.priors_.tolist(), digits=5),
        [str(len(mixture.weights_)) for mixture in classifier.mixtures_],
        list(classifier.covariance_types_),
    ]
    lines = [
        f"Mixture classifier: {len(classifier.classes_)} classes",
        f"Data             {data}",
        f"Log-likelihood   {classifier.log_likelihood_:.6f} nats, of rows whose classes are unknown",
        f"Free parameters  {classifier.n_parameters_}",
        f"BIC              {classifier.bic_:.4f} (lower is better)",
        "",
        *format_table(["class", "prior", "components", "covariance"], columns),
    ]
    return "\n".join(lines)
