# Distances between components.

def distances(
    const double[:, ::1] means, const double[:, :, ::1] covariances, const double[::1] unit,    # IN: (K, d, …), (d,)
    Py_ssize_t first, Py_ssize_t last,                                                          # IN: components
    double[:, ::1] out,                                                                         # OUT: (K, K)
):
    """out[k, l] = out[l, k] := (μ_k − μ_l)ᵀ (Σ_k + Σ_l)⁻¹ (μ_k − μ_l) for k of a range and l < k; −1 for l = k

    Computed in units of the columns, so that nothing overflows. A column whose unit is 0 has no part. Components whose
    Σ_k + Σ_l is not positive definite are infinitely far from each other.
    """
    cdef Py_ssize_t K = means.shape[0], d = means.shape[1]
    cdef double *work
    check_length("covariances", covariances.shape[0], K)
    check_length("a covariance", covariances.shape[1], d)
    check_length("a row of a covariance", covariances.shape[2], d)
    check_length("unit", unit.shape[0], d)
    check_length("out", out.shape[0], K)
    check_length("a row of out", out.shape[1], K)
    if K == 0 or d == 0 or not 0 <= first <= last <= K:
        raise ValueError(f"means have the shape {(K, d)}, and the components are {first} to {last}")
    work = <double *> malloc(sizeof(double) * d * (2 * d + 1))
    if work == NULL:
        raise MemoryError(f"there is no memory for {d * (2 * d + 1)} numbers")
    # A distance takes as long as 64 more operations.
    if (last - first) * K * (d * d * d + 64) <= 8 * SHORT:
        fill_distances(&means[0, 0], &covariances[0, 0, 0], &unit[0], K, d, first, last, work, &out[0, 0])
    else:
        with nogil:
            fill_distances(&means[0, 0], &covariances[0, 0, 0], &unit[0], K, d, first, last, work, &out[0, 0])
    free(work)


cdef void fill_distances(
    const double *means, const double *covariances, const double *unit, Py_ssize_t K, Py_ssize_t d,     # IN
    Py_ssize_t first, Py_ssize_t last,                                                                  # IN
    double *work,                                                                                       # overwritten
    double *out,                                                                                        # OUT
) noexcept nogil:
    """Steps of `distances`, in given memory"""
    cdef Py_ssize_t k, l
    for k in range(first, last):
        out[k * K + k] = -1
        for l in range(k):
            out[k * K + l] = distance(
                means + k * d, means + l * d, covariances + k * d * d, covariances + l * d * d, unit, d, work)
            out[l * K + k] = out[k * K + l]


cdef double distance(
    const double *mean, const double *other_mean, const double *sigma, const double *other_sigma,   # IN
    const double *unit, Py_ssize_t d,                                                               # IN
    double *work,                                                                                   # overwritten
) noexcept nogil:
    """The distance between two components"""
    cdef Py_ssize_t i, j
    cdef double *total = work
    cdef double *u = total + d * d
    cdef double *y = u + d * d
    cdef double square = 0
    for i in range(d):
        for j in range(i + 1):
            if unit[i] > 0 and unit[j] > 0:
                total[i * d + j] = sigma[i * d + j] / unit[i] / unit[j] + other_sigma[i * d + j] / unit[i] / unit[j]
            else:
                total[i * d + j] = i == j
    if not cholesky(total, d, u):
        return INFINITY
    for i in range(d):
        y[i] = (mean[i] / unit[i] - other_mean[i] / unit[i]) if unit[i] > 0 else 0
        for j in range(i):
            y[i] -= u[j * d + i] * y[j]
        y[i] /= u[i * d + i]
        square += y[i] * y[i]
    return square
