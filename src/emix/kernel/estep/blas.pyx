# The E-step with its two heavy steps in BLAS: the level for large d where no wide vectors are at hand, and a
# cross-check of the register tiles everywhere. All else is the same source as in kernel.pyx.

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
include "blas_tiles.pxi"
include "norms.pxi"
include "posterior.pxi"
include "sums.pxi"
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
