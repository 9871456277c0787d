# The Scorer, which Python calls for scores of rows under parameters that stay as they are.

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy


cdef enum:
    # Rows × components × (64 + d²), some 25 µs of scoring, below which Python's lock is kept. To hand it on and to
    # wait for it again takes longer: 8 threads on 2 cores, each scoring 1 or 1 000 rows (d = 4, K = 3) at a time, had a
    # third of one thread's throughput where the lock was released, and have all of it now.
    HELD = 1 << 20


cdef Py_ssize_t set_far(Py_ssize_t n_components, Workspace *work, Py_ssize_t n_rows) noexcept nogil:
    """p[k] := −inf in rows that are far, best := −REAL_MAX; how many these are

    Far is a row in which no component has a finite log-density, or in which one that is −inf may have overflowed only
    because it was about an origin: then the best of the others is not to be trusted.
    """
    cdef Py_ssize_t i, k, n_far = 0
    for i in range(n_rows):
        n_far += work.best[i] <= work.far_below
    for i in range(n_rows if n_far else 0):
        if work.best[i] <= work.far_below:
            work.best[i] = -REAL_MAX
            for k in range(n_components):
                work.p[k * STRIDE + i] = -<real> INFINITY
    return n_far


cdef void find_best(
    Py_ssize_t n_components, Workspace *work, Py_ssize_t n_rows,    # IN; label: overwritten
    Py_ssize_t *labels,                                             # OUT
) noexcept nogil:
    """labels := the first k with p[k] = best, or K where none is finite"""
    cdef Py_ssize_t v, k, i
    cdef wordvec label, below, none = word_bits(vec_of(0))
    for v in range((n_rows + LANES - 1) // LANES):
        label = none + <word> n_components
        for k in range(n_components - 1, -1, -1):
            below = vec_less((<vec *> (work.p + k * STRIDE))[v], (<vec *> work.best)[v])
            label = (below & label) | (~below & (none + <word> k))
        (<wordvec *> work.label)[v] = label
    for i in range(n_rows):
        labels[i] = work.label[i]


cdef void put_rows(
    Py_ssize_t n_components, Workspace *work, Py_ssize_t n_rows,    # IN
    real *rows,                                                     # OUT: (n_rows, K)
) noexcept nogil:
    """rows[i, k] := p[k, i] · scale[i]

    Row by row: the strides are then in the workspace, which is in the cache, and the caller's memory is written in
    order. Component by component it took four times as long.
    """
    cdef Py_ssize_t i, k
    for i in range(n_rows):
        for k in range(n_components):
            rows[k] = work.p[k * STRIDE + i] * work.scale[i]
        rows += n_components


cdef Py_ssize_t score_rows(
    Mixture *mixture, Block *rows, Py_ssize_t first_row, Py_ssize_t last_row, Workspace *work,  # IN
    real[::1] log_density, real[:, ::1] responsibilities, Py_ssize_t[::1] labels,               # OUT
    const int[::1] stop,                                                                        # IN
) noexcept nogil:
    """Scores of rows [first_row, last_row), as Scorer.score has them; how many are far"""
    cdef Block block
    cdef Py_ssize_t K = mixture.n_components, start = first_row, n_vectors, n_far = 0
    while start < last_row and not stopped(stop):
        block = part(rows, start, min(start + SMALL_BLOCK, last_row))
        work.ahead.n_rows = 0
        if start + SMALL_BLOCK < last_row:
            work.ahead = part(rows, start + SMALL_BLOCK, min(start + 2 * SMALL_BLOCK, last_row))
        n_vectors = load(&block, mixture.n_features, work)
        if responsibilities is not None and block.n_rows * K * <Py_ssize_t> sizeof(real) <= AHEAD:
            work.output.first = <const char *> &responsibilities[start, 0]
            work.output.n_bytes = block.n_rows * K * sizeof(real)
        log_densities(mixture, &block, NULL, work, n_vectors)
        n_far += set_far(K, work, block.n_rows)
        if labels is not None:
            find_best(K, work, block.n_rows, &labels[start])
        if log_density is not None or responsibilities is not None:
            exponentials(mixture, work, n_vectors)
        if log_density is not None:
            log_sums(work, n_vectors)
            memcpy(&log_density[start], work.log_sum, block.n_rows * sizeof(real))
        if responsibilities is not None:
            inverse_totals(work, n_vectors)
            put_rows(K, work, block.n_rows, &responsibilities[start, 0])
        start += SMALL_BLOCK
    return n_far


cdef class Scorer:
    """Scores under parameters that stay as they are. Any number of threads may use one at once."""

    cdef Mixture mixture
    cdef const real[::1] arguments      # held for as long as there are pointers into it

    def __cinit__(self, int form, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments):
        """Take the parameters, [c | b | a | margin | W | m] as in `describe`."""
        self.mixture = describe(form, n_components, n_features, arguments)
        self.arguments = arguments

    def score(
        self, const real[:, :] X, Py_ssize_t first_row, Py_ssize_t last_row,
        real[::1] log_density, real[:, ::1] responsibilities, Py_ssize_t[::1] labels, const int[::1] stop,
    ):
        """Write what is asked for (None: not asked) of rows [first_row, last_row) of X.

        log_density: ℓ; responsibilities: exp(log p_k − ℓ); labels: the best k, the first of equals.
        Returns how many rows are far (`set_far`). These have density 0 and responsibilities 0, and label K. Where
        components are about an origin, they are to be scored anew with c_k = μ_k.
        """
        cdef Mixture mixture = self.mixture
        cdef Block rows = whole(X, None)
        cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features, n_far
        cdef Workspace work
        if X.shape[1] != d:
            raise ValueError(f"rows have {X.shape[1]} features, expected {d}")
        check_range(first_row, last_row, rows.n_rows)
        if log_density is not None:
            check_length("log_density", log_density.shape[0], rows.n_rows)
        if responsibilities is not None:
            check_shape("responsibilities", responsibilities.shape[0], responsibilities.shape[1], rows.n_rows, K)
        if labels is not None:
            check_length("labels", labels.shape[0], rows.n_rows)
        # Each call has a workspace of its own, because other threads may score at the same time. It comes from malloc:
        # an array of NumPy's takes longer to make than a row to score.
        cdef real *buffer = <real *> malloc(workspace_size(K, d) * sizeof(real))
        if buffer == NULL:
            raise MemoryError(f"no memory for a workspace of {workspace_size(K, d)} numbers")
        lay_out(buffer, &mixture, &work)
        if (last_row - first_row) * K * (64 + d * d) < HELD:
            n_far = score_rows(
                &mixture, &rows, first_row, last_row, &work, log_density, responsibilities, labels, stop)
        else:
            with nogil:
                n_far = score_rows(
                    &mixture, &rows, first_row, last_row, &work, log_density, responsibilities, labels, stop)
        free(buffer)
        return n_far
