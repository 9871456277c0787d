"""Every line of Python in the README of 0.1 runs and prints what it said, and `emix.faces` has its two names."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

import emix

README_OF_0_1 = Path(__file__).with_name("readme_of_0_1.md")


def test_examples_of_the_readme() -> None:
    failed, attempted = doctest.testfile(str(README_OF_0_1), module_relative=False, encoding="utf-8")
    assert attempted >= 15
    assert failed == 0


def test_the_readme_names_the_summary_and_the_picture() -> None:
    text = README_OF_0_1.read_text(encoding="utf-8")
    for name in ("summary", "plot_mixture"):
        assert f"`emix.faces.{name}`" in text
        assert callable(getattr(emix.faces, name))


def test_summary(mixture: emix.GaussianMixture, faithful: object) -> None:
    assert "log-likelihood" in emix.faces.summary(mixture, faithful)


def test_plot_mixture(mixture: emix.GaussianMixture, faithful: object) -> None:
    pytest.importorskip("matplotlib")
    figure = emix.faces.plot_mixture(mixture, faithful)
    assert figure.axes
