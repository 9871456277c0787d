# From covariances to whitening: Σ = L Lᵀ, W = L⁻¹ (lower triangular), log_det = Σ_j log W[j, j].
#
# W is the transpose of the precision Cholesky factor: Σ⁻¹ = Wᵀ W. All loops run along rows, so that the compiler turns
# them into vectors without reordering a sum.

from libc.math cimport isfinite, log, sqrt

cdef double EPSILON = 2.220446049250313e-16


cdef bint cholesky(const double *covariance, Py_ssize_t d, double *u) noexcept nogil:
    """u := Lᵀ, upper triangular, from the lower triangle of the covariance. False if it is not positive definite.

    A pivot at or below d·eps·Σ[i, i] is rounding and no more: what is left of a row after elimination carries an error
    of that size (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., theorem 10.3).
    """
    cdef Py_ssize_t i, j, k
    cdef double pivot, factor
    for i in range(d):
        for j in range(i):
            u[i * d + j] = 0
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


cdef double invert_transposed(const double *u, Py_ssize_t d, double *w) noexcept nogil:
    """w := (uᵀ)⁻¹, row by row: w[i] = (e_i − Σ_{j < i} u[j, i] w[j]) / u[i, i].  Σ_j log w[j, j]"""
    cdef Py_ssize_t i, j, l
    cdef double factor, log_det = 0
    for i in range(d):
        for l in range(d):
            w[i * d + l] = 0
        for j in range(i):
            factor = u[j * d + i]
            for l in range(j + 1):
                w[i * d + l] -= factor * w[j * d + l]
        factor = 1 / u[i * d + i]
        for l in range(i):
            w[i * d + l] *= factor
        w[i * d + i] = factor
        log_det += log(factor)
    return log_det


def whiten(const double[:, :, ::1] covariances, double[:, :, ::1] whitening, double[::1] log_det, double[:, ::1] scratch):
    """whitening, log_det := W, log det W of each covariance (K, d, d).

    Returns the first component whose covariance is not positive definite, or −1. `scratch` is (d, d). Only lower
    triangles are read.
    """
    cdef Py_ssize_t k, failed = -1, d = covariances.shape[1]
    with nogil:
        for k in range(covariances.shape[0]):
            if not cholesky(&covariances[k, 0, 0], d, &scratch[0, 0]):
                failed = k
                break
            log_det[k] = invert_transposed(&scratch[0, 0], d, &whitening[k, 0, 0])
    return failed
