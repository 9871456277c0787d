# Bounds that carry over: components that cannot count in a group of rows are left out without looking at the rows.
#
# Let a component move from (μ, W) to (μ′, W′). With T = W′ W⁻¹, W′ (x − μ′) = T W (x − μ) + W′ (μ − μ′), so that
#
#     ‖W′ (x − μ′)‖ ≥ σ_min(T) ‖W (x − μ)‖ − ‖W′ (μ − μ′)‖
#
# and σ_min(T) ≥ 1 − ‖T − I‖ (Frobenius). `near` keeps, for each group of rows and component, a lower bound of the
# smallest ‖W (x − μ)‖ in the group: measured when the component was last computed, carried by the line above since.
# Then log p_k(x) ≤ a_k − ½ near² for every row of the group. The components that counted in the last pass are computed
# first. The least of their rows' best log-densities is a lower bound of every row's best. A component that stays below
# it by its margin (as in `exponentials`) would be left out of every row's sums, and is not computed. Where the bound is
# too low to show that, the component's squares are added up until their sum, itself a lower bound of the squared
# distance, shows it.
#
# `near` is negative for a component that counted in the last pass, and 0 where nothing is known of the distance.


cdef:
    # Rounding of a measured distance, relative: d κ(W) eps is below 1e-4 in double precision for condition numbers κ(Σ)
    # up to 1e16. In single precision it may be above: for κ(W) = 1e3 and d = 32 the square errs by 0.4 %, which is 0.2
    # nats at the NEGLIGIBLE = 40 nats that decide. The rounding that an origin adds (origin.pxi), n eps reach, is
    # covered alike.
    double MEASURED = 1 - 1e-4
    double CARRIED = 1 - 1e-6

cdef enum:
    ROWS_AHEAD = 16     # asked for with each component; all of a group with 8 components, as few as are mostly begun


cdef inline bint is_computed_first(float near) noexcept nogil:
    """True if the component counted in the last pass, or nothing is known of it"""
    return near <= 0


cdef inline float marked(float near) noexcept nogil:
    """A bound of a component that counted: the next pass computes this one first"""
    return -near


cdef void log_densities_bounded(
    Mixture *mixture, Bounds *bounds, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """p[k] of the components that may count, which become the active ones"""
    cdef Py_ssize_t k, v, l
    cdef vec least
    cdef double worst = INFINITY, near, enough
    for k in range(mixture.n_components):
        work.measured[k] = is_computed_first(bounds.near[k])
        if work.measured[k]:
            measure(mixture, bounds, k, <real> INFINITY, work, n_vectors)
    least = (<vec *> work.best)[0]
    for v in range(1, n_vectors):
        least = vec_select(vec_less((<vec *> work.best)[v], least), (<vec *> work.best)[v], least)
    for l in range(LANES):
        worst = min(worst, <double> (<real *> &least)[l])
    work.n_active = 0
    for k in range(mixture.n_components):
        if not work.measured[k]:
            enough = worst - mixture.margin[k]
            near = (<double> bounds.shrink[k] * bounds.near[k] - bounds.moved[k]) * CARRIED
            if near > 0 and mixture.log_constant[k] - 0.5 * near * near < enough:
                bounds.near[k] = <float> near
                continue
            if measure(mixture, bounds, k, <real> (2 * (mixture.log_constant[k] - enough)), work, n_vectors) < enough:
                bounds.n_computed += 1
                continue
        bounds.n_computed += 4
        work.active[work.n_active] = <int> k
        work.n_active += 1


cdef double measure(
    Mixture *mixture, Bounds *bounds, Py_ssize_t k, real limit, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """Compute p[k], and near[k] from its largest value, which is returned: ‖W (x − μ)‖² = 2 (a_k − p[k])"""
    cdef vec largest = vec_of(-<real> INFINITY)
    cdef double highest = -INFINITY
    cdef Py_ssize_t v, l
    log_density(mixture, k, limit, work, n_vectors)
    fetch_ahead(mixture, work, ROWS_AHEAD)
    for v in range(n_vectors):
        largest = vec_max(largest, (<vec *> (work.p + k * STRIDE))[v])
    for l in range(LANES):
        highest = max(highest, <double> (<real *> &largest)[l])
    bounds.near[k] = <float> (sqrt(2 * max(mixture.log_constant[k] - highest, 0.0)) * MEASURED)
    return highest


cdef void fetch_ahead(Mixture *mixture, Workspace *work, Py_ssize_t n_rows) noexcept nogil:
    """Ask for some more rows of the next group. In an order of their own they are not where the processor looks ahead.

    A few with each component, so that the memory works while the processor does: all of a group at once, and none where
    a super-block begins, took 6.9 ms a pass instead of 4.3 (200 000 × 8, K = 128, separate).
    """
    cdef Py_ssize_t n_bytes = mixture.n_features * sizeof(real), at
    cdef const char *row
    if work.ahead.n_rows == 0 or work.ahead.feature_stride != sizeof(real) or (
            n_bytes * group_rows(mixture.n_components) > AHEAD):
        return
    while n_rows > 0 and work.ahead.n_rows > 0:
        row = work.ahead.rows + work.ahead.order[0] * work.ahead.row_stride
        at = 0
        while at < n_bytes:
            prefetch(row + at)
            at += CACHE_LINE
        # A row need not begin with a line: its end may lie in one more.
        prefetch(row + n_bytes - 1)
        work.ahead.order += 1
        work.ahead.n_rows -= 1
        n_rows -= 1


cdef void mark_live(Bounds *bounds, Workspace *work) noexcept nogil:
    """Mark the components that counted, for the next pass"""
    cdef Py_ssize_t a, k
    for a in range(work.n_active):
        k = work.active[a]
        if work.live[k] > 0:
            bounds.near[k] = marked(bounds.near[k])
