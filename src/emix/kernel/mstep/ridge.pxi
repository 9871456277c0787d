# The ridge R of an M-step: what is added to the variances, so that a component on equal values keeps a covariance.
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
# would be too small for the inverse of its root in the rows' precision. Where a structure mixes columns, as spherical
# does, such a column gets the mean of the others' R.
#
# Sums of single precision err by more than 1e-8 of a variance: matrices of dependent columns had correlations with
# eigenvalues down to −1.3 eps (measured: 300 to 100 000 rows of 2 to 61 columns). So with "auto" each component's own
# variances are multiplied by 1 + 4 eps there: to their share of within_j a narrow component would be lost.

cdef double SHARE_OF_WITHIN = 1e-8, SHARE_OF_TOTAL = 1e-14
cdef double SINGLE = 1e-12                                  # a precision above this is single
cdef double LEAST_CONSTANT = 1e-300, LEAST_CONSTANT_SINGLE = 1e-70


cdef inline double own_growth(double reg_covar, double epsilon) noexcept nogil:
    """1 + 4 eps for "auto" in single precision, else 1"""
    return 1 + 4 * epsilon if isnan(reg_covar) and epsilon > SINGLE else 1


cdef inline double rounding_variance(double epsilon, double least, double greatest) noexcept nogil:
    """(eps · max|x|)² / 12 of a column with these extremes"""
    cdef double spacing = epsilon * max(fabs(least), fabs(greatest))
    return spacing * spacing / 12


cdef inline double within_components(
    int form, Py_ssize_t K, Py_ssize_t d, Py_ssize_t j, double weight, const double *statistics,    # IN
    double *between,                                                                                # OUT
) noexcept nogil:
    """The variance of column j within components, pooled; `between` := that of their means

    Spherical: only what column j takes off the traces, −Σ_k N_k δ_kj² / Σ N.
    """
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef const double *N = statistics + at.weight
    cdef const double *shift = statistics + at.shift
    cdef const double *S = statistics + at.scatter
    cdef const double *center = statistics + at.center
    cdef Py_ssize_t step = spread_step(form, d), k
    cdef Py_ssize_t place = j if form == DIAG else j * (d + 1)
    cdef double within = 0, mean = 0, away
    between[0] = 0
    if form == TIED:
        within = S[place] / weight
    # Shares of the weight come first: sums of squares of rows of 1e150 would overflow.
    for k in range(K):
        if not N[k] > 0:
            continue
        away = shift[k * d + j] / N[k]
        mean += N[k] / weight * (center[k * d + j] + away)
        if form == FULL or form == DIAG:
            within += S[k * step + place] / weight
        within -= N[k] / weight * away * away
    for k in range(K):
        if N[k] > 0:
            away = center[k * d + j] + shift[k * d + j] / N[k] - mean
            between[0] += N[k] / weight * away * away
    return within


cdef void find_ridge(
    int form, bint mixes, Py_ssize_t K, Py_ssize_t d, double reg_covar, double epsilon,     # IN
    const double *column_range,     # IN: (2, d) least and greatest values, or NULL: nothing is known of rounding
    const double *statistics,       # IN
    double *ridge,                  # OUT: (d,); spherical: one number
) noexcept nogil:
    """R of the M-step with these statistics

    `mixes`: a column of zeros gets the mean of the others' R. `epsilon`: of the rows' precision.
    """
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef Py_ssize_t n_zeros = 0, j, k
    cdef double weight = 0, rounding = 0, traces = 0, totals = 0, sum_of_ridge = 0, within, between
    cdef double least = LEAST_CONSTANT_SINGLE if epsilon > SINGLE else LEAST_CONSTANT
    cdef bint constant = False
    if not isnan(reg_covar):
        for j in range(1 if form == SPHERICAL else d):
            ridge[j] = reg_covar
        return
    for k in range(K):
        weight += statistics[at.weight + k]
    for k in range(K if form == SPHERICAL else 0):
        traces += statistics[at.scatter + k] / weight
    for j in range(d):
        if column_range != NULL:
            rounding = rounding_variance(epsilon, column_range[j], column_range[d + j])
            constant = column_range[j] == column_range[d + j]
        within = within_components(form, K, d, j, weight, statistics, &between)
        if form == SPHERICAL:
            traces += within
            totals += between
            sum_of_ridge += rounding
            n_zeros += constant and rounding < least
        else:
            within = max(within, 0)     # of equal values rounding may leave less than nothing
            ridge[j] = SHARE_OF_WITHIN * within + SHARE_OF_TOTAL * (within + between) + rounding
            if constant and ridge[j] < least:
                ridge[j] = 0
            n_zeros += ridge[j] == 0
            sum_of_ridge += ridge[j]
    if form == SPHERICAL:
        traces = max(traces, 0)
        sum_of_ridge += SHARE_OF_WITHIN * traces + SHARE_OF_TOTAL * (traces + totals)
        ridge[0] = sum_of_ridge / (d - n_zeros) if sum_of_ridge > 0 and n_zeros < d else 1
        return
    for j in range(d if n_zeros else 0):
        if ridge[j] == 0:
            ridge[j] = sum_of_ridge / (d - n_zeros) if mixes and n_zeros < d else 1


def ridge(
    int form, bint mixes, Py_ssize_t K, Py_ssize_t d,                       # IN
    double reg_covar, Columns columns, const double[::1] statistics,        # IN: without columns no part for rounding
    double[::1] found,                                                      # OUT: (d,); spherical: one number
):
    """found := R of the M-step with these statistics; see `find_ridge`"""
    check_sizes(form, K, d)
    cdef const double *limits = range_of(columns, d)
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    check_length("the ridge", found.shape[0], 1 if form == SPHERICAL else d)
    find_ridge(form, mixes, K, d, reg_covar, epsilon_of(columns), limits, &statistics[0], &found[0])
