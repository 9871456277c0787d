# A thread's memory, and the flag that stops it.

from libc.stdint cimport uintptr_t

cdef enum:
    ALIGNMENT = 64      # bytes: the widest vector


cpdef Py_ssize_t workspace_size(Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    """Numbers that one thread's workspace holds."""
    cdef Py_ssize_t numbers = (4 * n_features + 2 * LANES + n_components + 6) * STRIDE
    numbers += n_features * n_features + (4 + n_features) * n_components
    return numbers + ALIGNMENT // sizeof(real)


cdef Workspace layout(real *start, Mixture *mixture) noexcept nogil:
    """Divide the caller's buffer, from its first aligned number on; what it holds of the parameters is filled in."""
    cdef Workspace work
    cdef Py_ssize_t d = mixture.n_features
    work.x = <real *> ((<uintptr_t> start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    work.z = work.x + d * STRIDE
    work.squares = work.z + (d + LANES) * STRIDE
    work.u = work.squares + (d + LANES) * STRIDE
    work.p = work.u + d * STRIDE
    work.weight = work.p + mixture.n_components * STRIDE
    work.best = work.weight + STRIDE
    work.total = work.best + STRIDE
    work.log_sum = work.total + STRIDE
    work.scale = work.log_sum + STRIDE
    work.rows = <int *> (work.scale + STRIDE)
    work.product = work.scale + 2 * STRIDE
    work.live = work.product + d * d
    work.active = <int *> (work.live + mixture.n_components)
    work.n_active = 0
    work.next_rows.n_bytes = 0
    work.ahead.n_rows = 0
    work.output.n_bytes = 0
    work.at_origin = work.active + mixture.n_components
    work.listed = work.at_origin + mixture.n_components
    work.target = work.live + 4 * mixture.n_components
    work.screened = is_screened(mixture)
    find_at_origin(mixture, &work)
    return work


cdef bint stopped(const int[::1] stop) noexcept nogil:
    return stop is not None and load_flag(&stop[0]) != 0
