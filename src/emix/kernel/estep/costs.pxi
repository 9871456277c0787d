# Costs of log-densities and sums, in cycles. They decide between two ways of computing the same.


cdef double LISTING = 2     # cycles to list a row, or not to list it


cdef inline double cost_of_log_density(double d) noexcept nogil:
    """Cycles of the log-density of one row under a full covariance"""
    return 1.06 * d * (d + 3) / (2 * LANES)


cdef inline double cost_of_listing(double d) noexcept nogil:
    """Cycles by which a listed row (screen.pxi) costs more: it is loaded once more, and its vectors are filled up"""
    return 0.8 * d + 0.1 * cost_of_log_density(d)


cpdef double cost_of_first_look(Py_ssize_t n_features, double live_share) noexcept nogil:
    """Cost of the log-densities of a pass with a first look (full), over that without; 2 at levels that have none

    `live_share`: the share of responsibilities that are above 0. Fitted to times measured with AVX-512 for d from 24 to
    128 and shares from 0.04 to 0.35.
    """
    cdef double d = n_features, plain = cost_of_log_density(d)
    if not has_narrow():
        return 2
    return (1.1 * d * (d + 1) / (2 * NARROW_LANES) + 2.5 * d / LANES + 10) / plain + live_share * (
        1 + cost_of_listing(d) / plain)


cdef void set_costs(Mixture *mixture, Py_ssize_t n_rows, bint packing) noexcept nogil:
    """Costs and limits of a mixture, for blocks of n_rows; without `packing`, those with which no row is packed

    A row of a component is either summed among vectors of rows, which ends with a share of the block's sums over lanes,
    or packed: copied, and added to the scatter by vectors of features. Fitted to cycles measured at AVX-512, d = 10 to
    128, and to measured shares of live rows at which both take the same time, d = 5 to 100, AVX-512 and AVX2, both
    precisions.
    """
    cdef Py_ssize_t d = mixture.n_features
    cdef double width = whole_vectors(d, LANES) // LANES, dense
    mixture.cost_dense = d * (d + 5.0) / (2 * LANES) + d * (d + 3.0) / n_rows
    mixture.cost_packed = 11 + 4 * width + 0.9 * d * (d + LANES) / (2 * LANES)
    mixture.packed_below = (5.0 * d / LANES - LISTING) / (8 * width)
    # At the origin no difference is left to take, and of tied no scatter to sum.
    dense = (d if mixture.form == TIED else 2 * d if mixture.form == DIAG else d + 1) * 1.25 / LANES
    mixture.packed_at_origin = (dense - 2.5) / (8 * width)
    if not packing:
        mixture.cost_packed, mixture.packed_below, mixture.packed_at_origin = INFINITY, 0, 0
    mixture.cost_listed = 1 + cost_of_listing(d) / cost_of_log_density(d)
