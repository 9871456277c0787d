# Are the components far from a collapse? One call settles all but suspicious fits; gaussian/collapse.py has the rest.

# What holds in every direction of every component if its trace is at most 1 (see `is_regular`):
#   Σ_k ≥ LEAST_SHARE · Σ̄, the pooled covariance: ten times what a collapse is;
#   Σ_k ≥ RIDGES · R, so that R is below 0.8 % of what is left without it;
#   Σ_k ≥ ROUNDINGS · (2 eps max|x_j|)², four times what rounding of the rows explains;
#   the correlations that belong to Σ_k have no eigenvalue below 4 d eps, nor below 512 eps, so that Σ_k is no singular
#   matrix but for rounding, and `own_growth` below a hundredth of what is left without it.
cdef double LEAST_SHARE = 1e-7, RIDGES = 128, ROUNDINGS = 4


cdef double suspicion(
    const double *w, const double *sigma, const double *yardstick, Py_ssize_t d, bint matrices, double least,   # IN
    double *row,                                                                            # overwritten, (d,)
) noexcept nogil:
    """tr(W Y Wᵀ) + least · tr(W diag(Σ) Wᵀ), with Y the yardstick; matrices of d × d, or their diagonals"""
    cdef double trace = 0
    cdef Py_ssize_t i, j, l
    if not matrices:
        for i in range(d):
            trace += w[i] * w[i] * (yardstick[i] + least * sigma[i])
        return trace
    # Σ_i w_i Y w_iᵀ over the rows of W, of which the first i + 1 numbers are not 0
    for i in range(d):
        for l in range(i + 1):
            row[l] = least * sigma[l * (d + 1)] * w[i * d + l]
        for j in range(i + 1):
            for l in range(i + 1):
                row[l] += w[i * d + j] * yardstick[j * d + l]
        for l in range(i + 1):
            trace += row[l] * w[i * d + l]
    return trace


cdef bint all_regular(
    int form, Py_ssize_t K, Py_ssize_t d, double reg_covar, double epsilon, const double *column_range,     # IN
    const double *statistics,                                                                               # IN
    double *work,               # overwritten: parameters, and d (d + 2) numbers more
) noexcept nogil:
    """`is_regular`, without its checks"""
    cdef ParametersLayout at = parameters_layout(form, K, d)
    cdef Py_ssize_t size = spread_step(form, d), i, k
    cdef bint matrices = has_matrices(form)
    cdef double *weights = work + at.weights
    cdef double *sigma = work + at.covariances
    cdef double *w = work + at.density + density_layout(form, K, d).whitening
    cdef double *yardstick = work + at.size
    cdef double *row = yardstick + d * d
    cdef double *ridge = row + d
    cdef double least = max(4 * d, 512) * epsilon, spacing, rounding = 0
    if maximize_part(form, K, d, reg_covar, epsilon, column_range, statistics, work, 0, K) >= 0:
        return False
    if form == TIED:
        size = d * d
    for i in range(size):
        yardstick[i] = 0
    for k in range(K if form != TIED else 0):
        for i in range(size):
            yardstick[i] += LEAST_SHARE * weights[k] * sigma[k * size + i]
    find_ridge(form, form == SPHERICAL, K, d, reg_covar, epsilon, column_range, statistics, ridge)
    for i in range(d):
        if column_range != NULL:
            if column_range[i] == column_range[d + i]:
                return False        # a constant column, which spherical would hide
            spacing = epsilon * max(fabs(column_range[i]), fabs(column_range[d + i]))
            rounding = 4 * spacing * spacing
        if form == SPHERICAL:
            yardstick[0] += ROUNDINGS * rounding / d
        else:
            yardstick[i * (d + 1) if matrices else i] += RIDGES * ridge[i] + ROUNDINGS * rounding
    if form == SPHERICAL:
        yardstick[0] += RIDGES * ridge[0]
    for k in range(K if form != TIED else 1):
        # Not so for NaN
        if not suspicion(w + k * size, sigma + k * size, yardstick, d if size > 1 else 1, matrices, least, row) <= 1:
            return False
    return True


def is_regular(
    int form, Py_ssize_t K, Py_ssize_t d,                                   # IN
    double reg_covar, Columns columns, const double[::1] statistics,        # IN: see `ridge`
):
    """Is every component, in every direction, far from a collapse, from rounding, and from being held up by R?

    True is certain. False says that it has to be looked at. Σ_k ≥ Y in every direction if the largest eigenvalue of
    W_k Y W_kᵀ is at most 1, and that is no larger than the trace, which a fit pays for in microseconds.
    """
    cdef const double *limits = NULL
    cdef double *work
    cdef double epsilon = epsilon_of(columns)
    cdef bint found
    check_sizes(form, K, d)
    limits = range_of(columns, d)
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    work = <double *> malloc(sizeof(double) * (parameters_layout(form, K, d).size + d * (d + 2)))
    if work == NULL:
        raise MemoryError(f"there is no memory for covariances of {K} components in {d} dimensions")
    if slot_layout(form, K, d).size <= SHORT:
        found = all_regular(form, K, d, reg_covar, epsilon, limits, &statistics[0], work)
    else:
        with nogil:
            found = all_regular(form, K, d, reg_covar, epsilon, limits, &statistics[0], work)
    free(work)
    return found
