"""A fitted MixtureClassifier or MixtureRegressor as a model file, and back."""

from __future__ import annotations

import os
from typing import Any

from emix.exceptions import ModelFileError
from emix.files.model_file import load_model, save_model
from emix.supervised.classifier_content import classifier_content, classifier_of_content
from emix.supervised.regressor_content import regressor_content, regressor_of_content

__all__ = ["load_estimator", "save_estimator"]

_CONTENT = {"MixtureClassifier": classifier_content, "MixtureRegressor": regressor_content}
_OF_CONTENT = {"MixtureClassifier": classifier_of_content, "MixtureRegressor": regressor_of_content}


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator."""
    save_model(path, *_CONTENT[estimator._kind](estimator))


def load_estimator(cls: Any, path: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save_estimator` wrote, as an instance of `cls`.

    Raises
    ------
    ModelFileError
        If the file is damaged, holds something else, or holds what this emix does not know.
    """
    kind = cls._kind
    header, arrays = load_model(path, kind=kind)
    try:
        return _OF_CONTENT[kind](cls, header, arrays)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        # The checksum is right: a newer emix wrote it, or somebody by hand.
        raise ModelFileError(
            os.fspath(path),
            f"holds a {kind} that this emix cannot read ({type(error).__name__}: {error}). Upgrade emix, or save the "
            "model again.",
        ) from error
