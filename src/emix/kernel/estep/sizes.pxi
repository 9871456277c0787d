# Into how many rows a pass is divided: blocks, groups, super-blocks and windows.


cdef enum:
    SUPER_BLOCK = 512   # rows; LONG_SUPER_BLOCK from MANY_FEATURES to MOST_FEATURES, see `super_block_rows`
    LONG_SUPER_BLOCK = 1024
    MANY_FEATURES = 24
    MOST_FEATURES = 160
    WINDOW = 65536      # rows are visited in another order only within such a window: 2 bytes a row name them

block_rows = SMALL_BLOCK
window_rows = WINDOW


cpdef Py_ssize_t super_block_rows(Py_ssize_t n_features) noexcept nogil:
    """Rows of a super-block. A block is no longer.

    With many features, long ones: what their few live rows add to a scatter is gathered from more rows at once, so
    that large scatters are gone through less often. An iteration, AVX-512: d = 32 3 % less, d = 50 5 %, d = 128 12 %;
    d = 20 the same, d = 10, whose block then leaves the first-level cache, 5 to 10 % more. With very many, short ones
    again: a pass looks at its stop flag between them, and one of 1024 rows would take a second for 512 components.
    """
    return LONG_SUPER_BLOCK if MANY_FEATURES <= n_features <= MOST_FEATURES else SUPER_BLOCK


cpdef Py_ssize_t group_rows(Py_ssize_t n_components) noexcept nogil:
    """Rows of a group that has bounds of its own, in 4 K bytes: 128 up to K = 128, 4 bytes a row, else a block."""
    return 128 if n_components <= 128 else 256
