"""The arguments of `emix fit` and `emix report`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emix.choice.request import CRITERIA
from emix.cli import argument_types, commands
from emix.cli.json_summary import FIT_KEYS
from emix.cli.pictures import PICTURES
from emix.cli.table_arguments import FILE_HELP, WEIGHTS_HELP, add_columns
from emix.gaussian.structures import NAMES
from emix.starts.auto import INIT_PARAMS

if TYPE_CHECKING:
    import argparse
    from typing import Any

FIT_NOTES = f"""\
examples:
  emix data faithful --out faithful.csv
  emix fit faithful.csv --components 2
  emix fit faithful.csv --components 2 --out model.npz --plot fit.png --n-init 10
  emix fit faithful.csv --components 1-9 --covariance all --plot choice.png --out model.npz
  emix fit people.parquet --components 3 --columns height,weight --weights population
  zcat rows.csv.gz | emix fit - --components 4 --covariance diag --quiet --out model.npz
  emix fit faithful.csv --components 2 --json | jq .fit.bic
  emix fit iris.csv --target species --components 1-3 --out classes.npz

{FIT_KEYS}"""

REPORT_NOTES = """\
examples:
  emix report faithful.csv --out report.html
  emix report rows.csv -k 1-9 --covariance all --columns height,weight --out report.html

"""


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix fit`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=argument_types.counts,
        required=True,
        help="number of components; of a range, such as 1-9, or a list, such as 2,3,5, one is chosen",
    )
    parser.add_argument(
        "--covariance",
        metavar="NAME",
        type=argument_types.covariances,
        default="full",
        help=f"structure of the covariances: {', '.join(NAMES)}; of several, separated by commas, or of all, one is "
        "chosen (default: %(default)s)",
    )
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="column of classes: a mixture is fitted to the rows of each, and emix predict tells the class of new rows",
    )
    _add_choice(parser)
    outputs = parser.add_argument_group("results")
    outputs.add_argument(
        "-o",
        "--out",
        metavar="MODEL",
        help="write the model file; .npz is the customary ending, and - is standard output, without a summary",
    )
    outputs.add_argument(
        "--plot",
        metavar="FILE",
        help=f"draw the fit, or the criterion of several: {', '.join(PICTURES)} (needs the extra emix[plot])",
    )
    outputs.add_argument("--json", action="store_true", help="print the summary as one JSON object: see below")
    _add_volume(outputs)
    _add_search(parser)
    parser.set_defaults(run=commands.fit)


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `emix report`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument(
        "-k",
        "--components",
        metavar="K",
        type=argument_types.counts,
        default=list(range(1, 10)),
        help="number of components; of a range or a list, one is chosen (default: 1-9)",
    )
    parser.add_argument(
        "--covariance",
        metavar="NAME",
        type=argument_types.covariances,
        default="all",
        help="structures of the covariances, as for emix fit (default: %(default)s)",
    )
    _add_choice(parser)
    outputs = parser.add_argument_group("results")
    outputs.add_argument(
        "-o", "--out", metavar="FILE", required=True, help="write the page, .html; - is standard output"
    )
    _add_volume(outputs)
    _add_search(parser)
    parser.add_argument(
        "--starts",
        metavar="N",
        type=argument_types.count_from_zero,
        default=10,
        help="starts from which the chosen mixture is fitted again, to look for other modes (default: %(default)s)",
    )
    parser.set_defaults(run=commands.report)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--criterion",
        choices=CRITERIA,
        help="how to choose among several mixtures (default: bic; cv is the log-likelihood of rows held out)",
    )
    parser.add_argument(
        "--folds",
        metavar="N",
        type=argument_types.count,
        default=5,
        help="parts held out in turn for cv (default: %(default)s)",
    )
    add_columns(parser)
    parser.add_argument("--weights", metavar="COLUMN", help=WEIGHTS_HELP)


def _add_volume(outputs: Any) -> None:
    volume = outputs.add_mutually_exclusive_group()
    volume.add_argument("-q", "--quiet", action="store_true", help="print no summary")
    volume.add_argument(
        "-v", "--verbose", action="store_true", help="progress on standard error (on a terminal: after two seconds)"
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("the fit")
    search.add_argument(
        "--n-init", metavar="N", type=argument_types.count, default=1, help="runs, the best one wins (default: 1)"
    )
    search.add_argument(
        "--init",
        choices=INIT_PARAMS,
        default="auto",
        help="how a run starts (default: %(default)s)",
    )
    search.add_argument(
        "--tol",
        type=argument_types.nonnegative,
        default=1e-6,
        help="stop when the log-likelihood per row changes by less (default: %(default)s)",
    )
    search.add_argument(
        "--reg-covar",
        type=argument_types.reg_covar,
        default="auto",
        help="added to the variances: a number, in the squared units of the columns, or auto, which follows each "
        "column's scale (default: %(default)s)",
    )
    search.add_argument(
        "--max-iter", metavar="N", type=argument_types.count, default=1000, help="iterations (default: %(default)s)"
    )
    search.add_argument(
        "--seed",
        type=argument_types.seed,
        default=0,
        help="of the starts: the same seed, the same fit (default: %(default)s)",
    )
    search.add_argument("--threads", metavar="N", type=argument_types.count, help="default: what the machine lends")
