"""The methods `save` and `load` of a classifier."""

from __future__ import annotations

import os
from typing import Self

__all__ = ["SavedClassifier"]


class SavedClassifier:
    """Methods that write a fitted classifier to a file and read it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the classifier to a file: data without code, with a checksum.

        Parameters
        ----------
        path : str or os.PathLike
            Used as given. An existing file is replaced whole or not at all.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        TypeError
            If a class is neither a number nor a text.
        OSError
            If the file cannot be written.

        Notes
        -----
        Kept are the mixtures as `GaussianMixture.save` keeps them, the classes, the priors, the names of the columns,
        what the fit reported, and the settings that are numbers, texts, None, or made of these. A generator given as
        `random_state` is not: the loaded classifier has the default there.
        """
        from emix.supervised.classifier_file import save_classifier  # json and hashlib, which `import emix` leaves out

        save_classifier(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a classifier that `save` wrote; it predicts to the same bits.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        MixtureClassifier

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is truncated, altered, of a newer format or not of a MixtureClassifier.
        """
        from emix.supervised.classifier_file import load_classifier

        classifier: Self = load_classifier(cls, path)
        return classifier
