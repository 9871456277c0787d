# From covariances to what whitens them.
#
#     Σ = L Lᵀ        W = L⁻¹, lower triangular (Σ⁻¹ = WᵀW)        log_det = Σ_j log W[j, j]
#
# W is the transpose of the precision Cholesky factor.

from libc.math cimport isfinite, log, sqrt

cdef double EPSILON = 2.220446049250313e-16


cdef bint cholesky(const double *covariance, Py_ssize_t d, double *u) noexcept nogil:
    """upper triangle of u := Lᵀ, from the lower triangle of the covariance. False if it is not positive definite.

    A pivot at or below d·eps·Σ[i, i] is rounding and no more: what is left of a row after elimination carries an error
    of that size (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 10.3).
    """
    cdef Py_ssize_t i, j, k
    cdef double pivot, factor
    for i in range(d):
        for j in range(i, d):
            u[i * d + j] = covariance[j * d + i]
    for k in range(d):
        pivot = u[k * d + k]
        if not (pivot > d * EPSILON * covariance[k * d + k] and isfinite(pivot)):
            return False
        pivot = sqrt(pivot)
        u[k * d + k] = pivot
        for j in range(k + 1, d):
            u[k * d + j] /= pivot
        for i in range(k + 1, d):
            factor = u[k * d + i]
            for j in range(i, d):
                u[i * d + j] -= factor * u[k * d + j]
    return True


cdef double invert_transposed(double *w, Py_ssize_t d) noexcept nogil:
    """w := (uᵀ)⁻¹ for u in the upper triangle of w, row by row: w[i] = (e_i − Σ_{j < i} u[j, i] w[j]) / u[i, i]

    Returns Σ_j log w[j, j]. The two triangles share only the diagonal, and u[i, i] is not needed after row i.
    """
    cdef Py_ssize_t i, j, l
    cdef double factor, log_det = 0
    for i in range(d):
        for l in range(i):
            w[i * d + l] = 0
        for j in range(i):
            factor = w[j * d + i]
            for l in range(j + 1):
                w[i * d + l] -= factor * w[j * d + l]
        factor = 1 / w[i * d + i]
        for l in range(i):
            w[i * d + l] *= factor
        w[i * d + i] = factor
        log_det += log(factor)
    for i in range(d):
        for j in range(i + 1, d):
            w[i * d + j] = 0
    return log_det


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
    int structure, Py_ssize_t K, Py_ssize_t d, const double *covariances,   # IN
    double *whitening, double *log_det,                                     # OUT, log_det (K,)
) noexcept nogil:
    """The first component whose covariance is not positive definite, or −1"""
    cdef Py_ssize_t k, failed
    if structure == FULL:
        failed = whiten_matrices(covariances, K, d, whitening, log_det)
    elif structure == TIED:
        failed = whiten_matrices(covariances, 1, d, whitening, log_det)
        for k in range(1, K):
            log_det[k] = log_det[0]
    elif structure == DIAG:
        failed = whiten_variances(covariances, K, d, whitening, log_det)
    else:
        failed = whiten_variances(covariances, K, 1, whitening, log_det)
        for k in range(K):
            log_det[k] *= d
    return failed
