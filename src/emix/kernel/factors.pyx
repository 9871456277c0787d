# The small steps of an iteration: slots → statistics → parameters → arguments of the kernel.
#
#     Σ = L Lᵀ        W = L⁻¹, lower triangular (Σ⁻¹ = WᵀW)        log_det = Σ_j log W[j, j]
#
# W is the transpose of the precision Cholesky factor. All loops run along rows, so that the compiler turns them into
# vectors without reordering a sum. Arrays in a covariance structure's shape come flat: full K × d × d, tied d × d, diag
# K × d, spherical K numbers.

from libc.math cimport INFINITY, fabs, isfinite, log, sqrt

cdef double EPSILON = 2.220446049250313e-16
cdef double LOG_TWO_PI = 1.8378770664093453

cdef enum Structure:
    FULL, TIED, DIAG, SPHERICAL


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


def whiten(
    int structure, Py_ssize_t n_features, const double[::1] covariances,    # IN
    double[::1] whitening, double[::1] log_det,                             # OUT, log_det (K,)
):
    """whitening, log_det := W, log det W of each covariance. Of matrices only the lower triangles are read.

    Returns the first component whose covariance is not positive definite, or −1.
    """
    cdef Py_ssize_t K = log_det.shape[0], d = n_features, k, failed
    cdef double *w = &whitening[0]
    with nogil:
        if structure == FULL:
            failed = whiten_matrices(&covariances[0], K, d, w, &log_det[0])
        elif structure == TIED:
            failed = whiten_matrices(&covariances[0], 1, d, w, &log_det[0])
            for k in range(1, K):
                log_det[k] = log_det[0]
        elif structure == DIAG:
            failed = whiten_variances(&covariances[0], K, d, w, &log_det[0])
        else:
            failed = whiten_variances(&covariances[0], K, 1, w, &log_det[0])
            for k in range(K):
                log_det[k] *= d
    return failed


def add_slots(
    int structure, const double[:, ::1] slots,      # IN: [N (K) | s (K, d) | S | log-likelihood] in each row
    Py_ssize_t n_components, Py_ssize_t n_features, double unit,
    double[::1] total,                              # OUT
):
    """total := unit · (the slots, added in their order); S from its lower triangles. Returns the log-likelihood."""
    cdef Py_ssize_t d = n_features, n_matrices, slot, width = total.shape[0], i, j
    cdef double *scatter
    with nogil:
        for i in range(width):
            total[i] = slots[0, i]
        for slot in range(1, slots.shape[0]):
            for i in range(width):
                total[i] += slots[slot, i]
        for i in range(width):
            total[i] *= unit
        n_matrices = n_components if structure == FULL else 1 if structure == TIED else 0
        if n_matrices:
            scatter = &total[n_components * (1 + d)]
        while n_matrices:
            for i in range(d):
                for j in range(i):
                    scatter[j * d + i] = scatter[i * d + j]
            scatter += d * d
            n_matrices -= 1
    return total[width - 1]


def has_shrunk(const double[::1] before, const double[::1] after, double factor):
    """Is some `after` times the factor below `before`?"""
    cdef Py_ssize_t k
    for k in range(before.shape[0]):
        if after[k] * factor < before[k]:
            return True
    return False


def cancels(
    int structure, double limit, double rounding,               # IN
    const double[::1] weight, const double[:, ::1] center,      # IN: N (K,), c (K, d)
    const double[:, ::1] shift, const double[::1] scatter,      # IN: s (K, d), S
):
    """Would the M-step leave less than `limit` of a diagonal of S? That is S[j, j] − N δ_j² < limit · S[j, j].

    Spherical: of the trace; tied: of Σ_k S_k. A |δ_j| of no more than `rounding` · |c_j| does not count: other centres
    would be no better.
    """
    cdef Py_ssize_t K = center.shape[0], d = center.shape[1], k, j
    cdef Py_ssize_t step = d * d if structure == FULL else d if structure == DIAG else 1
    cdef double square = 0, delta, moment
    cdef bint far = False
    if structure == TIED:
        for j in range(d):
            square, far = 0, False
            for k in range(K):
                if weight[k] > 0:
                    delta = shift[k, j] / weight[k]
                    square += shift[k, j] * delta
                    far = far or fabs(delta) > rounding * fabs(center[k, j])
            moment = scatter[j * (d + 1)]
            if far and moment - square < limit * moment:
                return True
        return False
    for k in range(K):
        if not weight[k] > 0:
            continue
        square, far = 0, False
        for j in range(d):
            delta = shift[k, j] / weight[k]
            square += shift[k, j] * delta
            far = far or fabs(delta) > rounding * fabs(center[k, j])
            if structure == SPHERICAL and j < d - 1:
                continue
            moment = scatter[k * step + (j * (d + 1) if structure == FULL else j if structure == DIAG else 0)]
            if far and moment - square < limit * moment:
                return True
            square, far = 0, False
    return False


def maximize(
    int structure, double reg_covar,                            # IN
    const double[::1] weight, const double[:, ::1] center,      # IN: N (K,), c (K, d)
    const double[:, ::1] shift, const double[::1] scatter,      # IN: s (K, d), S
    double[::1] weights, double[:, ::1] means,                  # OUT
    double[::1] covariances,                                    # OUT
):
    """π_k = N_k / Σ N,  μ_k = c_k + δ_k,  Σ_k = S_k/N_k − δδᵀ + reg_covar · I,  δ_k = s_k/N_k

    tied: Σ = (Σ_k S_k − N_k δδᵀ) / Σ N; diag: the diagonal; spherical: the trace / d. Where N_k = 0 the sums are zero,
    and so are δ_k and S_k/N_k.
    """
    cdef Py_ssize_t K = center.shape[0], d = center.shape[1], k, i, j
    cdef double total = 0, divisor, square, share
    cdef double *sigma = &covariances[0]
    cdef const double *S = &scatter[0]
    cdef double *delta
    with nogil:
        for k in range(K):
            total += weight[k]
        if structure == TIED:
            for i in range(d * d):
                sigma[i] = S[i] / total
        for k in range(K):
            weights[k] = weight[k] / total
            divisor = weight[k] if weight[k] > 0 else 1
            # δ, until the centre is added
            delta = &means[k, 0]
            square = 0
            for i in range(d):
                delta[i] = shift[k, i] / divisor
                square += delta[i] * delta[i]
            if structure == FULL:
                for i in range(d):
                    for j in range(i + 1):
                        sigma[i * d + j] = S[i * d + j] / divisor - delta[i] * delta[j]
                        sigma[j * d + i] = sigma[i * d + j]
                    sigma[i * d + i] += reg_covar
                sigma += d * d
                S += d * d
            elif structure == TIED:
                share = weight[k] / total
                for i in range(d):
                    for j in range(d):
                        sigma[i * d + j] -= share * delta[i] * delta[j]
            elif structure == DIAG:
                for i in range(d):
                    sigma[i] = S[i] / divisor - delta[i] * delta[i] + reg_covar
                sigma += d
                S += d
            else:
                sigma[k] = (S[k] / divisor - square) / d + reg_covar
            for i in range(d):
                delta[i] += center[k, i]
        if structure == TIED:
            for i in range(d):
                for j in range(i):
                    sigma[j * d + i] = sigma[i * d + j]
                sigma[i * d + i] += reg_covar


cdef double held(double value, Py_ssize_t j, const double *least, const double *greatest, bint single) noexcept nogil:
    """A mean's coordinate, clamped to its column's range and rounded to the precision of the rows"""
    if least != NULL:
        value = min(max(value, least[j]), greatest[j])
    return <double> <float> value if single else value


def prepare(
    int structure, bint single, double negligible,                                  # IN
    const double[::1] weights, const double[:, ::1] means,                          # IN: π (K,), μ (K, d)
    const double[::1] whitening, const double[::1] log_det,                         # IN
    const double[:, ::1] column_range,                                              # IN: (2, d) or None
    const double[::1] weight_before,                                                # IN: N (K,) or None
    double[::1] arguments,                                                          # OUT
):
    """arguments := [c (K, d) | W (μ − c) (K, d) | a (K,) | margin (K,) | W], what the kernel takes

    c is μ clamped to the columns' range and, with `single`, rounded to single precision; a_k = log π_k − d/2 · log 2π +
    Σ_j log W_k[j, j]; the margin is `negligible` + log (Σ N / N_k), and infinite without `weight_before`.
    """
    cdef Py_ssize_t K = means.shape[0], d = means.shape[1], k, i, j, step
    cdef double *center = &arguments[0]
    cdef double *offset = center + K * d
    cdef double *constant = offset + K * d
    cdef double *margin = constant + K
    cdef double *matrices = margin + K
    cdef const double *w = &whitening[0]
    cdef const double *least = NULL
    cdef const double *greatest = NULL
    cdef double total = 0
    if column_range is not None:
        least, greatest = &column_range[0, 0], &column_range[1, 0]
    with nogil:
        for i in range(whitening.shape[0]):
            matrices[i] = w[i]
        step = d * d if structure == FULL else d if structure == DIAG else 1 if structure == SPHERICAL else 0
        if weight_before is not None:
            for k in range(K):
                total += weight_before[k]
        for k in range(K):
            constant[k] = log(weights[k]) + log_det[k] - 0.5 * d * LOG_TWO_PI
            margin[k] = INFINITY
            if weight_before is not None:
                margin[k] = negligible + log(total / weight_before[k])
            for i in range(d):
                center[i] = held(means[k, i], i, least, greatest, single)
                offset[i] = 0
            for j in range(d):
                # Zero for float64 rows unless a mean lies outside of the data; else what single precision cannot hold.
                if means[k, j] == center[j]:
                    continue
                if structure == FULL or structure == TIED:
                    for i in range(j, d):
                        offset[i] += w[i * d + j] * (means[k, j] - center[j])
                else:
                    offset[j] = w[j if structure == DIAG else 0] * (means[k, j] - center[j])
            center += d
            offset += d
            w += step


include "moved_origin.pxi"
