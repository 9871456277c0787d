# Loading: a block of the caller's rows is transposed into lanes. Memory of the next block is asked for ahead.


cdef enum:
    CACHE_LINE = 64     # bytes
    AHEAD = 1 << 15     # bytes of a block up to which the next one is asked for: above, d² arithmetic hides the memory


cdef Py_ssize_t load(Block *block, Py_ssize_t n_features, Workspace *work) noexcept nogil:
    """Transpose a block into the workspace; rows that only fill its last tile have weight 0. Returns its vectors."""
    cdef Py_ssize_t n_filled = load_rows(block, n_features, work.x), n_rows = block.n_rows, i
    for i in range(n_rows):
        work.weight[i] = 1
        if block.weight != NULL:
            work.weight[i] = <real> (<const double *> (block.weight + place(block, i) * block.weight_stride))[0]
    for i in range(n_rows, n_filled):
        work.weight[i] = 0
    work.n_used = (n_rows + LANES - 1) // LANES
    work.next_rows = span_of(&work.ahead, n_features)
    return n_filled // LANES


cdef Py_ssize_t load_rows(Block *block, Py_ssize_t n_features, real *x) noexcept nogil:
    """Transpose a block into lanes, and fill its last tile with copies of its last row. Returns the rows with them."""
    cdef Py_ssize_t tile = TILE_VECTORS * LANES
    cdef Py_ssize_t n_rows = block.n_rows, n_filled = (n_rows + tile - 1) // tile * tile
    cdef Py_ssize_t i, j = 0
    if block.feature_stride == sizeof(real) and n_features >= 4:
        j = n_features // 4 * 4
        load_fours(block, j, x)
    while j + 4 <= n_features:
        load_features(block, 4, j, x + j * STRIDE)
        j += 4
    if j + 2 <= n_features:
        load_features(block, 2, j, x + j * STRIDE)
        j += 2
    if j < n_features:
        load_features(block, 1, j, x + j * STRIDE)
    for j in range(n_features if n_filled > n_rows else 0):
        for i in range(n_rows, n_filled):
            x[j * STRIDE + i] = x[j * STRIDE + n_rows - 1]
    return n_filled


cdef void load_fours(Block *block, Py_ssize_t n_features, real *x) noexcept nogil:
    """x := a multiple of 4 features, side by side in memory, 4 rows at a time

    Number by number, AVX-512, it takes 1.15 (d = 10) to 1.9 times (d = 32) as long from memory, 1.6 to 2.2 from cache.
    """
    cdef Py_ssize_t i, j, last = block.n_rows // 4 * 4
    cdef const char *row[4]
    for i in range(0, last, 4):
        for j in range(4):
            row[j] = block.rows + place(block, i + j) * block.row_stride
        for j in range(0, n_features, 4):
            transpose_four(row[0], row[1], row[2], row[3], x + i + j * STRIDE, STRIDE)
            row[0] += 4 * sizeof(real)
            row[1] += 4 * sizeof(real)
            row[2] += 4 * sizeof(real)
            row[3] += 4 * sizeof(real)
    for i in range(last, block.n_rows):
        row[0] = block.rows + place(block, i) * block.row_stride
        for j in range(n_features):
            x[i + j * STRIDE] = (<const real *> row[0])[j]


cdef inline void load_features(
    Block *block, int n_features, Py_ssize_t first,     # IN
    real *x,                                            # OUT, at the first feature
) noexcept nogil:
    """x := features first, first + 1, … of all rows, in one walk over the rows"""
    cdef const char *start = block.rows + first * block.feature_stride
    cdef const char *row
    cdef Py_ssize_t i
    cdef int j
    for i in range(block.n_rows):
        row = start + place(block, i) * block.row_stride
        for j in range(n_features):
            x[i + j * STRIDE] = (<const real *> (row + j * block.feature_stride))[0]


cdef inline Py_ssize_t place(Block *block, Py_ssize_t i) noexcept nogil:
    """The caller's number of the block's row i, counted from block.rows"""
    return i if block.order == NULL else block.order[i]


cdef Span span_of(Block *block, Py_ssize_t n_features) noexcept nogil:
    """The memory of a block's rows; nothing unless they lie side by side, in order"""
    cdef Span span
    span.first = block.rows
    span.n_bytes = 0
    if (block.n_rows > 0 and block.order == NULL and block.row_stride == n_features * <Py_ssize_t> sizeof(real)
            and block.feature_stride == sizeof(real) and block.n_rows * block.row_stride <= AHEAD):
        span.n_bytes = block.n_rows * block.row_stride
    return span


cdef inline void fetch(Span *span, Py_ssize_t part, Py_ssize_t n_parts) noexcept nogil:
    """Ask for one of n_parts parts of memory that will be needed soon.

    A part with each component, so that the memory works while the processor does: asked for at once, or found only by
    the processor itself, which starts anew with every block, `load` takes twice as long. Measured, d = 10, K = 10:
    an iteration 6 % less, log-densities of rows 10 % less.
    """
    cdef Py_ssize_t at = part * span.n_bytes // n_parts // CACHE_LINE * CACHE_LINE
    while at < (part + 1) * span.n_bytes // n_parts:
        prefetch(span.first + at)
        at += CACHE_LINE
