# From rows to differences, and from squared norms to log-densities: steps that all forms share.


cdef void center(
    const real *x, const real *c, Py_ssize_t n_features, Py_ssize_t n_vectors,  # IN
    real *z,                                                                    # OUT
) noexcept nogil:
    """z = x − c"""
    cdef Py_ssize_t j, v
    for j in range(n_features):
        for v in range(n_vectors):
            (<vec *> (z + j * STRIDE))[v] = (<const vec *> (x + j * STRIDE))[v] - c[j]


cdef inline void put_log_densities(
    int n_tile, const vec *norm, real constant, Py_ssize_t first,   # IN: vectors of a tile, its ‖y‖², a_k
    real *p, real *best,                                            # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½‖y‖²;  best = max(best, p). A norm that overflows, or was inf − inf on the way, makes p −inf."""
    cdef vec infinite = vec_of(<real> INFINITY), largest = vec_of(REAL_MAX), value
    cdef int v
    for v in range(n_tile):
        # NaN compares false, as does infinity
        value = constant - vec_select(vec_less(norm[v], largest), norm[v], infinite) * <real> 0.5
        (<vec *> p)[first + v] = value
        (<vec *> best)[first + v] = vec_max((<vec *> best)[first + v], value)


cdef inline bint all_above(int n_tile, const vec *norm, real limit) noexcept nogil:
    """True if every number of a tile is above the limit; NaN is not"""
    cdef wordvec above = vec_less(vec_of(limit), norm[0])
    cdef int v
    for v in range(1, n_tile):
        above = above & vec_less(vec_of(limit), norm[v])
    return all_set(above)
