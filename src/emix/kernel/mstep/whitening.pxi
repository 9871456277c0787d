# From covariances to what whitens them.
#
#     Σ = L Lᵀ        W = L⁻¹, lower triangular (Σ⁻¹ = WᵀW)        log_det = Σ_j log W[j, j]
#
# W is the transpose of the precision Cholesky factor.

from libc.math cimport isfinite, log, sqrt

cdef double EPSILON = 2.220446049250313e-16


cdef void subtract_rows(
    const double *u, Py_ssize_t d, Py_ssize_t i, Py_ssize_t first,      # IN
    double *row,                                                        # INOUT
) noexcept nogil:
    """row := row − Σ_{k < i} u[k, i] u[k] from column `first` on, in the order of k, four of them in one go"""
    cdef Py_ssize_t k = 0, j
    cdef double a, b, c, e
    cdef const double *x
    while k + 4 <= i:
        x = u + k * d
        a, b, c, e = x[i], x[d + i], x[2 * d + i], x[3 * d + i]
        for j in range(first, d):
            row[j] = row[j] - a * x[j] - b * x[d + j] - c * x[2 * d + j] - e * x[3 * d + j]
        k += 4
    while k < i:
        x = u + k * d
        a = x[i]
        for j in range(first, d):
            row[j] -= a * x[j]
        k += 1


cdef bint cholesky(const double *covariance, Py_ssize_t d, double *u) noexcept nogil:
    """upper triangle of u := Lᵀ, from the lower triangle of the covariance. False if it is not positive definite.

    A pivot at or below d·eps·Σ[i, i] is rounding and no more: what is left of a row after elimination carries an error
    of that size (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 10.3).
    """
    cdef Py_ssize_t i, j
    cdef double pivot
    for i in range(d):
        for j in range(i, d):
            u[i * d + j] = covariance[j * d + i]
    for i in range(d):
        # u[i] := (u[i] − Σ_{k < i} u[k, i] u[k]) / u[i, i] from column i on
        subtract_rows(u, d, i, i, u + i * d)
        pivot = u[i * d + i]
        if not (pivot > d * EPSILON * covariance[i * d + i] and isfinite(pivot)):
            return False
        pivot = sqrt(pivot)
        u[i * d + i] = pivot
        for j in range(i + 1, d):
            u[i * d + j] /= pivot
    return True


cdef double invert_transposed(double *w, Py_ssize_t d) noexcept nogil:
    """w := (uᵀ)⁻¹ for u in the upper triangle of w, row by row: w[i] = (e_i − Σ_{j < i} u[j, i] w[j]) / u[i, i]

    Returns Σ_j log w[j, j]. The two triangles share only the diagonal, and u[i, i] is not needed after row i.
    """
    cdef Py_ssize_t i, j, l, k
    cdef double a, b, c, e, factor, log_det = 0
    cdef const double *x
    cdef double *row
    for i in range(d):
        row = w + i * d
        for l in range(i):
            row[l] = 0
        j = 0
        # Four rows at a time, as far as all reach; each number sees them in order.
        while j + 4 <= i:
            x = w + j * d
            a, b, c, e = x[i], x[d + i], x[2 * d + i], x[3 * d + i]
            for l in range(j + 1):
                row[l] = row[l] - a * x[l] - b * x[d + l] - c * x[2 * d + l] - e * x[3 * d + l]
            for k in range(j + 1, j + 4):
                for l in range(j + 1, k + 1):
                    row[l] -= w[k * d + i] * w[k * d + l]
            j += 4
        while j < i:
            factor = w[j * d + i]
            for l in range(j + 1):
                row[l] -= factor * w[j * d + l]
            j += 1
        factor = 1 / w[i * d + i]
        for l in range(i):
            w[i * d + l] *= factor
        w[i * d + i] = factor
        log_det += log(factor)
    for i in range(d):
        for j in range(i + 1, d):
            w[i * d + j] = 0
    return log_det


cdef void product_of_whitening(const double *w, Py_ssize_t d, double *precision) noexcept nogil:
    """precision := wᵀ w, both triangles alike"""
    cdef Py_ssize_t l, i, j
    cdef const double *row
    for i in range(d * d):
        precision[i] = 0
    for l in range(d):
        row = w + l * d
        for i in range(d):
            # Of a triangle half is 0.
            if row[i] != 0:
                for j in range(i + 1):
                    precision[i * d + j] += row[i] * row[j]
    for i in range(d):
        for j in range(i):
            precision[j * d + i] = precision[i * d + j]


cdef Py_ssize_t whiten_matrices(
    const double *covariances, Py_ssize_t n_matrices, Py_ssize_t d,     # IN
    double *whitening, double *log_det,                                 # OUT
) noexcept nogil:
    """The first matrix that is not positive definite, or −1"""
    cdef Py_ssize_t k
    for k in range(n_matrices):
        if not cholesky(covariances + k * d * d, d, whitening + k * d * d):
            return k
        log_det[k] = invert_transposed(whitening + k * d * d, d)
    return -1


cdef Py_ssize_t whiten_variances(
    const double *variances, Py_ssize_t n_components, Py_ssize_t n_variances,   # IN
    double *whitening, double *log_det,                                         # OUT
) noexcept nogil:
    """The first component with a variance that is not above zero and finite, or −1"""
    cdef Py_ssize_t k, j
    for k in range(n_components):
        log_det[k] = 0
        for j in range(k * n_variances, (k + 1) * n_variances):
            if not (variances[j] > 0 and isfinite(variances[j])):
                return k
            whitening[j] = 1 / sqrt(variances[j])
            log_det[k] += log(whitening[j])
    return -1


cdef Py_ssize_t whiten_spread(
    int form, Py_ssize_t K, Py_ssize_t d, const double *covariances,    # IN
    double *whitening, double *log_det,                                 # OUT, log_det (K,)
) noexcept nogil:
    """The first component whose covariance is not positive definite, or −1"""
    cdef Py_ssize_t k, failed
    if form == FULL:
        failed = whiten_matrices(covariances, K, d, whitening, log_det)
    elif form == TIED:
        failed = whiten_matrices(covariances, 1, d, whitening, log_det)
        for k in range(1, K):
            log_det[k] = log_det[0]
    elif form == DIAG:
        failed = whiten_variances(covariances, K, d, whitening, log_det)
    else:
        failed = whiten_variances(covariances, K, 1, whitening, log_det)
        for k in range(K):
            log_det[k] *= d
    return failed


cdef void complete_density(
    int form, Py_ssize_t K, Py_ssize_t d, Py_ssize_t first, Py_ssize_t last,    # IN: components [first, last)
    double *parameters,                                                         # INOUT: π, Σ; log π, √diag Σ
) noexcept nogil:
    """The numbers of a density that π and Σ alone give: log π_k, and for forms with matrices √diag Σ_k"""
    cdef ParametersLayout at = parameters_layout(form, K, d)
    cdef DensityLayout of_density = density_layout(form, K, d)
    cdef const double *weights = parameters + at.weights
    cdef double *log_weights = parameters + at.density + of_density.log_weights
    cdef const double *sigma = parameters + at.covariances + first * spread_step(form, d)
    cdef double *deviations = parameters + at.density + of_density.deviations + first * deviations_step(form, d)
    cdef Py_ssize_t k, j
    for k in range(first, last):
        log_weights[k] = log(weights[k])
    if not has_matrices(form):
        return
    for k in range(first, last if form == FULL else first + 1):
        for j in range(d):
            deviations[j] = sqrt(sigma[j * (d + 1)])
        sigma += d * d
        deviations += d
