# Statistics of rows that are given to labels, such as clusters.

cdef void means(
    const double[:, :] X, const double[::1] weight, const Py_ssize_t[::1] labels, Py_ssize_t K,     # IN
    double *held, double *center,                                                                   # OUT: (K,), (K, d)
) noexcept nogil:
    """held, center := Σ w, Σ w x / Σ w of each label's rows; an empty one's centre is the mean of all"""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], i, j, k
    cdef double total = 0, everywhere
    for k in range(K):
        held[k] = 0
        for j in range(d):
            center[k * d + j] = 0
    for i in range(n):
        k = labels[i]
        held[k] += weight[i]
        # About the first row, so that a large offset is not rounded n times.
        for j in range(d):
            center[k * d + j] += weight[i] * (X[i, j] - X[0, j])
    for k in range(K):
        total += held[k]
    for j in range(d):
        everywhere = 0
        for k in range(K):
            everywhere += center[k * d + j]
        for k in range(K):
            center[k * d + j] = X[0, j] + (center[k * d + j] / held[k] if held[k] > 0 else everywhere / total)


cdef void moments(
    int structure,                                                                                  # as in factors.pyx
    const double[:, :] X, const double[::1] weight, const Py_ssize_t[::1] labels, Py_ssize_t K,     # IN
    const double *center,                                                                           # IN: (K, d)
    double *z, Py_ssize_t n_spread,                                         # overwritten, (d,); numbers of the scatter
    double *shift, double *scatter,                                         # OUT
) noexcept nogil:
    """shift, scatter := Σ w (x − c), Σ w (x − c)(x − c)ᵀ of each label's rows, the latter in the structure's form"""
    cdef Py_ssize_t d = X.shape[1], i, a, b, k, _
    cdef bint matrices = structure <= 1
    cdef Py_ssize_t step = 0 if structure == 1 else d * d if structure == 0 else d if structure == 2 else 1
    cdef Py_ssize_t next_variance = 1 if structure == 2 else 0
    cdef double *S
    cdef double wz
    for i in range(n_spread):
        scatter[i] = 0
    for i in range(K * d):
        shift[i] = 0
    for i in range(X.shape[0]):
        k = labels[i]
        S = scatter + k * step
        for a in range(d):
            z[a] = X[i, a] - center[k * d + a]
        for a in range(d):
            wz = weight[i] * z[a]
            shift[k * d + a] += wz
            if matrices:
                for b in range(a + 1):
                    S[a * d + b] += wz * z[b]
            else:
                S[a * next_variance] += wz * z[a]
    if matrices:
        S = scatter
        for _ in range(n_spread // (d * d)):
            for a in range(d):
                for b in range(a):
                    S[b * d + a] = S[a * d + b]
            S += d * d


def statistics_of_labels(
    int structure, Py_ssize_t n_labels, const double[:, :] X,           # IN: (n, d)
    const double[::1] weight, const Py_ssize_t[::1] labels,             # IN: (n,) each
    double[::1] statistics,                                             # OUT: as in factors.pyx
    double[::1] z,                                                      # overwritten, (d,)
):
    """statistics := [N | s | S | c] of rows given to labels, each about its mean, an empty one's about all rows'"""
    cdef Py_ssize_t K = n_labels, d = X.shape[1], n_spread = statistics.shape[0] - K * (1 + 2 * d)
    cdef double *shift = &statistics[K]
    cdef double *scatter = shift + K * d
    cdef double *center = scatter + n_spread
    with nogil:
        means(X, weight, labels, K, &statistics[0], center)
        moments(structure, X, weight, labels, K, center, &z[0], n_spread, shift, scatter)


def pooled_scatter(
    const double[:, :] X, const double[::1] weight, const Py_ssize_t[::1] labels,   # IN: (n, d), (n,), (n,)
    const double[:, ::1] center,                                                    # IN: (K, d)
    double[:, ::1] shift, double[:, ::1] scatter,                                   # OUT: (K, d), (d, d)
    double[::1] z,                                                                  # overwritten, (d,)
):
    """scatter := Σ w (x − c)(x − c)ᵀ over all rows, each about its label's centre; shift := Σ w (x − c) by label"""
    with nogil:
        moments(
            1, X, weight, labels, center.shape[0], &center[0, 0], &z[0], scatter.shape[0] * scatter.shape[1],
            &shift[0, 0], &scatter[0, 0])
