"""patch_sklearn and unpatch_sklearn: the exchange of scikit-learn's class in all modules that hold it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from emix.estimators.sklearn_exchange import sklearn_mixture

__all__ = ["patch_sklearn", "unpatch_sklearn"]


def patch_sklearn() -> None:
    """Let ``sklearn.mixture.GaussianMixture`` fit and score with emix, in code that is not yours, too.

    The class is exchanged in ``sklearn.mixture`` and in every loaded module that holds it, so that the order of imports
    does not matter. A second call changes nothing.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    See Also
    --------
    unpatch_sklearn : Puts scikit-learn's own class back.

    Notes
    -----
    The class has scikit-learn's signature and defaults (``tol=1e-3``, ``reg_covar=1e-6``, ``max_iter=100``,
    ``init_params="kmeans"``), checks of arguments, errors, warnings, and names and shapes of fitted attributes. It is
    a subclass of scikit-learn's, and objects of scikit-learn's own class count as its instances: ``isinstance`` holds
    for objects made before and after, with the class from before and after.

    What differs, on purpose:

    - Random numbers are drawn in other ways, so that a seed gives another start than in scikit-learn. K-means for a
      start works on standardized columns. Components may come in another order, and another mode may be found.
    - A fit stops by the log-likelihood after a step, which scikit-learn knows an iteration later. `lower_bound_` is
      that of the parameters returned, and `lower_bounds_` has those after each iteration.
    - Data far from the origin, in single precision too, lose no digits; rows far from all components have
      responsibilities that sum to one; fits take all processors, and give the same bits for any number of them.
    - ``fit(X, sample_weight=…)`` and all else that scikit-learn lacks is in `emix.GaussianMixture`.

    What emix does not do falls through to scikit-learn's implementation, and a warning says so once for each kind of
    reason: a subclass that overrides private steps such as ``_m_step``; arrays of other libraries than NumPy with
    scikit-learn's array-API dispatch; data and parameters that emix refuses and scikit-learn takes.

    Classes that were derived from scikit-learn's before the patch stay scikit-learn's, and go on working, with one
    exception: ``super(GaussianMixture, self)`` in them raises TypeError, as the name then stands for the new class.
    Write ``super()``, or patch before such a class is defined.

    Objects made under the patch are pickled with a class of emix. They load wherever emix and scikit-learn are
    installed, patched or not. In the module that defines it, ``sklearn.mixture._gaussian_mixture``, scikit-learn's own
    class keeps its name: pickle looks for it there.

    The patch is of one process. Workers that joblib or others start anew have scikit-learn's class, and objects of
    emix's that are sent to them keep theirs.

    Examples
    --------
    >>> import emix
    >>> emix.patch_sklearn()
    >>> from sklearn.mixture import GaussianMixture
    >>> X = emix.load_faithful().data
    >>> gm = GaussianMixture(2, random_state=0).fit(X)
    >>> gm
    GaussianMixture(n_components=2, random_state=0)
    >>> type(gm).__module__
    'emix.sklearn_patch.patched_mixture'
    >>> emix.unpatch_sklearn()
    """
    own = sklearn_mixture("patch_sklearn needs")
    from emix.sklearn_patch.patched_mixture import GaussianMixture, speak_again

    speak_again()
    _exchange(own, GaussianMixture)


def unpatch_sklearn() -> None:
    """Put scikit-learn's own GaussianMixture back in every module; without a patch nothing changes.

    Objects that were made under the patch keep their class, and go on working.

    See Also
    --------
    patch_sklearn : Exchanges the class.
    """
    patched = sys.modules.get("emix.sklearn_patch.patched_mixture")
    if patched is not None:
        _exchange(patched.GaussianMixture, sklearn_mixture("unpatch_sklearn needs"))


def _exchange(old: Any, new: Any) -> None:
    """Put `new` in the place of `old` in every module, except those of emix and the one that defines the class."""
    modules: list[tuple[str, object]] = list(sys.modules.items())  # anything may stand there
    for name, module in modules:
        if name.partition(".")[0] == "emix" or name == "sklearn.mixture._gaussian_mixture":
            continue
        if not isinstance(module, ModuleType):
            continue
        # Not vars(module): a module that loads lazily would load.
        namespace: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
        for key, value in list(namespace.items()):
            if value is old:
                namespace[key] = new
