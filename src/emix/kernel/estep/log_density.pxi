# Log-densities of a block under one component.


cdef void log_density(
    Mixture *mixture, Py_ssize_t k, real limit, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """p[k] = a_k − ½‖W_k (x − c_k) − b_k‖²;  best = max(best, p[k])

    A tile of rows in which every sum of squares has passed the limit is left there: p[k] is too large then, but below
    a_k − ½ limit. The limit is infinite where all are wanted.
    """
    cdef Py_ssize_t d = mixture.n_features
    cdef const real *c = mixture.center + k * d
    cdef const real *b = mixture.offset + k * d
    cdef real *p = work.p + k * STRIDE
    cdef int which = <int> k
    cdef Py_ssize_t v
    if work.at_origin[k]:
        log_densities_at_origin(mixture, &which, 1, limit, work, n_vectors)
    elif mixture.form == DIAG:
        log_densities_diagonal(
            work.x, c, mixture.whitening + k * d, 1, b, mixture.log_constant[k],
            limit, d, n_vectors, p, work.best)
    elif mixture.form == SPHERICAL:
        log_densities_diagonal(
            work.x, c, mixture.whitening + k, 0, b, mixture.log_constant[k],
            limit, d, n_vectors, p, work.best)
    else:
        log_densities_triangular(
            work, work.x, c, mixture.whitening + (k * d * d if mixture.form == FULL else 0), b,
            mixture.log_constant[k], limit, d, work.n_used, p, work.best)
        for v in range(work.n_used, n_vectors):
            (<vec *> p)[v] = (<vec *> p)[v - 1]
            (<vec *> work.best)[v] = (<vec *> work.best)[v - 1]


cdef void log_densities_diagonal(
    const real *x, const real *c, const real *w, Py_ssize_t step, const real *b,    # IN: step 0 for one w for all
    real constant, real limit, Py_ssize_t n_features, Py_ssize_t n_vectors,         # IN
    real *p, real *best,                                                            # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½ Σ_j (w_j (x_j − c_j) − b_j)², or, for rows in which that is above the limit, some part of the sum"""
    cdef Py_ssize_t j, first = 0
    cdef int v
    cdef vec norm[4]
    cdef vec y
    while first < n_vectors:
        for v in range(TILE_VECTORS):
            norm[v] = vec_of(0)
        for j in range(n_features):
            for v in range(TILE_VECTORS):
                y = ((<const vec *> (x + j * STRIDE))[first + v] - c[j]) * w[j * step] - b[j]
                norm[v] += y * y
            if j % 4 == 3 and limit < REAL_MAX and all_above(TILE_VECTORS, norm, limit):
                break
        put_log_densities(TILE_VECTORS, norm, constant, first, p, best)
        first += TILE_VECTORS
