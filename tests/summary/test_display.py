"""Summaries and estimators as a notebook shows them."""

from __future__ import annotations

import copy
import pickle
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn

import emix
from emix.estimators.sklearn_protocol import SklearnEstimator
from emix.summary.description import Summary


class Reader(HTMLParser):
    """Reads HTML that has to be well formed: every element is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read(html: str) -> list[str]:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    # Nothing from elsewhere, and no colour that would be unreadable on a dark page.
    assert not re.search(r"https?:|url\(|@import|<script|<link", html)
    colours = re.findall(r"(?<![-\w])(?:color|background(?:-color)?):\s*([^;}]+)", html)
    assert set(colours) <= {"inherit", "none"}
    return reader.text


def test_summary_is_a_str_with_html(mixture: emix.GaussianMixture, faithful: np.ndarray) -> None:
    found = mixture.summary(faithful)
    assert isinstance(found, Summary) and isinstance(found, str)
    assert found == emix.faces.summary(mixture, faithful) == str(found) == repr(found)
    assert type(str(found)) is str
    texts = read(found._repr_html_())
    # Every number of the text is in the HTML.
    numbers = set(re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", str(found)))
    assert numbers <= set(re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", " ".join(texts)))
    assert len(numbers) > 10


def test_summary_can_be_copied_and_pickled(mixture: emix.GaussianMixture) -> None:
    found = mixture.summary()
    for other in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert isinstance(other, Summary)
        assert (str(other), other._repr_html_()) == (str(found), found._repr_html_())


def test_summary_takes_weights(faithful: np.ndarray) -> None:
    w = np.tile([0.5, 1.5], 136)
    gm = emix.GaussianMixture(2, random_state=0).fit(faithful, sample_weight=w)
    assert "total 272, from 0.5 to 1.5" in gm.summary(faithful, w)
    with pytest.raises(ValueError, match="sample_weight is given, but not X"):
        gm.summary(sample_weight=w)


def test_estimators_say_what_was_changed_and_whether_they_are_fitted(faithful: np.ndarray) -> None:
    gm = emix.GaussianMixture(3, tol=1e-4, random_state=0)
    texts = read(gm._repr_html_() or "")
    assert "not fitted" in texts
    assert "3 of 15 parameters changed" in texts
    assert "n_components=3, tol=0.0001, random_state=0" in texts
    texts = read(gm.fit(faithful)._repr_html_() or "")
    assert "fitted" in texts and "not fitted" not in texts
    assert any(f"log-likelihood {gm.log_likelihood_:.6g} nats" in text for text in texts)
    assert "15 parameters, all default" in read(emix.GaussianMixture()._repr_html_() or "")


class Classifier(SklearnEstimator):
    """An estimator of another kind: fitted, but no mixture."""

    def __init__(self, prior: Any, depth: int = 3) -> None:
        self.prior, self.depth = prior, depth

    def __sklearn_is_fitted__(self) -> bool:
        return True


def test_an_estimator_that_is_no_mixture_shows_its_parameters() -> None:
    texts = read(Classifier({"a": 0.5}, 4)._repr_html_() or "")
    assert {"Classifier", "fitted", "prior={'a': 0.5}, depth=4", "2 of 2 parameters changed"} <= set(texts)


def test_a_selector_says_what_it_chose(faithful: np.ndarray) -> None:
    selector = emix.MixtureSelector([1, 2], ["full", "tied"], random_state=0)
    assert "not fitted" in read(selector._repr_html_() or "")
    texts = read(selector.fit(faithful)._repr_html_() or "")
    assert any(text.startswith("chosen: full, 2 components, 2 columns") for text in texts)


def test_a_normal_shows_its_moments() -> None:
    normal = emix.MultivariateNormal([170.0, 65.0], [[49.0, 28.0], [28.0, 64.0]], feature_names=["height", "<weight>"])
    texts = read(normal._repr_html_())
    assert "<weight>" in texts  # escaped in the HTML
    assert {"7.0000", "8.0000", "0.500"} <= set(texts)
    assert "2 features" in texts
    constant = emix.MultivariateNormal([1.0, 2.0], [[1.0, 0.0], [0.0, 0.0]], allow_singular=True)
    assert {"—", "2 features, of rank 1"} <= set(read(constant._repr_html_()))
    assert "and 10 more" in read(emix.MultivariateNormal(np.zeros(40), np.eye(40))._repr_html_())


def test_names_are_escaped(faithful: np.ndarray) -> None:
    frame = pd.DataFrame(faithful, columns=["<script>alert(1)</script>", "a & b"])
    gm = emix.GaussianMixture(1).fit(frame)
    html = gm.summary(frame)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_scikit_learns_switch_to_text_counts(mixture: emix.GaussianMixture) -> None:
    with sklearn.config_context(display="text"):
        assert mixture._repr_html_() is None
    assert "fitted" in read(mixture._repr_html_() or "")
