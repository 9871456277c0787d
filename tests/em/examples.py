"""Models with latent variables whose answers are known, written as a user of `fit_em` would."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class GeneticLinkage:
    """Counts of four phenotypes with probabilities 1/2 + θ/4, (1 − θ)/4, (1 − θ)/4, θ/4.

    Dempster, Laird and Rubin (1977), section 1, with data of Rao (1965). The first class is two classes in truth.
    """

    COUNTS = (125, 18, 20, 34)
    # The likelihood equation is 197 θ² − 15 θ − 68 = 0.
    THETA = (15.0 + np.sqrt(15.0**2 + 4.0 * 197.0 * 68.0)) / (2.0 * 197.0)

    def log_likelihood(self, counts: tuple[int, ...], theta: float) -> float:
        p = np.array([0.5 + theta / 4, (1 - theta) / 4, (1 - theta) / 4, theta / 4])
        return float(np.array(counts) @ np.log(p))

    def e_step(self, counts: tuple[int, ...], theta: float) -> tuple[tuple[float, float], float]:
        hidden = counts[0] * (theta / 4) / (0.5 + theta / 4)
        return (hidden + counts[3], counts[1] + counts[2]), self.log_likelihood(counts, theta)

    def m_step(self, statistics: tuple[float, float]) -> float:
        return statistics[0] / (statistics[0] + statistics[1])


class GeneticLinkageWithPrior(GeneticLinkage):
    """Genetic linkage with a beta prior of θ, which is conjugate: it adds counts to the M-step."""

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b

    def mode(self) -> float:
        """The posterior's mode, the root between 0 and 1 of 125/(2 + θ) + y/θ − z/(1 − θ) = 0.

        Times θ (1 − θ) (2 + θ): (125 + y + z) θ² − (125 − y − 2 z) θ − 2 y = 0, where y and z are the counts of θ and
        of 1 − θ, with those of the prior.
        """
        first, *other, last = self.COUNTS
        y, z = last + self.a - 1.0, sum(other) + self.b - 1.0
        p, q = first + y + z, first - y - 2.0 * z
        return (q + math.sqrt(q * q + 8.0 * p * y)) / (2.0 * p)

    def log_prior(self, theta: float) -> float:
        return (self.a - 1.0) * math.log(theta) + (self.b - 1.0) * math.log1p(-theta)

    def m_step(self, statistics: tuple[float, float]) -> float:
        return super().m_step((statistics[0] + self.a - 1.0, statistics[1] + self.b - 1.0))


class TwoCoins:
    """Heads in sets of ten tosses, each set of one of two coins (Do and Batzoglou 2008, figure 1b)."""

    HEADS = np.array([5.0, 9.0, 8.0, 4.0, 7.0])
    by_rows = True

    def e_step(self, heads: Array, theta: Array) -> tuple[tuple[Array, Array], float]:
        p = 0.5 * theta ** heads[:, None] * (1 - theta) ** (10 - heads[:, None])
        r = p / p.sum(axis=1, keepdims=True)
        return (heads @ r, (10 - heads) @ r), float(np.log(p.sum(axis=1)).sum())

    def m_step(self, statistics: tuple[Array, Array]) -> Array:
        heads, tails = statistics
        return heads / (heads + tails)


COINS = TwoCoins.HEADS
START = np.array([0.6, 0.5])


@dataclass(frozen=True)
class Alleles:
    """Expected numbers of genes, or their frequencies."""

    a: float
    b: float
    o: float


class BloodGroups:
    """Frequencies of the ABO alleles from counts of blood groups A, B, AB, O, under Hardy-Weinberg equilibrium.

    K. Lange (2010), Numerical Analysis for Statisticians, section 13.3: 186, 38, 13 and 284 patients with a gastric
    ulcer (Clarke et al. 1959), with the answer 0.2136, 0.0501, 0.7363.
    """

    COUNTS = (186, 38, 13, 284)

    def log_likelihood(self, counts: tuple[int, ...], p: Alleles) -> float:
        groups = np.array([p.a * p.a + 2 * p.a * p.o, p.b * p.b + 2 * p.b * p.o, 2 * p.a * p.b, p.o * p.o])
        return float(np.array(counts) @ np.log(groups))

    def e_step(self, counts: tuple[int, ...], p: Alleles) -> tuple[Alleles, float]:
        n_a, n_b, n_ab, n_o = counts
        n_aa = n_a * p.a / (p.a + 2 * p.o)
        n_bb = n_b * p.b / (p.b + 2 * p.o)
        genes = Alleles(n_a + n_aa + n_ab, n_b + n_bb + n_ab, n_a - n_aa + n_b - n_bb + 2.0 * n_o)
        return genes, self.log_likelihood(counts, p)

    def m_step(self, genes: Alleles) -> Alleles:
        total = genes.a + genes.b + genes.o
        return Alleles(genes.a / total, genes.b / total, genes.o / total)

    def weight(self, counts: tuple[int, ...]) -> float:
        return float(sum(counts))


class NormalWithGaps:
    """Mean and covariance of a multivariate normal from rows with missing entries (NaN)."""

    by_rows = True

    def e_step(self, X: Array, parameters: dict[str, Array]) -> tuple[dict[str, Any], float]:
        mean, covariance = parameters["mean"], parameters["covariance"]
        d = len(mean)
        statistics: dict[str, Any] = {"n": 0, "sum": np.zeros(d), "products": np.zeros((d, d))}
        log_likelihood = 0.0
        for x in X:
            seen = ~np.isnan(x)
            filled, spread = x.copy(), np.zeros((d, d))
            inner = covariance[np.ix_(seen, seen)]
            gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(inner)
            z = x[seen] - mean[seen]
            filled[~seen] = mean[~seen] + gain @ z
            spread[np.ix_(~seen, ~seen)] = covariance[np.ix_(~seen, ~seen)] - gain @ covariance[np.ix_(seen, ~seen)]
            statistics["n"] += 1
            statistics["sum"] += filled
            statistics["products"] += np.outer(filled, filled) + spread
            _, log_det = np.linalg.slogdet(2.0 * np.pi * inner)
            log_likelihood -= 0.5 * (log_det + z @ np.linalg.solve(inner, z))
        return statistics, float(log_likelihood)

    def m_step(self, statistics: dict[str, Any]) -> dict[str, Array]:
        mean = statistics["sum"] / statistics["n"]
        return {"mean": mean, "covariance": statistics["products"] / statistics["n"] - np.outer(mean, mean)}


class Scripted:
    """Log-likelihoods in an order laid down; θ counts the M-steps."""

    def __init__(self, log_likelihoods: list[float], weight: float = 1.0, shortfall: float = 0.0) -> None:
        self._values, self._weight, self._shortfall = log_likelihoods, weight, shortfall

    def e_step(self, data: Any, theta: int) -> tuple[int, float]:
        return theta, self._values[theta]

    def m_step(self, statistics: int) -> int:
        return statistics + 1

    def weight(self, data: Any) -> float:
        return self._weight

    def shortfall(self, statistics: int) -> float:
        return self._shortfall
