# To an origin that components share, and back: kernel arguments before a pass, and its sums after it.
#
# origin.pxi has what the origin is for.

cdef double reach(
    int form, const double *w, const double *mu, const double *m, Py_ssize_t d,     # IN: W_k, μ_k, m
    double *b,                                                                      # OUT, or NULL: W_k (μ_k − m)
) noexcept nogil:
    """‖ |W_k| |μ_k − m| ‖, squared; absolute values of each number"""
    cdef Py_ssize_t i, j
    cdef double term, product, absolute, square = 0
    for i in range(d):
        product, absolute = 0, 0
        if form == TIED:
            for j in range(i + 1):
                term = w[i * d + j] * (mu[j] - m[j])
                product += term
                absolute += fabs(term)
        else:
            product = absolute = w[i if form == DIAG else 0] * (mu[i] - m[i])
        square += absolute * absolute
        if b != NULL:
            b[i] = product
    return square


cdef Py_ssize_t move_to_origin(
    int form, Py_ssize_t K, Py_ssize_t d, bint single, double limit, const double *density,     # IN
    const double *fixed,            # IN: (d,) the origin, or NULL for Σ π_k c_k
    double *arguments,              # INOUT: as `prepare_arguments` leaves them
    double *own_centers,            # OUT, or NULL: (K, d) centres before
) noexcept nogil:
    """Give components whose reach² from the origin is at most `limit` the origin as their centre; how many.

    Without `fixed` it is where the mean of the rows lies after any M-step. kernel/estep/origin.pxi has what that is
    for, and what a component's reach is. All components of tied move, or none; their limit is 16 ‖ |W| √diag Σ ‖² if
    that is more: a quarter of such an error stands in W (x − c) anyway, whatever c is, for rows within their component.
    """
    cdef DensityLayout of_density = density_layout(form, K, d)
    cdef ArgumentsLayout at = arguments_layout(form, K, d)
    cdef Py_ssize_t step = spread_step(form, d), k, j, n_moved = 0
    cdef const double *log_weights = density + of_density.log_weights
    cdef const double *mean = density + of_density.means
    cdef const double *w = density + of_density.whitening
    cdef const double *deviations = density + of_density.deviations
    cdef double *center = arguments + at.center
    cdef double *offset = arguments + at.offset
    cdef double *m = arguments + at.origin
    cdef double total = 0, value, square = 0
    if form == FULL:
        return 0
    for k in range(d if form == TIED else 0):
        value = 0
        for j in range(k + 1):
            value += fabs(w[k * d + j]) * deviations[j]
        square += value * value
    limit = max(limit, 16 * square)
    for k in range(K):
        total += exp(log_weights[k])
    for j in range(d):
        value = 0
        for k in range(K):
            if own_centers != NULL:
                own_centers[k * d + j] = center[k * d + j]
            value += exp(log_weights[k]) * center[k * d + j]
        value = value / total if fixed == NULL else fixed[j]
        m[j] = <double> <float> value if single else value
    for k in range(K):
        n_moved += reach(form, w + k * step, mean + k * d, m, d, NULL) <= limit
    if form == TIED and n_moved < K:
        n_moved = 0
    for k in range(K if n_moved else 0):
        if reach(form, w + k * step, mean + k * d, m, d, NULL) <= limit:
            reach(form, w + k * step, mean + k * d, m, d, offset + k * d)
            for j in range(d):
                center[k * d + j] = m[j]
    for j in range(d if n_moved == 0 else 0):
        m[j] = NAN
    return n_moved


cdef double leave_origin(
    int form, Py_ssize_t K, Py_ssize_t d,
    const double *least_ridge,      # IN: (d,), at most what the M-step adds to the variances
    const double *origin,           # IN: (K, d), the centres of the sums
    const double *scatter,          # IN: tied: Σ w z zᵀ about the origin; else NULL
    double *statistics,             # INOUT: [N | s | S | c], c what centres are to be
) noexcept nogil:
    """Recentre sums by e = origin − c: s + N e and S + s eᵀ + e sᵀ + N e eᵀ.

    Returns the largest ratio of what stands in a diagonal about the origin to what the M-step will leave of it,
    the least ridge included: so much larger are roundings of S in the covariance. Infinite if nothing is left.
    """
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef double *N = statistics + at.weight
    cdef double *s = statistics + at.shift
    cdef double *S = statistics + at.scatter
    cdef const double *center = statistics + at.center
    cdef Py_ssize_t k, i, j
    cdef double e, left, before = 0, squares = 0, weight = 0, largest = 1, sum_of_ridge = 0
    cdef bint moved = False
    for i in range(d):
        sum_of_ridge += least_ridge[i]
    if form == TIED:
        for i in range(d):
            for j in range(i + 1):
                S[i * d + j] = scatter[i * d + j]
    for k in range(K):
        if form == SPHERICAL:
            before, squares, moved = S[k], 0, False
        for i in range(d):
            e = origin[i] - center[i]
            moved = moved or e != 0
            if form == TIED:
                # s_i e_j + e_i s_j + N e_i e_j, of which s_j + N e_j is there already
                for j in range(i):
                    S[i * d + j] += s[i] * (origin[j] - center[j]) + s[j] * e
                S[i * d + i] += (2 * s[i] + N[k] * e) * e
            elif form == DIAG:
                before = S[i]
                S[i] += (2 * s[i] + N[k] * e) * e
            else:
                S[k] += (2 * s[i] + N[k] * e) * e
            s[i] += N[k] * e
            if form == DIAG and N[k] > 0 and e != 0:
                largest = max(largest, ratio(before, S[i] - s[i] * (s[i] / N[k]) + N[k] * least_ridge[i]))
            if form == SPHERICAL and N[k] > 0:
                squares += s[i] * (s[i] / N[k])
        if form == SPHERICAL and N[k] > 0 and moved:
            largest = max(largest, ratio(before, S[k] - squares + N[k] * sum_of_ridge))
        weight += N[k]
        s += d
        origin += d
        center += d
        if form == DIAG:
            S += d
    if form == TIED:
        s = statistics + at.shift
        for i in range(d):
            left = S[i * d + i] + weight * least_ridge[i]
            for k in range(K):
                if N[k] > 0:
                    left -= s[k * d + i] * (s[k * d + i] / N[k])
            largest = max(largest, ratio(scatter[i * d + i], left))
            for j in range(i):
                S[j * d + i] = S[i * d + j]
    return largest


cdef double ratio(double before, double left) noexcept nogil:
    """before / left, at least 1; infinite where nothing is left of something"""
    if before <= left:
        return 1
    return before / left if left > 0 else INFINITY
