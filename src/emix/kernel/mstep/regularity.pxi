# Are the components far from a collapse? One call settles all but suspicious fits; gaussian/collapse.py has the rest.

# If the trace of `is_regular` is at most 1, these hold in every direction of every component:
#   Σ_k ≥ LEAST_SHARE · Σ̄, the pooled covariance: ten times what a collapse is (not where eigenvalues are shared);
#   Σ_k ≥ RIDGES · R, so that R is below 0.8 % of what is left without it;
#   Σ_k ≥ ROUNDINGS · (2 eps max|x_j|)², four times what rounding of the rows explains;
#   the correlations of Σ_k have no eigenvalue below 4 d eps, nor below 512 eps, so that Σ_k is no singular
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
    int structure, Py_ssize_t K, Py_ssize_t d, double ridge, double epsilon, const double *column_range,    # IN
    const double *statistics,                                                                               # IN
    Search *search,             # INOUT
    double *work,               # overwritten: parameters, and d (d + 2) numbers more
) noexcept nogil:
    """`is_regular`, without its checks"""
    cdef int form = form_of(structure)
    cdef ParametersLayout at = parameters_layout(form, K, d)
    cdef bint matrices = has_matrices(form)
    cdef Py_ssize_t n_stored = 1 if form == TIED else K
    cdef Py_ssize_t size = spread_size(form, n_stored, d) // n_stored       # numbers of one covariance
    cdef Py_ssize_t width = 1 if form == SPHERICAL else d                   # variances of one covariance
    cdef Py_ssize_t next_variance = d + 1 if matrices else 1
    cdef Py_ssize_t of_column = 0 if form == SPHERICAL else next_variance   # spherical: all columns have one variance
    cdef double share = 1.0 / d if form == SPHERICAL else 1
    cdef double *weights = work + at.weights
    cdef double *sigma = work + at.covariances
    cdef double *w = work + at.density + density_layout(form, K, d).whitening
    cdef double *yardstick = work + at.size
    cdef double *row = yardstick + d * d
    cdef double *R = row + d
    cdef double least = max(4 * d, 512) * epsilon, spacing
    cdef Py_ssize_t i, k
    # Where a part is shared R does not simply stand in Σ_k, so the covariances without it are judged themselves.
    if maximize_part(
        structure, K, d, 0 if shares_a_part(structure) else ridge, epsilon, column_range, statistics, search, work, 0, K
    ) >= 0:
        return False
    for i in range(size):
        yardstick[i] = 0
    # Components that share their eigenvalues are as narrow as each other.
    for k in range(0 if shares_eigenvalues(structure) else n_stored):
        for i in range(size):
            yardstick[i] += LEAST_SHARE * weights[k] * sigma[k * size + i]
    find_ridge(form, mixes_columns(structure), K, d, ridge, epsilon, column_range, statistics, R)
    for i in range(width):
        yardstick[i * next_variance] += RIDGES * R[i]
    for i in range(d if column_range != NULL else 0):
        if column_range[i] == column_range[d + i]:
            return False        # a constant column, which spherical would hide
        spacing = epsilon * max(fabs(column_range[i]), fabs(column_range[d + i]))
        yardstick[i * of_column] += ROUNDINGS * 4 * spacing * spacing * share
    for k in range(n_stored):
        # Not so for NaN
        if not suspicion(w + k * size, sigma + k * size, yardstick, width, matrices, least, row) <= 1:
            return False
    return True


def is_regular(
    int structure, Py_ssize_t K, Py_ssize_t d,                          # IN
    double ridge, Columns columns, const double[::1] statistics,        # IN: see `find_ridge`
    const double[::1] previous=None,                                    # IN: see `maximize`
):
    """True if every component, in every direction, is far from a collapse, from rounding, and from being held up by R.

    True is certain. False says that it has to be looked at. Σ_k ≥ Y in every direction if the largest eigenvalue of
    W_k Y W_kᵀ is at most 1, and that is no larger than the trace, which a fit pays for in microseconds.
    """
    cdef Search search
    cdef double *work
    cdef double epsilon = epsilon_of(columns)
    cdef bint found
    cdef int form = check_structure(structure, K, d)
    cdef const double *limits = range_of(columns, d)
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    begin_search(&search, structure, K, d, MOST_SWEEPS, previous)
    work = <double *> malloc(sizeof(double) * (parameters_layout(form, K, d).size + d * (d + 2)))
    if work == NULL:
        free(search.room)
        raise MemoryError(f"there is no memory for covariances of {K} components in {d} dimensions")
    if slot_layout(form, K, d).size <= SHORT:
        found = all_regular(structure, K, d, ridge, epsilon, limits, &statistics[0], &search, work)
    else:
        with nogil:
            found = all_regular(structure, K, d, ridge, epsilon, limits, &statistics[0], &search, work)
    free(search.room)
    free(work)
    return found
