# The ridge R of an M-step is added to the variances, so that a component on equal values keeps a covariance.
#
# A number is added as it is, in squared units of the data. NaN stands for "auto", which follows the statistics:
#
#     R_j = 1e-8 · within_j + 1e-14 · total_j + (eps · max|x_j|)² / 12
#
# within_j: the column's variance within components, pooled. total_j: its variance over all rows. eps · max|x_j| is the
# spacing of the rows' numbers, so that the last term is the variance that rounding to their precision leaves.
#
# The scale is within_j and not total_j: with 1e-6 of the total, three groups of standard deviation 1 at 0, 1e4 and 1e6
# come out with 470. It is 1e-8 and not 1e-6 of within_j: a group of variance 0.95 inside one of 1e6 comes out with
# 0.953 instead of 1.45. total_j has its part for columns in which every component has shrunk to a point.
#
# A column of zeros has no scale: there R_j = 1, the same for all components. So it is for other constants whose R_j
# would be too small for the inverse of its root in the rows' precision. Where a structure mixes columns, such a column
# gets the mean of the others' R.
#
# R enters before the structure is fitted, Ŵ_k + R in the place of Ŵ_k, so that every structure stays in its family.
# Where a covariance is one number, R is the mean over the columns.
#
# Sums of single precision err by more than 1e-8 of a variance: matrices of dependent columns had correlations with
# eigenvalues down to −1.3 eps (measured: 300 to 100 000 rows of 2 to 61 columns). So with "auto" each component's own
# variances are multiplied by 1 + 4 eps there: to their share of within_j a narrow component would be lost.

cdef double SHARE_OF_WITHIN = 1e-8, SHARE_OF_TOTAL = 1e-14
cdef double SINGLE = 1e-12                                  # a precision above this is single
cdef double LEAST_CONSTANT = 1e-300, LEAST_CONSTANT_SINGLE = 1e-70


cdef inline double own_growth(double ridge, double epsilon) noexcept nogil:
    """1 + 4 eps for "auto" in single precision, else 1"""
    return 1 + 4 * epsilon if isnan(ridge) and epsilon > SINGLE else 1


cdef inline double rounding_variance(double epsilon, double least, double greatest) noexcept nogil:
    """(eps · max|x|)² / 12 of a column with these extremes"""
    cdef double spacing = epsilon * max(fabs(least), fabs(greatest))
    return spacing * spacing / 12


cdef struct ColumnSums:
    # Sums of the components in one column: numbers of one component after another, `step` apart for squares.
    Py_ssize_t K, d, step
    double total                # Σ N
    const double *weight        # N (K,)
    const double *shift         # s, from the column on
    const double *center        # c, from the column on
    const double *squares       # S[j, j] of each component; NULL where there is none for each


cdef inline double within_components(
    ColumnSums sums, double within,     # IN: the column, and what of the variance stands in no component's own squares
    double *between,                    # OUT
) noexcept nogil:
    """The variance of a column within components, pooled; `between` := that of their means

    Without squares: only what the column takes off, `within` − Σ_k N_k δ_kj² / Σ N.
    """
    cdef const double *N = sums.weight
    cdef Py_ssize_t d = sums.d, k
    cdef double mean = 0, away
    between[0] = 0
    # Shares of the weight come first: sums of squares of rows of 1e150 would overflow.
    for k in range(sums.K):
        if not N[k] > 0:
            continue
        away = sums.shift[k * d] / N[k]
        mean += N[k] / sums.total * (sums.center[k * d] + away)
        if sums.squares != NULL:
            within += sums.squares[k * sums.step] / sums.total
        within -= N[k] / sums.total * away * away
    for k in range(sums.K):
        if N[k] > 0:
            away = sums.center[k * d] + sums.shift[k * d] / N[k] - mean
            between[0] += N[k] / sums.total * away * away
    return within


cdef inline ColumnSums column_sums(int form, Py_ssize_t K, Py_ssize_t d, const double *statistics) noexcept nogil:
    """Those of the first column; `to_column` moves them"""
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef ColumnSums sums
    cdef Py_ssize_t k
    sums.K, sums.d, sums.step = K, d, spread_step(form, d)
    sums.weight = statistics + at.weight
    sums.shift = statistics + at.shift
    sums.center = statistics + at.center
    sums.squares = statistics + at.scatter if form == FULL or form == DIAG else NULL
    sums.total = 0
    for k in range(K):
        sums.total += sums.weight[k]
    return sums


cdef inline ColumnSums to_column(ColumnSums sums, Py_ssize_t j, Py_ssize_t next_square) noexcept nogil:
    """Sums of column j, from those of the first; `next_square` numbers from S[j, j] to S[j + 1, j + 1]"""
    sums.shift += j
    sums.center += j
    if sums.squares != NULL:
        sums.squares += j * next_square
    return sums


cdef void ridge_of_columns(
    int form, bint mixes, Py_ssize_t K, Py_ssize_t d, double epsilon,   # IN: see `find_ridge`
    const double *column_range, const double *statistics,               # IN
    double *R,                                                          # OUT: (d,)
) noexcept nogil:
    """R of "auto" for forms with a variance in each column"""
    cdef ColumnSums first = column_sums(form, K, d, statistics)
    cdef const double *S = statistics + statistics_layout(form, K, d).scatter
    cdef Py_ssize_t next_square = d + 1 if has_matrices(form) else 1, n_zeros = 0, j
    cdef double rounding = 0, sum_of_ridge = 0, within, between
    cdef double least = LEAST_CONSTANT_SINGLE if epsilon > SINGLE else LEAST_CONSTANT
    cdef bint constant = False, summed = form == TIED
    for j in range(d):
        if column_range != NULL:
            rounding = rounding_variance(epsilon, column_range[j], column_range[d + j])
            constant = column_range[j] == column_range[d + j]
        within = S[j * next_square] / first.total if summed else 0
        within = within_components(to_column(first, j, next_square), within, &between)
        within = max(within, 0)     # of equal values rounding may leave less than nothing
        R[j] = SHARE_OF_WITHIN * within + SHARE_OF_TOTAL * (within + between) + rounding
        if constant and R[j] < least:
            R[j] = 0
        n_zeros += R[j] == 0
        sum_of_ridge += R[j]
    for j in range(d if n_zeros else 0):
        if R[j] == 0:
            R[j] = sum_of_ridge / (d - n_zeros) if mixes and n_zeros < d else 1


cdef double ridge_of_traces(
    Py_ssize_t K, Py_ssize_t d, double epsilon, const double *column_range, const double *statistics,   # IN
) noexcept nogil:
    """R of "auto" for spherical, the mean over columns that are not zeros"""
    cdef ColumnSums first = column_sums(SPHERICAL, K, d, statistics)
    cdef const double *S = statistics + statistics_layout(SPHERICAL, K, d).scatter
    cdef Py_ssize_t n_zeros = 0, j, k
    cdef double rounding = 0, traces = 0, totals = 0, sum_of_ridge = 0, between
    cdef double least = LEAST_CONSTANT_SINGLE if epsilon > SINGLE else LEAST_CONSTANT
    cdef bint constant = False
    for k in range(K):
        traces += S[k] / first.total
    for j in range(d):
        if column_range != NULL:
            rounding = rounding_variance(epsilon, column_range[j], column_range[d + j])
            constant = column_range[j] == column_range[d + j]
        traces += within_components(to_column(first, j, 0), 0, &between)
        totals += between
        sum_of_ridge += rounding
        n_zeros += constant and rounding < least
    traces = max(traces, 0)
    sum_of_ridge += SHARE_OF_WITHIN * traces + SHARE_OF_TOTAL * (traces + totals)
    return sum_of_ridge / (d - n_zeros) if sum_of_ridge > 0 and n_zeros < d else 1


cdef void find_ridge(
    int form, bint mixes, Py_ssize_t K, Py_ssize_t d, double ridge, double epsilon,     # IN
    const double *column_range,     # IN: (2, d) least and greatest values, or NULL: nothing is known of rounding
    const double *statistics,       # IN
    double *R,                      # OUT: (d,); spherical: one number
) noexcept nogil:
    """R of the M-step with these statistics

    `ridge`: a number, or NaN for "auto". `mixes`: a column of zeros gets the mean of the others' R. `epsilon`: of the
    rows' precision.
    """
    cdef Py_ssize_t j
    if not isnan(ridge):
        for j in range(1 if form == SPHERICAL else d):
            R[j] = ridge
    elif form == SPHERICAL:
        R[0] = ridge_of_traces(K, d, epsilon, column_range, statistics)
    else:
        ridge_of_columns(form, mixes, K, d, epsilon, column_range, statistics, R)


def ridge(
    int form, bint mixes, Py_ssize_t K, Py_ssize_t d,                   # IN
    double ridge, Columns columns, const double[::1] statistics,        # IN: without columns no part for rounding
    double[::1] found,                                                  # OUT: (d,); spherical: one number
):
    """found := R of the M-step with these statistics; see `find_ridge`"""
    check_sizes(form, K, d)
    cdef const double *limits = range_of(columns, d)
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    check_length("R", found.shape[0], 1 if form == SPHERICAL else d)
    find_ridge(form, mixes, K, d, ridge, epsilon_of(columns), limits, &statistics[0], &found[0])
