"""How the files beside this one were made, with emix 0.1.0 before its first change. Do not run it with a later emix.

python make.py fit        # writes the model files
python make.py score      # once for each EMIX_LEVEL: adds the bits of the scores at that level to scores.json
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import emix
from emix.kernel.level import level_in_use

HERE = Path(__file__).parent
STRUCTURES = ("full", "tied", "diag", "spherical")
# Halves and quarters: the rows are the same in float32.
ROWS = np.array([[0.25, -1.5], [3.0, 0.5], [7.25, 0.75], [-2.0, 9.0], [40.0, -40.0]])


def data() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.round(np.vstack([rng.normal(size=(40, 2)), rng.normal([5.0, 0.0], [2.0, 1.0], size=(40, 2))]), 3)


def fit() -> None:
    frame = pd.DataFrame(data(), columns=["length, cm", "Öffnung"])
    weights = np.tile([0.5, 1.0, 2.0, 1.0], 20)
    for structure in STRUCTURES:
        for dtype in ("float64", "float32"):
            gm = emix.GaussianMixture(2, covariance_type=structure, n_init=2, random_state=3, tol=1e-3)
            gm.fit(frame.astype(dtype), sample_weight=weights).save(HERE / f"{structure}_{dtype}.npz")
    # A run that did not end (its log-likelihood is None), a start that was given, and an array without names.
    rows = np.vstack([np.zeros((10, 2)), data() + 30.0])
    gm = emix.GaussianMixture(3, reg_covar=0.0, n_init=10, init_params="random_from_data", random_state=0, max_iter=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gm.fit(rows)
    assert any(run.log_likelihood is None for run in gm.runs_)
    gm.save(HERE / "failed_runs.npz")
    gm = emix.GaussianMixture(2, means_init=np.array([[0, 0], [5, 0]]), weights_init=[0.5, 0.5], n_threads=1, tol=1e-3)
    gm.fit(data()).save(HERE / "given_start.npz")
    emix.GaussianMixture.from_parameters([0.25, 0.75], [[0.0, 0.0], [3.0, 1.0]], [1.0, 2.0], "spherical").save(
        HERE / "given_parameters.npz"
    )


def score() -> None:
    path = HERE / "scores.json"
    scores = json.loads(path.read_text()) if path.exists() else {}
    scores[level_in_use] = {}
    for file in sorted(HERE.glob("*.npz")):
        gm = emix.GaussianMixture.load(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rows have no names
            values = (gm.score_samples(ROWS.astype(gm.means_.dtype)), gm.predict_proba(ROWS.astype(gm.means_.dtype)))
        scores[level_in_use][file.stem] = [[float(value).hex() for value in part.ravel()] for part in values]
    lines = ",\n".join(
        f'"{level}": {{\n' + ",\n".join(f' "{name}": {json.dumps(bits)}' for name, bits in files.items()) + "\n}"
        for level, files in scores.items()
    )
    path.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    {"fit": fit, "score": score}[sys.argv[1]]()
