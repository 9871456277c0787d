# Mixtures with a component less or more: two components become one, or one two, which keep the weight, the mean and the
# covariance of what they replace. The union of components i and j has
#
#     π = π_i + π_j    μ = (π_i μ_i + π_j μ_j) / π    Σ = (π_i Σ_i + π_j Σ_j) / π + π_i π_j / π² (μ_i − μ_j)(μ_i − μ_j)ᵀ
#
# Q loses t(π_i, Σ_i) + t(π_j, Σ_j) − t(π, Σ), with t(π, Σ) = π log π − ½ π log det Σ and the determinant of Σ in the
# structure's form. What components share makes a difference of its own: it changes with each union.

# Smallest normal double: smaller variances count as this one in logarithms.
cdef double LEAST_VARIANCE = 2.2250738585072014e-308


cdef struct Mixed:
    Py_ssize_t K, d
    int form
    double *weights         # (K,)
    double *means           # (K, d)
    double *sigma           # (K, d, d)
    double *terms           # t of each component
    double *best            # the largest gain of component i with one of a higher number; −∞ without any
    Py_ssize_t *partner     # the component that has it
    bint *alive
    double *mean            # of a union (d,)
    double *union_sigma     # its covariance (d, d)
    double *factor          # (d, d)


cdef double log_weight_term(double weight) noexcept nogil:
    return weight * log(weight) if weight > 0 else 0


cdef double log_det_in_form(int form, Py_ssize_t d, const double *sigma, double *factor) noexcept nogil:
    """log det of a covariance matrix as the form has it; −∞ if it has matrices, and this is not positive definite"""
    cdef double total = 0
    cdef Py_ssize_t j
    if has_matrices(form):
        if not cholesky(sigma, d, factor):
            return -INFINITY
        for j in range(d):
            total += 2 * log(factor[j * (d + 1)])
        return total
    if form == DIAG:
        for j in range(d):
            total += log(max(sigma[j * (d + 1)], LEAST_VARIANCE))
        return total
    for j in range(d):
        total += sigma[j * (d + 1)]
    return d * log(max(total / d, LEAST_VARIANCE))


cdef double q_term(int form, Py_ssize_t d, double weight, const double *sigma, double *factor) noexcept nogil:
    return log_weight_term(weight) - 0.5 * weight * log_det_in_form(form, d, sigma, factor)


cdef double unite(const Mixed *m, Py_ssize_t i, Py_ssize_t j, double *mean, double *sigma) noexcept nogil:
    """Mean and covariance of two components together; returns their weight"""
    cdef Py_ssize_t d = m.d, a, b
    cdef double weight = m.weights[i] + m.weights[j], share = 0.5, between
    cdef const double *one
    cdef const double *other
    cdef const double *here
    cdef const double *there
    if m.weights[i] > m.weights[j]:
        i, j = j, i     # the share is ½ or less, so that a weight of 0 leaves the other component as it is
    one, other = m.sigma + i * d * d, m.sigma + j * d * d
    here, there = m.means + i * d, m.means + j * d
    if weight > 0:
        share = m.weights[i] / weight
    between = share * (1 - share)
    for a in range(d):
        for b in range(d):
            sigma[a * d + b] = other[a * d + b] + share * (one[a * d + b] - other[a * d + b]) + (
                between * (here[a] - there[a]) * (here[b] - there[b]))
    for a in range(d):
        mean[a] = there[a] + share * (here[a] - there[a])
    return weight


cdef double gain_of_union(const Mixed *m, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """Change of Q; −∞ for components or a union that are not positive definite, of which Q says nothing"""
    cdef double weight = unite(m, i, j, m.mean, m.union_sigma)
    cdef double gain = q_term(m.form, m.d, weight, m.union_sigma, m.factor) - m.terms[i] - m.terms[j]
    return gain if isfinite(gain) else -INFINITY


cdef void find_partner(Mixed *m, Py_ssize_t i) noexcept nogil:
    """The best union of component i with one of a higher number"""
    cdef Py_ssize_t j
    cdef double gain
    m.best[i], m.partner[i] = -INFINITY, -1
    for j in range(i + 1, m.K):
        if m.alive[j]:
            gain = gain_of_union(m, i, j)
            if gain > m.best[i] or m.partner[i] < 0:
                m.best[i], m.partner[i] = gain, j


cdef Py_ssize_t best_union(const Mixed *m) noexcept nogil:
    """The component before its partner"""
    cdef Py_ssize_t i, found = -1
    for i in range(m.K):
        if m.alive[i] and m.partner[i] >= 0 and (found < 0 or m.best[i] > m.best[found]):
            found = i
    return found


cdef void join_components(Mixed *m, Py_ssize_t k, Py_ssize_t gone) noexcept nogil:
    """Component k := the union of both"""
    cdef Py_ssize_t d = m.d
    m.weights[k] = unite(m, k, gone, m.mean, m.union_sigma)
    memcpy(m.means + k * d, m.mean, d * sizeof(double))
    memcpy(m.sigma + k * d * d, m.union_sigma, d * d * sizeof(double))
    m.terms[k] = q_term(m.form, d, m.weights[k], m.union_sigma, m.factor)
    m.alive[gone] = False


cdef void merge_best(Mixed *m) noexcept nogil:
    """Merge the two components whose union loses least"""
    cdef Py_ssize_t k = best_union(m), gone = m.partner[k], i
    cdef double gain
    join_components(m, k, gone)
    find_partner(m, k)
    for i in range(gone):
        if not m.alive[i] or i == k:
            continue
        if m.partner[i] == k or m.partner[i] == gone:
            find_partner(m, i)
        elif i < k:
            gain = gain_of_union(m, i, k)
            if gain > m.best[i]:
                m.best[i], m.partner[i] = gain, k


cdef Mixed *new_mixed(
    int form, const double[::1] weights, const double[:, ::1] means, const double[:, :, ::1] covariances,   # IN
) except NULL:
    """Components of their own to merge; the caller frees them"""
    cdef Py_ssize_t K = weights.shape[0], d = means.shape[1], k
    cdef Mixed *m
    cdef double *numbers
    check_sizes(form, K, d)
    check_length("means", means.shape[0], K)
    if covariances.shape[0] != K or covariances.shape[1] != d or covariances.shape[2] != d:
        raise ValueError(f"covariances are of {covariances.shape[0]} components, expected {K} of shape {(d, d)}")
    cdef Py_ssize_t n_numbers = K * (3 + d + d * d) + d + 2 * d * d
    m = <Mixed *> malloc(
        sizeof(Mixed) + sizeof(double) * n_numbers + K * (sizeof(Py_ssize_t) + sizeof(bint)))
    if m == NULL:
        raise MemoryError(f"there is no memory for {K} components in {d} dimensions")
    numbers = <double *> (m + 1)
    m.K, m.d, m.form = K, d, form
    m.weights, m.terms, m.best, m.means = numbers, numbers + K, numbers + 2 * K, numbers + 3 * K
    m.sigma = m.means + K * d
    m.mean = m.sigma + K * d * d
    m.union_sigma = m.mean + d
    m.factor = m.union_sigma + d * d
    m.partner = <Py_ssize_t *> (m.factor + d * d)
    m.alive = <bint *> (m.partner + K)
    memcpy(m.weights, &weights[0], K * sizeof(double))
    memcpy(m.means, &means[0, 0], K * d * sizeof(double))
    memcpy(m.sigma, &covariances[0, 0, 0], K * d * d * sizeof(double))
    with nogil:
        for k in range(K):
            m.alive[k] = True
            m.terms[k] = q_term(form, d, m.weights[k], m.sigma + k * d * d, m.factor)
    return m


def best_unions(
    int form, const double[::1] weights, const double[:, ::1] means, const double[:, :, ::1] covariances,   # IN
    Py_ssize_t most,                                                                                        # IN
):
    """Return the pairs of components whose union loses least of Q in the form, `most` at most, the best first"""
    cdef Py_ssize_t K = weights.shape[0], n = 0, i, j, place
    cdef Mixed *m
    cdef double *gains
    cdef Py_ssize_t *pairs
    cdef double gain
    check_at_least("most", most, 1)
    most = min(most, K * (K - 1) // 2)
    m = new_mixed(form, weights, means, covariances)
    gains = <double *> malloc((most + 1) * (sizeof(double) + sizeof(Py_ssize_t)))
    if gains == NULL:
        free(m)
        raise MemoryError(f"there is no memory for {most} pairs")
    pairs = <Py_ssize_t *> (gains + most + 1)
    with nogil:
        for i in range(K):
            for j in range(i + 1, K):
                gain = gain_of_union(m, i, j)
                if n == most and not gain > gains[n - 1]:
                    continue
                place = n
                while place > 0 and gain > gains[place - 1]:    # of equal ones the first stays before
                    gains[place], pairs[place] = gains[place - 1], pairs[place - 1]
                    place -= 1
                gains[place], pairs[place] = gain, i * K + j
                n = min(n + 1, most)
    try:
        return [(pairs[i] // K, pairs[i] % K) for i in range(n)]
    finally:
        free(gains)
        free(m)


def merge(
    int form, Py_ssize_t n_left,                                                        # IN
    double[::1] weights, double[:, ::1] means, double[:, :, ::1] covariances,           # INOUT
):
    """Merge two components after two, each time those whose union loses least of Q in the form, until some are left.

    These are the first `n_left` of the arrays, in their order; a union stands at the place of its first component.
    """
    cdef Mixed *m
    cdef Py_ssize_t K = weights.shape[0], k
    if not 1 <= n_left <= K:
        raise ValueError(f"n_left is {n_left}, expected 1 to {K}")
    m = new_mixed(form, weights, means, covariances)
    with nogil:
        if n_left < K:
            for k in range(K):
                find_partner(m, k)
        for k in range(K - n_left):
            merge_best(m)
        take_alive(m, &weights[0], &means[0, 0], &covariances[0, 0, 0])
    free(m)


def merge_pair(
    double[::1] weights, double[:, ::1] means, double[:, :, ::1] covariances,           # INOUT
    Py_ssize_t first, Py_ssize_t second,                                                # IN
):
    """Merge two components; all but the last place of the arrays hold what is left, as after `merge`"""
    cdef Mixed *m
    check_pair(first, second, weights.shape[0])
    m = new_mixed(FULL, weights, means, covariances)
    with nogil:
        join_components(m, first, second)
        take_alive(m, &weights[0], &means[0, 0], &covariances[0, 0, 0])
    free(m)


cdef int check_pair(Py_ssize_t first, Py_ssize_t second, Py_ssize_t K) except -1:
    if not 0 <= first < second < K:
        raise ValueError(f"components {first} and {second} are to be merged, expected two of {K} in their order")
    return 0


cdef void take_alive(const Mixed *m, double *weights, double *means, double *covariances) noexcept nogil:
    """The components that are left, one after another"""
    cdef Py_ssize_t d = m.d, k, n = 0
    for k in range(m.K):
        if m.alive[k]:
            weights[n] = m.weights[k]
            memcpy(means + n * d, m.means + k * d, d * sizeof(double))
            memcpy(covariances + n * d * d, m.sigma + k * d * d, d * d * sizeof(double))
            n += 1


def q_of_union(
    int structure, const double[::1] weights, const double[:, ::1] means, const double[:, :, ::1] covariances,  # IN
    Py_ssize_t first, Py_ssize_t second,                                                                        # IN
):
    """Return Q, up to a constant, of a mixture with two components merged, as a structure that shares a part has it

    −∞ if a covariance is not positive definite.
    """
    cdef int form = check_structure(structure, weights.shape[0], means.shape[1])
    cdef Py_ssize_t K = weights.shape[0], d = means.shape[1], step = spread_step(form, d), n = 0, k, j
    cdef double *own
    cdef double *sigma
    cdef double total = 0, log_det
    cdef Mixed *m
    cdef Search search
    if not shares_a_part(structure):
        raise ValueError(f"the structure {structure} shares no part of its covariances")
    check_pair(first, second, K)
    m = new_mixed(form, weights, means, covariances)
    try:
        begin_search(&search, structure, K - 1, d, MANY_SWEEPS, None)
    except MemoryError:
        free(m)
        raise
    own = <double *> malloc(sizeof(double) * (K - 1) * (1 + step))
    if own == NULL:
        free(search.room)
        free(m)
        raise MemoryError(f"there is no memory for {K} components in {d} dimensions")
    sigma = own + K - 1
    with nogil:
        join_components(m, first, second)
        for k in range(K):
            if not m.alive[k]:
                continue
            own[n] = m.weights[k]
            for j in range(step):
                sigma[n * step + j] = m.sigma[k * d * d + (j if form == FULL else j * (d + 1))]
            n += 1
        share_a_part(structure, n, d, own, &search, sigma)
        for k in range(n):
            if form == FULL:
                log_det = log_det_in_form(FULL, d, sigma + k * step, m.factor)
            else:
                log_det = 0
                for j in range(d):
                    log_det += log(sigma[k * step + j])
            total += log_weight_term(own[k]) - 0.5 * own[k] * log_det
    free(own)
    free(search.room)
    free(m)
    return total if isfinite(total) else -INFINITY


def split(
    const double[::1] weights, const double[:, ::1] means, const double[:, :, ::1] covariances, double apart,   # IN
    double[::1] new_weights, double[:, ::1] new_means, double[:, :, ::1] new_covariances,                       # OUT
):
    """Split the component of the largest π_k λ_k across its longest axis, λ_k its largest variance in any direction

    Variances are in units of the columns' variances over the mixture. The halves have means μ ± a √λ v, a being
    `apart`, and covariance Σ − a² λ v vᵀ. One is at the place of the component, the other behind all.
    """
    cdef Py_ssize_t K = weights.shape[0], d = means.shape[1], k, i, j, chosen = -1
    cdef double *room
    cdef double *scale
    cdef double *step
    cdef double *scaled
    cdef double *vectors
    cdef double *values
    cdef double mean, variance, trace, largest = 0, length = 0
    check_sizes(FULL, K, d)
    check_length("means", means.shape[0], K)
    check_length("new_weights", new_weights.shape[0], K + 1)
    check_shape("new_means", new_means.shape[0], new_means.shape[1], K + 1, d)
    if covariances.shape[0] != K or covariances.shape[1] != d or covariances.shape[2] != d:
        raise ValueError(f"covariances are of {covariances.shape[0]} components, expected {K} of shape {(d, d)}")
    if new_covariances.shape[0] != K + 1 or new_covariances.shape[1] != d or new_covariances.shape[2] != d:
        raise ValueError(f"new_covariances are of {new_covariances.shape[0]} components, expected {K + 1}")
    room = <double *> malloc(sizeof(double) * (3 * d + 2 * d * d))
    if room == NULL:
        raise MemoryError(f"there is no memory for a covariance in {d} dimensions")
    scale, step, values, scaled, vectors = room, room + d, room + 2 * d, room + 3 * d, room + 3 * d + d * d
    with nogil:
        for j in range(d):
            mean, variance = 0, 0
            for k in range(K):
                mean += weights[k] * means[k, j]
            for k in range(K):
                variance += weights[k] * (covariances[k, j, j] + (means[k, j] - mean) * (means[k, j] - mean))
            scale[j] = sqrt(variance) if variance > 0 else 1
        for k in range(K):
            trace = 0
            for i in range(d):
                for j in range(d):
                    scaled[i * d + j] = covariances[k, i, j] / scale[i] / scale[j]
                trace += scaled[i * (d + 1)]
            if chosen >= 0 and weights[k] * trace <= largest:   # no eigenvalue is larger than their sum
                continue
            find_eigenvectors(scaled, d, values, vectors)
            if chosen < 0 or weights[k] * values[0] > largest:
                chosen, largest, length = k, weights[k] * values[0], apart * sqrt(max(values[0], 0))
                for j in range(d):
                    step[j] = length * vectors[j] * scale[j]
        memcpy(&new_weights[0], &weights[0], K * sizeof(double))
        memcpy(&new_means[0, 0], &means[0, 0], K * d * sizeof(double))
        memcpy(&new_covariances[0, 0, 0], &covariances[0, 0, 0], K * d * d * sizeof(double))
        new_weights[chosen] = new_weights[K] = 0.5 * weights[chosen]
        for i in range(d):
            new_means[chosen, i] = means[chosen, i] - step[i]
            new_means[K, i] = means[chosen, i] + step[i]
            for j in range(d):
                new_covariances[chosen, i, j] -= step[i] * step[j]
                new_covariances[K, i, j] = new_covariances[chosen, i, j]
    free(room)
