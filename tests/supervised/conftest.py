"""A classifier that several files look at."""

from __future__ import annotations

import pytest

from emix import MixtureClassifier
from supervised.labelled_rows import X, Y


@pytest.fixture(scope="module")
def classifier() -> MixtureClassifier:
    return MixtureClassifier({0: 2, 1: 1, 2: 1}, random_state=0).fit(X, Y)
