# From log-densities to responsibilities, by Bayes' theorem, and to the log-likelihood.

cdef void exponentials(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = exp(p[k] − best), and 0 below the component's margin or underflow;  total = Σ_k p[k]

    total ≥ 1, the best one's term, unless no component has a finite log-density: then it is 0.
    """
    cdef Py_ssize_t a, k, v
    cdef vec limit, term
    cdef vec *p
    for v in range(n_vectors):
        (<vec *> work.total)[v] = vec_of(0)
    for a in range(work.n_active):
        k = work.active[a]
        p = <vec *> (work.p + k * STRIDE)
        limit = vec_of(max(-mixture.margin[k], EXP_LOWEST))
        for v in range(n_vectors):
            term = vec_exp_above(p[v] - (<vec *> work.best)[v], limit)
            p[v] = term
            (<vec *> work.total)[v] += term


cdef void inverse_totals(Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """scale = weight / total, and 0 in a row without a finite log-density; call after `exponentials`"""
    cdef Py_ssize_t v
    cdef vec total
    for v in range(n_vectors):
        total = (<vec *> work.total)[v]
        (<vec *> work.scale)[v] = vec_select(
            vec_less(vec_of(0), total), (<vec *> work.weight)[v] / total, vec_of(0))


cdef void posterior(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = weight · p[k] / total: Bayes' theorem;  live[k], the rows in which it is not 0

    Call after `exponentials`. A row without a finite log-density has responsibility 0 for every component.
    """
    cdef Py_ssize_t a, k, v
    cdef vec count, one = vec_of(1), nothing = vec_of(0)
    cdef vec *p
    inverse_totals(work, n_vectors)
    for a in range(work.n_active):
        k = work.active[a]
        p = <vec *> (work.p + k * STRIDE)
        count = nothing
        for v in range(n_vectors):
            p[v] = p[v] * (<vec *> work.scale)[v]
            count += vec_select(vec_less(nothing, p[v]), one, nothing)
        work.live[k] = <real> vec_sum(count)


cdef void log_sums(Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """log_sum = log Σ_k exp log p_k = best + log(total)"""
    cdef Py_ssize_t v
    cdef vec total
    for v in range(n_vectors):
        total = (<vec *> work.total)[v]
        (<vec *> work.log_sum)[v] = vec_select(
            vec_less(vec_of(0), total), (<vec *> work.best)[v] + vec_log(total), vec_of(-<real> INFINITY))


cdef double log_likelihood(
    Workspace *work, Py_ssize_t n_components, bint weighted, Py_ssize_t n_rows, Py_ssize_t n_vectors
) noexcept nogil:
    """Σ_i weight_i · log_sum_i in double precision; a row of weight 0 adds nothing, wherever it lies

    With weights 1, Σ best + log Π total, a logarithm for each lane and not for each row: totals lie in [1, K] (or are
    0, which makes the sum −inf as it should), and LOG_FACTORS of them do not overflow for K < 2^15.
    """
    cdef double partial[8]
    cdef double sum = 0
    cdef vec product
    cdef Py_ssize_t i, l, v, last, n_factors = LOG_FACTORS if n_components < 1 << 15 else 1
    for l in range(8):
        partial[l] = 0
    if weighted:
        log_sums(work, n_vectors)
        for i in range(n_rows):
            if work.weight[i] > 0:
                partial[i % 8] += <double> work.weight[i] * work.log_sum[i]
    else:
        # total = 1 and best = 0 in rows that only fill the last vectors
        last = (n_vectors * LANES + 7) // 8 * 8
        for i in range(n_rows, last):
            work.total[i] = 1
            work.best[i] = 0
        for i in range(0, last, 8):
            for l in range(8):
                partial[l] += <double> work.best[i + l]
        v = 0
        while v < n_vectors:
            last = min(v + n_factors, n_vectors)
            product = (<vec *> work.total)[v]
            for v in range(v + 1, last):
                product = product * (<vec *> work.total)[v]
            v = last
            product = vec_select(vec_less(vec_of(0), product), vec_log(product), vec_of(-<real> INFINITY))
            sum += vec_sum_double(product)
    for l in range(8):
        sum += partial[l]
    return sum
