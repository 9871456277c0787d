"""How a mixture is kept in a file. What only files need is imported when they are asked for."""

from __future__ import annotations

import os
from typing import Self

__all__ = ["MixtureStorage"]


class MixtureStorage:
    """Methods that write a mixture to a file and read it."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture to a file: data without code, with a checksum.

        Parameters
        ----------
        path : str or os.PathLike
            Used as given. The file is written beside it and then takes its place, so that an existing file is replaced
            whole or not at all; it keeps its permissions. A FIFO or a device is written through.

        Raises
        ------
        NotFittedError
            If there are no parameters yet.
        OSError
            If the file cannot be written.

        Notes
        -----
        Kept are the parameters in float64 and the dtype of the data, the names of the columns, the settings, and all
        that the fit reported: log-likelihood, history, runs, how it stopped and how long it took. Arrays that were put
        in the place of `means_` and the like are kept as what they are. A setting that is no number, text, array or
        None is not kept, such as a generator given as `random_state`: the loaded mixture has the default there.
        Attributes of your own are not kept.
        """
        from emix.estimators.mixture_file import save_mixture

        save_mixture(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a mixture that `save` wrote; it scores to the same bits.

        Parameters
        ----------
        path : str or os.PathLike

        Returns
        -------
        GaussianMixture

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is truncated, altered, of a newer format or not of a GaussianMixture.
        """
        from emix.estimators.mixture_file import load_mixture

        return load_mixture(cls, path)
