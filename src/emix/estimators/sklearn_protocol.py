"""The protocol of scikit-learn's estimators, without an import of scikit-learn.

scikit-learn recognizes estimators by what they do. This class does what its BaseEstimator, DensityMixin and metadata
requester do for a density estimator with sample weights. scikit-learn is imported only in the methods that it alone
calls, so `import emix` stays light and works without it; the cost is that isinstance(estimator, BaseEstimator) is
false.
"""

from __future__ import annotations

import copy
import inspect
import sys
from typing import Any, ClassVar, Self

import numpy as np

from emix.exceptions import shown

__all__ = ["UNCHANGED", "SklearnEstimator", "changed_params", "settings_of"]

# sklearn.utils.metadata_routing.UNCHANGED under another name: "leave this request as it is".
UNCHANGED = "$UNCHANGED$"

# The longest array, as text, that still goes into a repr.
_SHORT = 60
# The longest text of anything else: means as lists, say.
_LONG = 400


class SklearnEstimator:
    """Parameters, repr, tags, fitted state and metadata routing of a scikit-learn estimator.

    A subclass has one keyword in `__init__` for each parameter, and stores each unchanged under its name. Its `fit` and
    `score` take `sample_weight`. An estimator that does not keep its fit as `_parameters` has a method
    `__sklearn_is_fitted__` of its own.
    """

    # Metadata that methods take, besides X and y.
    _metadata: ClassVar[dict[str, tuple[str, ...]]] = {"fit": ("sample_weight",), "score": ("sample_weight",)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the constructor.

        Parameters
        ----------
        deep : bool
            Also those of parameters that are estimators, as ``name__parameter``.

        Returns
        -------
        dict of str to object
        """
        parameters: dict[str, Any] = {}
        for name in _defaults(type(self)):
            value = getattr(self, name)
            if deep and _has_parameters(value):
                parameters.update((f"{name}__{key}", inner) for key, inner in value.get_params().items())
            parameters[name] = value
        return parameters

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the constructor; they are checked at the next fit.

        Parameters
        ----------
        **params : object
            By name.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is no such parameter; nothing is set then.
        """
        valid = _defaults(type(self))
        nested: dict[str, dict[str, Any]] = {}
        own: dict[str, Any] = {}
        for key, value in params.items():
            name, separator, inner = key.partition("__")
            if name not in valid:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {sorted(valid)!r}."
                )
            if separator:
                nested.setdefault(name, {})[inner] = value
            else:
                own[name] = value
        held = {name: own.get(name, getattr(self, name)) for name in nested}
        for name, inner_params in nested.items():
            known = held[name].get_params() if _has_parameters(held[name]) else ()
            for inner in inner_params:
                if inner.partition("__")[0] not in known:
                    raise ValueError(
                        f"Invalid parameter {f'{name}__{inner}'!r} for estimator {self}: {name} is "
                        f"{shown(held[name])}, which has no parameter {inner!r}."
                    )
        for name, inner_params in nested.items():
            held[name].set_params(**inner_params)
        for name, value in own.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [f"{name}={_short(value)}" for name, value in changed_params(self).items()]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _repr_html_(self) -> str | None:
        # scikit-learn's switch between text and diagrams counts here too. None makes a notebook show the text.
        if "sklearn" in sys.modules and sys.modules["sklearn"].get_config()["display"] != "diagram":
            return None
        from emix.summary.estimator_html import estimator_html

        return estimator_html(self)

    def __sklearn_is_fitted__(self) -> bool:
        return "_parameters" in vars(self)

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type="density_estimator", target_tags=TargetTags(required=False))

    def set_fit_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """Say whether meta-estimators of scikit-learn pass `sample_weight` on to `fit`.

        Parameters
        ----------
        sample_weight : bool, str or None
            True: pass it. False: do not. None: raise an error if it is given. A name: pass what is given under it.

        Returns
        -------
        self

        Raises
        ------
        RuntimeError
            If scikit-learn's metadata routing is not enabled.
        """
        return self._request("fit", sample_weight=sample_weight)

    def set_score_request(self, *, sample_weight: bool | str | None = UNCHANGED) -> Self:
        """Say whether meta-estimators of scikit-learn pass `sample_weight` on to `score`.

        Parameters
        ----------
        sample_weight : bool, str or None
            True: pass it. False: do not. None: raise an error if it is given. A name: pass what is given under it.

        Returns
        -------
        self

        Raises
        ------
        RuntimeError
            If scikit-learn's metadata routing is not enabled.
        """
        return self._request("score", sample_weight=sample_weight)

    def get_metadata_routing(self) -> Any:
        """Return which metadata the methods ask for.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        stored = vars(self).get("_metadata_request")
        if stored is not None:
            return copy.deepcopy(stored)
        # The owner is only used in messages. A name, unlike the estimator itself, can be copied and pickled for free.
        request = MetadataRequest(owner=type(self).__name__)
        for method, names in self._metadata.items():
            for name in names:
                getattr(request, method).add_request(param=name, alias=None)
        return request

    def _request(self, method: str, **asked: bool | str | None) -> Self:
        from sklearn import get_config

        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable it using "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        request = self.get_metadata_routing()
        for name, alias in asked.items():
            if alias != UNCHANGED:
                getattr(request, method).add_request(param=name, alias=alias)
        # clone of scikit-learn copies the attribute of this name.
        self._metadata_request = request
        return self


def changed_params(estimator: SklearnEstimator) -> dict[str, Any]:
    """Return the parameters of the constructor that are not at their defaults."""
    return {
        name: getattr(estimator, name)
        for name, default in _defaults(type(estimator)).items()
        if not _same(getattr(estimator, name, default), default)
    }


def settings_of(estimator: Any, cls: type) -> dict[str, Any]:
    """Return the parameters of the constructor of `cls` as an estimator of this class, or of a derived one, holds them.

    `get_params` of an estimator lacks those that its own class, derived from `cls`, sets by itself.
    """
    return {name: getattr(estimator, name) for name in _defaults(cls)}


def _has_parameters(value: Any) -> bool:
    """True for an estimator, not for a class of estimators."""
    return hasattr(value, "get_params") and not isinstance(value, type)


def _defaults(cls: type) -> dict[str, Any]:
    """Parameters of the constructor and their defaults, in order."""
    return {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if isinstance(value, np.ndarray) or type(value) is not type(default):
        return False
    return bool(value == default)


def _short(value: Any) -> str:
    text = repr(value)
    if isinstance(value, np.ndarray) and (len(text) > _SHORT or "\n" in text):
        return f"<array of shape {value.shape}>"
    return " ".join(text.split()) if len(text) <= _LONG else shown(value)
