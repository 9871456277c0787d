# Bounds that carry over: components that cannot count in a group of rows are left out without looking at the rows.
#
# Let a component move from (μ, W) to (μ′, W′). With T = W′ W⁻¹, W′ (x − μ′) = T W (x − μ) + W′ (μ − μ′), so that
#
#     ‖W′ (x − μ′)‖ ≥ σ_min(T) ‖W (x − μ)‖ − ‖W′ (μ − μ′)‖
#
# and σ_min(T) ≥ 1 − ‖T − I‖ (Frobenius). `near` keeps, for each group of rows and component, a lower bound of the
# smallest ‖W (x − μ)‖ in the group: measured when the component was last computed, carried by the line above since.
# Then log p_k(x) ≤ a_k − ½ near² for every row of the group. The components that counted in the last pass are computed
# first. The least of their rows' best log-densities is a lower bound of every row's best; a component that stays below it
# by its margin (as in `exponentials`) would have been left out of every row's sums, and is not computed.
#
# A negative `near` says that the component counted in the last pass; 0 that nothing is known.

cdef struct Bounds:
    float *near                 # (K,): INOUT, the group's
    const float *shrink         # (K,): at most σ_min(T)
    const float *moved          # (K,): at least ‖W′ (μ − μ′)‖
    Py_ssize_t n_computed       # INOUT: components computed, summed over groups

cdef:
    # What rounding may add to a measured distance: d κ(W) eps is less for condition numbers κ(Σ) up to 1e16.
    double MEASURED = 1 - 1e-4
    double CARRIED = 1 - 1e-6


cdef void measure(Mixture *mixture, Bounds *bounds, Py_ssize_t k, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """Compute p[k], and near[k] from its largest value: ‖W (x − μ)‖² = 2 (a_k − p[k])"""
    cdef vec largest = vec_of(-<real> INFINITY)
    cdef double below = INFINITY
    cdef Py_ssize_t v, l
    log_density(mixture, k, work, n_vectors)
    for v in range(n_vectors):
        largest = vec_max(largest, (<vec *> (work.p + k * STRIDE))[v])
    for l in range(LANES):
        below = min(below, mixture.log_constant[k] - <double> (<real *> &largest)[l])
    bounds.near[k] = <float> (sqrt(2 * max(below, 0.0)) * MEASURED)
    bounds.n_computed += 1
    work.live[k] = 1


cdef void log_densities_bounded(
    Mixture *mixture, Bounds *bounds, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """p[k] of the components that may count;  active: which these are"""
    cdef Py_ssize_t k, v, l
    cdef vec least
    cdef double worst = INFINITY, near
    for k in range(mixture.n_components):
        work.live[k] = 0
        if bounds.near[k] <= 0:
            measure(mixture, bounds, k, work, n_vectors)
    least = (<vec *> work.best)[0]
    for v in range(1, n_vectors):
        least = vec_select(vec_less((<vec *> work.best)[v], least), (<vec *> work.best)[v], least)
    for l in range(LANES):
        worst = min(worst, <double> (<real *> &least)[l])
    work.n_active = 0
    for k in range(mixture.n_components):
        if work.live[k] == 0:
            near = (<double> bounds.shrink[k] * bounds.near[k] - bounds.moved[k]) * CARRIED
            if near > 0 and mixture.log_constant[k] - 0.5 * near * near < worst - mixture.margin[k]:
                bounds.near[k] = <float> near
                continue
            measure(mixture, bounds, k, work, n_vectors)
        work.active[work.n_active] = <int> k
        work.n_active += 1


cdef void mark_live(Bounds *bounds, Workspace *work) noexcept nogil:
    """Tell the next pass which components counted"""
    cdef Py_ssize_t a, k
    for a in range(work.n_active):
        k = work.active[a]
        if work.live[k] > 0:
            bounds.near[k] = -bounds.near[k]
