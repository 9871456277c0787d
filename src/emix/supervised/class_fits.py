"""Fits of a MixtureClassifier: a mixture for each class, or a Gaussian for each with a structure across the classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emix.choice.request import check_covariance_types, check_n_components
from emix.choice.select import select_from
from emix.estimators.criteria import aic, bic, weighted_total
from emix.estimators.gaussian_mixture import GaussianMixture
from emix.estimators.parameters_check import Settings
from emix.exceptions import DegenerateFitError, shown, warn, warn_convergence, warnings_held
from emix.gaussian.collapse import ColumnDoubts, columns_text, judge_fit
from emix.gaussian.parameters import GaussianParameters, full_covariances
from emix.gaussian.scoring import score_rows
from emix.gaussian.structures import CovarianceStructure, structure_of
from emix.rows.arrays import ArraySource
from emix.rows.validation import FloatArray, check_enough_rows
from emix.supervised.class_gaussians import fit_class_gaussians

__all__ = ["CRITERIA", "ClassFits", "LabelledRows", "fit_across_classes", "fit_each_class"]

CRITERIA = ("bic", "aic")

# The structures of one component that differ.
_PLAIN = ("full", "diag", "spherical")


class LabelledRows(NamedTuple):
    """Checked rows of weight above zero, and their classes.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
    weight : ndarray of shape (n_rows,), float64, or None
    names : ndarray of shape (n_features,), object, or None
        Of the columns.
    classes : ndarray of shape (n_classes,)
    labels : ndarray of shape (n_rows,), intp
        Number of each row's class.
    """

    X: FloatArray
    weight: NDArray[np.float64] | None
    names: NDArray[np.object_] | None
    classes: NDArray[Any]
    labels: NDArray[np.intp]

    def shares(self) -> NDArray[np.float64]:
        """Weight of each class as a part of the total, (n_classes,)."""
        weight = np.bincount(self.labels, weights=self.weight, minlength=len(self.classes))
        return np.asarray(weight / weight.sum())


class ClassFits(NamedTuple):
    """Mixtures of the classes, in their order, and the numbers of parameters and steps of all together.

    Attributes
    ----------
    mixtures : list of GaussianMixture
    covariance_types : list of str
        Names of their structures.
    n_parameters : int
        Free parameters of all.
    n_iter : int
        Most steps of EM of a fit.
    """

    mixtures: list[GaussianMixture]
    covariance_types: list[str]
    n_parameters: int
    n_iter: int


class _ClassRows:
    """Rows of one class as a data frame, so that its mixture knows the columns' names."""

    def __init__(self, X: FloatArray, names: NDArray[np.object_]) -> None:
        self._X, self.columns = X, names

    def to_numpy(self) -> FloatArray:
        return self._X


def _plain(label: Any) -> Any:
    """Return a class as Python's own number or text."""
    return label.item() if isinstance(label, np.generic) else label


def _name_of(label: Any) -> str:
    """Write a class as a user would."""
    return shown(_plain(label))


def fit_each_class(
    mixture: GaussianMixture, rows: LabelledRows, n_components: Any, covariance_type: Any, criterion: str, caller: str
) -> ClassFits:
    """Fit a mixture to the rows of each class.

    Parameters
    ----------
    mixture : GaussianMixture
        Has the settings of all fits.
    rows : LabelledRows
    n_components : int, iterable of int, or mapping of classes to these
    covariance_type : str or iterable of str
    criterion : {"bic", "aic"}
        For the choice, where there are several candidates.
    caller : str
        The estimator's name in messages.

    Returns
    -------
    ClassFits

    Raises
    ------
    TypeError, ValueError
        If a parameter is not what it should be, or a class cannot be fitted; the message names the class.
    """
    asked = _asked_of_classes(n_components, rows.classes, caller)
    _structures(covariance_type, rows.X.shape[1], caller)
    n_rows = np.bincount(rows.labels, minlength=len(rows.classes))
    for label, numbers, n in zip(rows.classes, asked, n_rows.tolist()):
        try:
            check_enough_rows(n, min(numbers))
        except ValueError as error:
            raise ValueError(f"class {_name_of(label)}: {error}") from None
    mixtures = []
    for c, label in enumerate(rows.classes):
        mine = rows.labels == c
        X: Any = rows.X[mine] if rows.names is None else _ClassRows(rows.X[mine], rows.names)
        weight = None if rows.weight is None else rows.weight[mine]
        with warnings_held() as warned:
            try:
                mixtures.append(_fit_class(mixture, X, weight, asked[c], covariance_type, criterion, caller))
            except DegenerateFitError as error:
                message = f"class {_name_of(label)}: {error}"
                raise type(error)(message, error.component, error.n_effective) from error
            except ValueError as error:
                raise ValueError(f"class {_name_of(label)}: {error}") from error
        # Columns that are constant are said of all classes at once.
        constant = ColumnDoubts(constant=mixtures[-1].columns_in_doubt_.constant)
        said = constant.messages(mixture.reg_covar, rows.names)
        for message, category in warned:
            if message not in said:
                warn(f"class {_name_of(label)}: {message}", category)
    _warn_of_constant_columns(mixtures, rows)
    types = [found.covariance_type for found in mixtures]
    free = sum(found.n_parameters_ for found in mixtures)
    return ClassFits(mixtures, types, free, max(found.n_iter_ for found in mixtures))


def _warn_of_constant_columns(mixtures: list[GaussianMixture], rows: LabelledRows) -> None:
    """Warn of columns that have one value in all rows, and of others that have one in all rows of a class."""
    least, greatest = ArraySource(rows.X).column_range
    everywhere = set(np.flatnonzero(least == greatest).tolist())
    if everywhere:
        which = columns_text(sorted(everywhere), rows.names)
        warn(f"{which} constant, which tells no classes apart: leave out what does not vary.")
    # A variance of all columns together is not that of the constant ones.
    within = [
        (label, set(mixture.columns_in_doubt_.constant) - everywhere)
        for label, mixture in zip(rows.classes, mixtures)
        if structure_of(mixture.covariance_type, "fit").form.has_directions
    ]
    found = [(label, columns) for label, columns in within if columns]
    if found:
        label, columns = found[0]
        others = {1: "", 2: " Another class has such columns, too."}
        which = columns_text(sorted(columns), rows.names)
        warn(
            f"{which} constant in class {_name_of(label)}, and its variance there is what reg_covar "
            "adds: rows with another value hardly ever count to the class. Leave such columns out, or give the classes "
            "covariances in common, as with across_classes=True and covariance_type='tied'."
            + others.get(len(found), f" {len(found) - 1} other classes have such columns, too.")
        )


def _asked_of_classes(n_components: Any, classes: NDArray[Any], caller: str) -> list[list[int]]:
    """Return the numbers of components to choose among, for each class."""
    if not isinstance(n_components, Mapping):
        return [check_n_components(n_components, caller=caller)] * len(classes)
    of_class = {_plain(key): value for key, value in n_components.items()}
    known = [_plain(label) for label in classes]
    missing = [label for label in known if label not in of_class]
    unknown = [label for label in of_class if label not in known]
    if missing or unknown:
        problem = (
            f"has {shown(unknown[0])}, which is no class of y" if unknown else f"lacks the class {shown(missing[0])}"
        )
        raise ValueError(
            f"The 'n_components' parameter of {caller} {problem}, expected a number for each of "
            f"{', '.join(map(shown, known))}."
        )
    return [check_n_components(of_class[label], caller=caller) for label in known]


def _structures(covariance_type: Any, n_features: int, caller: str) -> list[tuple[str, CovarianceStructure]]:
    """Return the names and structures to choose among."""
    if isinstance(covariance_type, str):
        if covariance_type == "all":
            return check_covariance_types("all", n_features, caller=caller)
        covariance_type = [covariance_type]
    given = covariance_type if isinstance(covariance_type, Iterable) else [covariance_type]
    return check_covariance_types(given, n_features, caller=caller, parameter="covariance_type")


def _fit_class(
    mixture: GaussianMixture,
    X: Any,
    weight: ArrayLike | None,
    n_components: list[int],
    covariance_type: Any,
    criterion: str,
    caller: str,
) -> GaussianMixture:
    """Fit the mixture of one class, or choose it."""
    if len(n_components) == 1 and isinstance(covariance_type, str) and covariance_type != "all":
        n_features = len(X.columns) if isinstance(X, _ClassRows) else X.shape[1]
        ((name, _),) = _structures(covariance_type, n_features, caller)  # "V" of one column is "full"
        settings = {**mixture.get_params(), "n_components": n_components[0], "covariance_type": name}
        return GaussianMixture(**settings).fit(X, sample_weight=weight)
    best = select_from(mixture, X, n_components, covariance_type, criterion, weight, 2, caller).best_
    of_all = isinstance(covariance_type, str) and covariance_type == "all"
    if of_all and best.n_components == 1 and best.covariance_type not in _PLAIN:
        # Of one component all structures of matrices are one, and which of them comes first by BIC is rounding.
        form = structure_of(best.covariance_type, caller).form
        plain = {**best.get_params(), "covariance_type": "full" if form.has_matrices else form.name}
        return GaussianMixture(**plain).fit(X, sample_weight=weight)
    return best


def fit_across_classes(
    settings: Settings,
    rows: LabelledRows,
    priors: NDArray[np.float64],
    covariance_type: Any,
    criterion: str,
    caller: str,
) -> ClassFits:
    """Fit a Gaussian to each class, with covariances of one structure, the best by a criterion (EDDA).

    Parameters
    ----------
    settings : Settings
        Checked settings of a fit.
    rows : LabelledRows
    priors : ndarray of shape (n_classes,)
        Of the classes, for the criterion.
    covariance_type : str or iterable of str
    criterion : {"bic", "aic"}
        Of the rows' log-density with the classes unknown, as in mclust.
    caller : str
        The estimator's name in messages.

    Returns
    -------
    ClassFits

    Raises
    ------
    TypeError, ValueError
        If a parameter is not what it should be, or no structure can be fitted.
    """
    structures = _structures(covariance_type, rows.X.shape[1], caller)
    source = ArraySource(rows.X, rows.weight).without_unit()
    best: tuple[float, str, Any] | None = None
    failure: DegenerateFitError | None = None
    for name, structure in structures:
        try:
            result = fit_class_gaussians(
                source, rows.labels, len(rows.classes), structure,
                reg_covar=settings.reg_covar, tol=settings.tol, max_iter=settings.max_iter,
                n_threads=settings.n_threads,
            )  # fmt: skip
        except DegenerateFitError as error:
            failure = failure or error
            continue
        value = 0.0
        if len(structures) > 1:
            density = score_rows(rows.X, _with_weights(result.parameters, priors), n_threads=settings.n_threads)
            assert density.log_density is not None
            total, n = weighted_total(density.log_density, rows.weight)
            free = _n_free(structure, rows)
            value = bic(total, free, n) if criterion == "bic" else aic(total, free)
            if judge_fit(result.statistics, settings.reg_covar, source.effective_rows).collapse is not None:
                value = math.inf  # chosen only if all have collapsed
        if best is None or value < best[0]:
            best = value, name, (structure, result)
    if best is None:
        assert failure is not None
        which = _name_of(rows.classes[failure.component])
        message = f"{failure} Component {failure.component} is the class {which}."
        raise type(failure)(message, failure.component, failure.n_effective) from failure
    _, name, (structure, result) = best
    if not result.converged and settings.max_iter > 0:
        warn_convergence(
            f"The covariances of the classes did not converge in max_iter={settings.max_iter} steps. Increase max_iter "
            "or tol."
        )
    collapse, doubts = judge_fit(result.statistics, settings.reg_covar, source.effective_rows)
    if collapse is not None:
        who = "" if collapse.component is None else f"class {_name_of(rows.classes[collapse.component])}: "
        warn_convergence(
            f"The fit is degenerate: {who}{collapse.message(rows.names)}. Its posteriors say little: pass more rows, "
            "or choose a covariance_type with fewer parameters."
        )
    _warn_of_columns(doubts, settings, rows)
    mixtures = [_gaussian(result.parameters, c, rows.names, settings) for c in range(len(rows.classes))]
    return ClassFits(mixtures, [name] * len(mixtures), _n_free(structure, rows), result.n_iter)


def _n_free(structure: CovarianceStructure, rows: LabelledRows) -> int:
    """Free parameters of the means and covariances."""
    n_classes, d = len(rows.classes), rows.X.shape[1]
    return int(n_classes * d + structure.n_parameters(n_classes, d))


def _warn_of_columns(doubts: ColumnDoubts, settings: Settings, rows: LabelledRows) -> None:
    for message in doubts.messages(settings.reg_covar, rows.names):
        warn(message)


def _with_weights(parameters: GaussianParameters, weights: NDArray[np.float64]) -> GaussianParameters:
    _, means, covariances, whitening = parameters.arrays()
    log_det = parameters.log_det_whitening
    return GaussianParameters.of_arrays(parameters.structure, weights, means, covariances, whitening, log_det)


def _gaussian(
    parameters: GaussianParameters, c: int, names: NDArray[np.object_] | None, settings: Settings
) -> GaussianMixture:
    """Return the Gaussian of class `c` as a mixture of one component."""
    form = parameters.structure.form
    covariance = full_covariances(parameters)[c] if form.has_matrices else parameters.covariances[c]
    kind = "full" if form.has_matrices else form.name
    mixture = GaussianMixture.from_parameters([1.0], parameters.means[c : c + 1], [covariance], kind)
    mixture.n_threads = settings.n_threads
    if names is not None:
        mixture.feature_names_in_ = names
    return mixture
