"""The methods `save` and `load` of a classifier or regressor."""

from __future__ import annotations

import os
from typing import ClassVar, Self

__all__ = ["SavedEstimator"]


class SavedEstimator:
    """Methods that write a fitted estimator to a file and read it."""

    _kind: ClassVar[str]  # of its files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file: data without code, with a checksum.

        Parameters
        ----------
        path : str or os.PathLike
            Used as given. An existing file is replaced whole or not at all.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        TypeError
            If a class of a classifier is neither a number nor a text.
        OSError
            If the file cannot be written.

        Notes
        -----
        Kept are the mixtures as `GaussianMixture.save` keeps them, the classes and priors of a classifier, the names of
        the columns, what the fit reported, and the settings that are numbers, texts, None, or made of these. A
        generator given as `random_state` is not: the loaded estimator has the default there.
        """
        from emix.supervised.estimator_file import save_estimator  # json and hashlib, which `import emix` leaves out

        save_estimator(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an estimator that `save` wrote; it predicts to the same bits.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        estimator
            Of the class whose method this is.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is truncated, altered, of a newer format or not of this kind of estimator.
        """
        from emix.supervised.estimator_file import load_estimator

        estimator: Self = load_estimator(cls, path)
        return estimator
