# The sums of a block: N_k, s_k and S_k.
#
# Where most rows of a component are live, vectors hold one feature of several rows, and a sum over rows ends with a sum
# over lanes. Where few are, they are packed (packing.pxi).


cdef void statistics(Mixture *mixture, Block *block, Workspace *work, double *slot) noexcept nogil:
    """Add N, s and S of a block to a slot: components about the origin together, then each of the others"""
    cdef Py_ssize_t d = mixture.n_features, a, k, n_rows, n_together = 0
    cdef Py_ssize_t n_vectors = whole_vectors(block.n_rows, LANES) // LANES
    cdef bint squares = mixture.form == DIAG or mixture.form == SPHERICAL
    cdef Py_ssize_t square_step = mixture.form == DIAG
    cdef double *shift
    cdef double *scatter
    cdef const real *r
    cdef const real *c
    for a in range(work.n_active):
        k = work.active[a]
        if is_summed_about_origin(mixture, work, k, block.n_rows):
            work.together[n_together] = <int> k
            n_together += 1
    if n_together:
        statistics_at_origin(mixture, work.together, n_together, n_vectors, work, slot)
    for a in range(work.n_active):
        k = work.active[a]
        if work.live[k] == 0 or is_summed_about_origin(mixture, work, k, block.n_rows):
            continue
        r = work.p + k * STRIDE
        c = mixture.center + k * d
        shift = slot + mixture.slot.shift + k * d
        scatter = slot + mixture.slot.scatter + k * mixture.scatter_step
        if work.at_origin[k] or (squares and work.live[k] < mixture.packed_below * block.n_rows):
            n_rows = list_live(r, n_vectors, work.live_rows)
            pack_rows(block, c, n_rows, d, work)
            moments_of_rows(r, n_rows, d, squares, square_step, work, slot + k, shift, scatter)
            continue
        if squares:
            center(work.x, c, d, n_vectors, work.centered)
            moments_of_squares(work.centered, r, d, n_vectors, square_step, slot + k, shift, scatter)
            continue
        n_rows = list_to_pack(mixture, k, block.n_rows, n_vectors, work)
        if n_rows < 0:
            moments_triangular(work, c, r, d, n_vectors, slot + k, shift, scatter)
            continue
        if n_rows > 0:
            pack_rooted(block, c, r, work.live_rows, n_rows, d, work, slot + k, shift)
            scatter_rows(work, n_rows, d, scatter)


cdef inline bint is_summed_about_origin(
    Mixture *mixture, Workspace *work, Py_ssize_t k, Py_ssize_t n_rows
) noexcept nogil:
    """True if the component is at the origin, and so many rows are live that packing them would cost more"""
    return work.at_origin[k] and work.live[k] > 0 and work.live[k] >= mixture.packed_at_origin * n_rows


cdef void moments_of_squares(
    const real *z, const real *r, Py_ssize_t n_features, Py_ssize_t n_vectors, Py_ssize_t square_step,  # IN
    double *weight, double *shift, double *scatter,                                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r z;  S_j += Σ r z_j² (square_step 0: the trace)"""
    cdef Py_ssize_t j, v
    cdef vec first = vec_of(0), second, product
    for v in range(n_vectors):
        first += (<const vec *> r)[v]
    weight[0] += vec_sum(first)
    for j in range(n_features):
        first = vec_of(0)
        second = vec_of(0)
        for v in range(n_vectors):
            product = (<const vec *> r)[v] * (<const vec *> (z + j * STRIDE))[v]
            first += product
            second += product * (<const vec *> (z + j * STRIDE))[v]
        shift[j] += vec_sum(first)
        scatter[j * square_step] += vec_sum(second)
