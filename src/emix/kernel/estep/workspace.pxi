# A thread's memory, and the flag that stops it.

from libc.stdint cimport uintptr_t

cdef enum:
    ALIGNMENT = 64      # bytes: the widest vector

# Vectors are loaded whole: the first array is aligned, and every other begins at a multiple of STRIDE numbers from it.
if STRIDE * sizeof(real) % ALIGNMENT or LANES * sizeof(real) > ALIGNMENT:
    raise ImportError(f"lines of {STRIDE} numbers, {LANES} in a vector, are not aligned to {ALIGNMENT} bytes")


cpdef Py_ssize_t workspace_size(Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    """Numbers that one thread's workspace holds"""
    cdef Py_ssize_t numbers = (4 * n_features + 2 * LANES + n_components + 6) * STRIDE
    numbers += n_features * n_features + (5 + n_features) * n_components
    return numbers + ALIGNMENT // sizeof(real)


cdef void lay_out(real *start, Mixture *mixture, Workspace *work) noexcept nogil:
    """Divide the caller's buffer, from its first aligned number on; what it holds of the parameters is filled in.

    Arrays that no two steps need at one time lie in the same memory, which is said here alone.
    """
    cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features
    cdef real *first
    cdef real *second
    cdef real *line
    work.x = <real *> ((<uintptr_t> start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    # x − m is kept from the log-densities to the sums of all components about the origin; others are summed after them,
    # one after the other, each in one of these ways. Full, whose rows are listed, has no origin.
    first = work.x + d * STRIDE
    work.from_origin = work.centered = work.panel = work.packed = work.listed_x = first
    # One component's log-densities, then the sums of those about the origin, then one component's sums
    second = first + (d + LANES) * STRIDE
    work.whitened = work.squares = work.packed_sums = work.rooted = second
    work.scaled = <float *> second
    work.u = second + (d + LANES) * STRIDE
    work.p = work.u + d * STRIDE
    work.weight = work.p + K * STRIDE
    work.best = work.weight + STRIDE
    # The log-densities of listed rows are computed before totals are, and these divided before a row is packed.
    work.total = work.listed_best = work.best + STRIDE
    work.log_sum = work.at_least = work.total + STRIDE
    line = work.log_sum + STRIDE
    work.scale = work.listed_p = work.roots = line
    work.label = <word *> line
    work.possible = work.live_rows = <int *> (line + STRIDE)
    work.product = line + 2 * STRIDE
    work.live = work.product + d * d
    work.active = <int *> (work.live + K)
    work.at_origin = work.active + K
    work.together = work.at_origin + K
    work.measured = work.together + K
    work.target = work.live + 5 * K
    work.n_active = 0
    work.next_rows.n_bytes = 0
    work.ahead.n_rows = 0
    work.output.n_bytes = 0
    work.screened = is_screened(mixture)
    find_at_origin(mixture, work)


cdef bint stopped(const int[::1] stop) noexcept nogil:
    return stop is not None and load_flag(&stop[0]) != 0
