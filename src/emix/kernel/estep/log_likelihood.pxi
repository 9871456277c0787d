# The log-likelihood of a block, and the log-density of each row.


cdef enum:
    LOG_FACTORS = 8     # 8 factors below 2^15 (components) stay below 2^120: single precision holds 2^127


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


cdef void log_sums(Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """log_sum = log Σ_k exp log p_k = best + log(total)"""
    cdef Py_ssize_t v
    cdef vec total
    for v in range(n_vectors):
        total = (<vec *> work.total)[v]
        (<vec *> work.log_sum)[v] = vec_select(
            vec_less(vec_of(0), total), (<vec *> work.best)[v] + vec_log(total), vec_of(-<real> INFINITY))
