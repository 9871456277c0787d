"""The Old Faithful eruptions: 272 rows, two columns, two clear clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DESCRIPTION = """\
Old Faithful geyser, Yellowstone National Park, Wyoming, USA: 272 eruptions observed
continuously from August 1 to August 15, 1985.

eruptions   duration of the eruption, minutes
waiting     waiting time to the next eruption, minutes

Source: W. Härdle (1991), Smoothing Techniques with Implementation in S, Springer; a version of
the data of A. Azzalini and A. W. Bowman (1990), A look at some data on the Old Faithful geyser,
Applied Statistics 39, 357-365. The same values as `faithful` in R.
"""


@dataclass(frozen=True, repr=False, eq=False)
class Dataset:
    """A data set that comes with emix.

    Attributes
    ----------
    data : ndarray of shape (n_samples, n_features), float64
    feature_names : tuple of str
        The name of each column.
    description : str
        The meaning and units of the columns, and the source of the data.
    """

    data: NDArray[np.float64]
    feature_names: tuple[str, ...]
    description: str

    def __repr__(self) -> str:
        n_samples, n_features = self.data.shape
        columns = f"{n_features} column{'s' if n_features != 1 else ''} ({', '.join(self.feature_names)})"
        return f"<Dataset: {n_samples} rows, {columns}; see .data, .feature_names, .description>"


def load_faithful() -> Dataset:
    """Load the Old Faithful eruptions.

    Returns
    -------
    Dataset
        `data` of shape (272, 2), float64: ``eruptions`` (minutes) and ``waiting`` (minutes).
        Each call returns a new array.

    Examples
    --------
    >>> from emix.datasets import load_faithful
    >>> faithful = load_faithful()
    >>> faithful
    <Dataset: 272 rows, 2 columns (eruptions, waiting); see .data, .feature_names, .description>
    >>> faithful.data.shape
    (272, 2)
    >>> faithful.feature_names
    ('eruptions', 'waiting')
    """
    # Not imported at the top, for the same reason as in `faithful_csv`.
    import csv

    header, *rows = csv.reader(faithful_csv().splitlines())
    return Dataset(np.array(rows, dtype=np.float64), tuple(header), _DESCRIPTION)


def faithful_csv() -> str:
    """Return the Old Faithful eruptions as the text of a CSV file, with a header."""
    # Not imported at the top: it loads zipfile and tempfile, which "import emix" does not need.
    from importlib import resources

    return resources.files("emix.datasets").joinpath("faithful.csv").read_text(encoding="utf-8")
