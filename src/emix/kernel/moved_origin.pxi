# To an origin that components share, and back: kernel arguments before a pass, and its sums after it.
#
# origin.pxi has what the origin is for.

cdef double reach(
    int structure, const double *w, const double *mu, const double *m, Py_ssize_t d,    # IN: W_k, μ_k, m
    double *b,                                                                          # OUT, or NULL: W_k (μ_k − m)
) noexcept nogil:
    """‖ |W_k| |μ_k − m| ‖, squared; absolute values of each number"""
    cdef Py_ssize_t i, j
    cdef double term, product, absolute, square = 0
    for i in range(d):
        product, absolute = 0, 0
        if structure == TIED:
            for j in range(i + 1):
                term = w[i * d + j] * (mu[j] - m[j])
                product += term
                absolute += fabs(term)
        else:
            product = absolute = w[i if structure == DIAG else 0] * (mu[i] - m[i])
        square += absolute * absolute
        if b != NULL:
            b[i] = product
    return square


def move_to_origin(
    int structure, bint single, double limit,
    const double[::1] weights, const double[:, ::1] means,                                  # IN: π, μ
    const double[::1] whitening, const double[::1] covariances,                             # IN: W, Σ
    bint keep,                                      # IN: take `origin` as it is
    double[::1] origin,                             # OUT, or IN
    double[::1] arguments, double[:, ::1] own,      # INOUT: as `prepare` leaves them; OUT: the centres before
):
    """Give components whose reach² from the origin is at most `limit` the origin as their centre; how many.

    The origin is Σ π_k c_k, where the mean of the rows lies after any M-step. kernel/origin.pxi has what that is for,
    and what a component's reach is. All components of tied move, or none; their limit is 16 ‖ |W| √diag Σ ‖² if that
    is more: a quarter of such an error stands in W (x − c) anyway, whatever c is, for rows within their component.
    """
    cdef Py_ssize_t K = means.shape[0], d = means.shape[1], k, j, n_moved = 0
    cdef Py_ssize_t step = d if structure == DIAG else 1 if structure == SPHERICAL else 0
    cdef double *center = &arguments[0]
    cdef double *m = &origin[0]
    cdef const double *w = &whitening[0]
    cdef double total = 0, value, square = 0
    if structure == FULL:
        return 0
    with nogil:
        for k in range(d if structure == TIED else 0):
            value = 0
            for j in range(k + 1):
                value += fabs(w[k * d + j]) * sqrt(covariances[j * (d + 1)])
            square += value * value
        limit = max(limit, 16 * square)
        for k in range(K):
            total += weights[k]
        for j in range(d):
            value = 0
            for k in range(K):
                own[k, j] = center[k * d + j]
                value += weights[k] * own[k, j]
            if not keep:
                m[j] = <double> <float> (value / total) if single else value / total
        for k in range(K):
            n_moved += reach(structure, w + k * step, &means[k, 0], m, d, NULL) <= limit
        if structure == TIED and n_moved < K:
            n_moved = 0
        for k in range(K if n_moved else 0):
            if reach(structure, w + k * step, &means[k, 0], m, d, NULL) <= limit:
                reach(structure, w + k * step, &means[k, 0], m, d, center + (K + k) * d)
                for j in range(d):
                    center[k * d + j] = m[j]
    return n_moved


def leave_origin(
    int structure, double reg_covar,
    const double[:, ::1] origin, const double[:, ::1] center,       # IN: c (K, d) of the sums, and to be
    const double[:, ::1] scatter,                                   # IN: tied: Σ w z zᵀ about the origin; else None
    double[::1] total,                                              # INOUT: [N (K) | s (K, d) | S | log-likelihood]
):
    """Recentre sums by e = c − c′: s + N e and S + s eᵀ + e sᵀ + N e eᵀ.

    Returns the largest ratio of what stands in a diagonal about the origin to what the M-step will leave of it,
    reg_covar included: so much larger are roundings of S in the covariance. Infinite if nothing is left.
    """
    cdef Py_ssize_t K = center.shape[0], d = center.shape[1], k, i, j
    cdef double *N = &total[0]
    cdef double *s = N + K
    cdef double *S = s + K * d
    cdef double e, left, before = 0, squares = 0, weight = 0, largest = 0
    cdef bint moved = False
    with nogil:
        if structure == TIED:
            for i in range(d):
                for j in range(i + 1):
                    S[i * d + j] = scatter[i, j]
        for k in range(K):
            if structure == SPHERICAL:
                before, squares, moved = S[k], 0, False
            for i in range(d):
                e = origin[k, i] - center[k, i]
                moved = moved or e != 0
                if structure == TIED:
                    # s_i e_j + e_i s_j + N e_i e_j, of which s_j + N e_j is there already
                    for j in range(i):
                        S[i * d + j] += s[i] * (origin[k, j] - center[k, j]) + s[j] * e
                    S[i * d + i] += (2 * s[i] + N[k] * e) * e
                elif structure == DIAG:
                    before = S[i]
                    S[i] += (2 * s[i] + N[k] * e) * e
                else:
                    S[k] += (2 * s[i] + N[k] * e) * e
                s[i] += N[k] * e
                if structure == DIAG and N[k] > 0 and e != 0:
                    largest = max(largest, ratio(before, S[i] - s[i] * (s[i] / N[k]) + N[k] * reg_covar))
                if structure == SPHERICAL and N[k] > 0:
                    squares += s[i] * (s[i] / N[k])
            if structure == SPHERICAL and N[k] > 0 and moved:
                largest = max(largest, ratio(before, S[k] - squares + N[k] * d * reg_covar))
            weight += N[k]
            s += d
            if structure == DIAG:
                S += d
        if structure == TIED:
            s = N + K
            for i in range(d):
                left = S[i * d + i] + weight * reg_covar
                for k in range(K):
                    if N[k] > 0:
                        left -= s[k * d + i] * (s[k * d + i] / N[k])
                largest = max(largest, ratio(scatter[i, i], left))
                for j in range(i):
                    S[j * d + i] = S[i * d + j]
    return largest


cdef double ratio(double before, double left) noexcept nogil:
    """before / left, infinite where nothing is left of something"""
    if before <= left:
        return 1
    return before / left if left > 0 else INFINITY
