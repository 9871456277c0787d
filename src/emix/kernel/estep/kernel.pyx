# The E-step of a Gaussian mixture on a range of rows: sums and log-likelihood in one pass, or scores.
#
# This source is compiled once for each instruction-set level and precision. The files stand in the order in which to
# read them: the arrays; the E-step of a block and its steps; shortcuts; what Python calls. emix/kernel/__init__.py has
# a map and a glossary.

include "../shared/limits.pxi"
include "../shared/lanes.pxi"
include "../shared/layout.pxi"
include "../shared/panels.pxi"
include "../shared/checks.pxi"
include "structs.pxi"

include "e_step.pxi"
include "load.pxi"
include "log_densities.pxi"
include "log_density.pxi"
include "density_tiles.pxi"
include "norms.pxi"
include "posterior.pxi"
include "sums.pxi"
include "sum_tiles.pxi"
include "log_likelihood.pxi"

include "bounds.pxi"
include "screen.pxi"
include "origin.pxi"
include "packing.pxi"

include "sizes.pxi"
include "costs.pxi"
include "mixture.pxi"
include "rows.pxi"
include "workspace.pxi"
include "accumulator.pxi"
include "scorer.pxi"
