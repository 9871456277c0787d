"""How a mixture shows itself: its summary and its pictures. Their layers are imported when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emix.exceptions import not_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from emix.summary.description import Summary

__all__ = ["MixtureDisplay"]


class MixtureDisplay:
    """Methods that show a fitted mixture."""

    def summary(self, X: Any = None, sample_weight: ArrayLike | None = None) -> Summary:
        """Describe the mixture: the fit, its criteria, and the components.

        Parameters
        ----------
        X : array_like, data frame or stream of rows of shape (n_samples, n_features), optional
            Rows, usually those of the fit: the log-likelihood and the criteria are theirs, and n is their number or
            weight. With them the summary also has the number of rows in each component, the mean largest
            responsibility, and ICL. Without them a stream (`partial_fit`) has no criteria.
        sample_weight : array_like of shape (n_samples,), optional
            The weights of `X`.

        Returns
        -------
        Summary
            A str, which a notebook shows as tables. Log-likelihoods are totals in nats; covariances are in the columns'
            units.

        Raises
        ------
        NotFittedError
            If the mixture has no parameters.
        ValueError
            If `X` has other columns than the fit, or `sample_weight` is not one weight for each row.

        Examples
        --------
        >>> import emix
        >>> faithful = emix.load_faithful()
        >>> gm = emix.GaussianMixture(2, random_state=0).fit(faithful.data)
        >>> print(gm.summary(faithful.data).splitlines()[0])
        Gaussian mixture: 2 components, full covariances
        """
        from emix.summary.summary import summary

        weight: Any = sample_weight
        return summary(self._mixture_shown(), X, weight)

    def plot(
        self,
        X: Any = None,
        kind: str = "page",
        *,
        ax: Axes | None = None,
        features: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> Figure | Axes:
        """Draw the mixture with rows, usually those of the fit.

        Parameters
        ----------
        X : array_like or data frame of shape (n_samples, n_features), optional
            "density" and "convergence" do not need it.
        kind : {"page", "pairs", "density", "uncertainty", "convergence", "responsibilities"}
            "page": four panels, of data and components, density, uncertainty and convergence. "pairs": a scatter matrix
            with the components' ellipses, and marginal densities on its diagonal. "density": the regions of highest
            density with their probabilities, or in one column histogram and densities. "uncertainty": 1 − the largest
            responsibility of each row. "convergence": the log-likelihood by iteration. "responsibilities": those of
            each row, rows ordered by component; in one column as functions of it.
        ax : matplotlib.axes.Axes, optional
            Where to draw a kind of one panel. By default a new figure, which pyplot knows: ``plt.show()`` shows it, and
            a notebook does once.
        features : str, int or sequence of them, optional
            Columns to draw, by number, from 0, or by name: two for "page", up to twelve for "pairs", one or two for
            "density" and "uncertainty". By default all; of more than two, the plane of the mixture's two largest
            principal axes; for "pairs" the six columns in which the components' means differ most.
        sample_weight : array_like of shape (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        matplotlib.figure.Figure or matplotlib.axes.Axes
            The figure, or the axes that were given. A new figure belongs to pyplot, which keeps it until
            ``plt.close(figure)``: a loop that makes many closes each.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the mixture has no parameters.
        TypeError, ValueError
            If there is no such kind or column, `X` has other columns than the fit or is missing, or `ax` is given for a
            kind of several panels.

        Notes
        -----
        Of more than 5 000 rows the page shows a sample, and says so. "density", "uncertainty" and "pairs" then show
        all rows, as counts or means in the cells of a grid.

        Examples
        --------
        >>> import emix
        >>> faithful = emix.load_faithful()
        >>> gm = emix.GaussianMixture(2, random_state=0).fit(faithful.data)
        >>> figure = gm.plot(faithful.data, "pairs")
        >>> len(figure.axes)
        4
        """
        # Asked for first: the picture would ask for rows.
        mixture = self._mixture_shown()
        from emix.plots.kinds import plot

        return plot(mixture, X, kind, ax=ax, features=features, sample_weight=sample_weight)

    def _mixture_shown(self) -> Any:
        """Return the fitted mixture: this one, but for an estimator that holds one."""
        if "_parameters" not in vars(self):
            raise not_fitted(type(self).__name__)
        return self
