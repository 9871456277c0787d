# What every level shares: a block of rows and the parameters in, log-densities, responsibilities and statistics out.
#
# For row x and component k, with c_k the component's centre and W_k its whitening (Σ_k⁻¹ = W_kᵀ W_k, lower triangular):
#
#     z = x − c_k        y = W_k z − b_k,  b_k = W_k (μ_k − c_k)
#     log p_k = a_k − ½‖y‖²,  a_k = log π_k − d/2 · log 2π + Σ_j log W_k[j, j]
#     r_k = w · exp(log p_k − ℓ),  ℓ = log Σ_l exp log p_l
#     N_k += r_k        s_k += r_k z        S_k += r_k z zᵀ        log-likelihood += w ℓ
#
# c_k lies at the current mean, rounded to the precision of the data, so that z is exact where it matters and nothing
# cancels, however far the data lie from zero; or, for tied, diag and spherical, at one origin for all components that
# are near enough to it for that (origin.pxi).
#
# A block is SMALL_BLOCK or BLOCK rows, transposed once into lanes: feature j of all its rows lies along x[j · STRIDE],
# so that a vector holds one feature of LANES rows. Nothing of size n × K or n × d is ever written; the workspace is
# (4 d + 2 LANES + K + 6) · STRIDE + d² + K d + 4 K numbers and belongs to one thread.
#
# Threads: a pass holds no lock, allocates nothing in its loop and writes only to what its caller gave it alone.
# Super-block i is rows [S · i, S · (i + 1)) of the whole source, S as `super_block_rows` has it. It is added to slot
# i mod n_slots in order of i, whichever thread has that slot: sums do not depend on the number of threads.

from libc.math cimport INFINITY, exp, sqrt
from libc.stdint cimport uintptr_t

cdef extern from "simd.h" nogil:
    cdef enum:
        BLOCK           # rows, at most
        SMALL_BLOCK     # rows, where features are few, or very many
        STRIDE          # numbers from one feature to the next

cdef enum:
    SUPER_BLOCK = 512   # rows; LONG_SUPER_BLOCK from MANY_FEATURES to MOST_FEATURES, see `super_block_rows`
    LONG_SUPER_BLOCK = 1024
    MANY_FEATURES = 24
    MOST_FEATURES = 160
    WINDOW = 65536      # rows are visited in another order only within such a window: 2 bytes a row name them
    ALIGNMENT = 64      # bytes: the widest vector
    CACHE_LINE = 64     # bytes
    AHEAD = 1 << 15     # bytes of a block up to which the next one is asked for: above, d² arithmetic hides the memory
    LOG_FACTORS = 8     # 8 factors below 2^15 (components) stay below 2^120: single precision holds 2^127

include "../shared/layout.pxi"

cdef struct Mixture:
    Form structure
    Py_ssize_t n_components
    Py_ssize_t n_features
    Py_ssize_t scatter_size     # of all components together
    Py_ssize_t scatter_step     # from one component's to the next
    const real *center          # (K, d)
    const real *offset          # (K, d): W_k (μ_k − c_k)
    const real *whitening       # full (K, d, d), tied (d, d), diag (K, d), spherical (K,)
    const real *log_constant    # (K,): a_k
    const real *margin          # (K,): a component further than this below a row's best is left out of its sums
    const real *origin          # (d,): components with this centre are treated together (origin.pxi); NaN: none are
    const float *sketch         # [kept (K,) | 1 / √diag Σ (K, d) | W D (K, panels)], or NULL: see screen.pxi
    double cost_dense           # of a row in the sums of a matrix, cycles: among vectors of rows,
    double cost_packed          # or packed
    double packed_below         # diag, spherical: rows are packed where fewer than this share of them are live
    double cost_listed          # full: of a listed row's log-density, over one among all
    double packed_at_origin     # the same for components at the origin

cdef struct Block:
    const char *rows            # the first row, in the caller's memory
    Py_ssize_t row_stride       # bytes
    Py_ssize_t feature_stride   # bytes
    const char *end             # of memory that may be read from any row on; at its start where strides are negative
    const char *weight          # NULL for ones
    Py_ssize_t weight_stride    # bytes
    const unsigned short *order     # row i of the block is the caller's row order[i], counted from `rows`; NULL: row i
    Py_ssize_t n_rows

cdef struct Span:
    const char *first
    Py_ssize_t n_bytes

cdef struct Workspace:
    real *x             # (d, STRIDE): the block's rows
    real *z             # (d, STRIDE): centred, of one component; or (n_live, d up to a whole vector)
    real *squares       # (d, STRIDE): of z; or sums over packed rows
    real *p             # (K, STRIDE): log p_k, then responsibilities
    real *live          # (K,): the number of rows with a responsibility above 0
    real *weight        # (STRIDE,): sample weights, 0 in rows that only fill the last vector
    real *best          # (STRIDE,): max_k log p_k
    real *total         # (STRIDE,): Σ_k exp(log p_k − best)
    real *log_sum       # (STRIDE,): ℓ
    real *scale         # (STRIDE,): weight / total, then roots of packed rows
    int *rows           # (STRIDE,): numbers of the live rows
    Py_ssize_t n_used   # vectors with rows of the block; those up to a whole tile hold copies
    int *active         # (K,): the components whose log-densities were computed, in ascending order
    Py_ssize_t n_active
    Block ahead         # the next block, n_rows 0 if there is none; in an order of its own: what was not yet asked for
    Span next_rows      # its memory
    Span output         # the caller's memory that will be written for this one
    real *u             # (d, STRIDE): tied: W (x − origin)
    real *target        # (K, d): b_k, or b_k / w_k, of the components at the origin
    int *at_origin      # (K,): is the component's centre the origin
    Py_ssize_t n_at_origin
    real far_below      # a row whose best is no more than this may have log-densities that only overflowed (origin.pxi)
    bint screened       # is some component's sketch of use
    int *listed         # (K,): components at the origin that are taken together
    real *product       # (d, d): for a level that adds to the scatter by way of single precision


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


cdef inline void fetch(Span *span, Py_ssize_t part, Py_ssize_t n_parts) noexcept nogil:
    """Ask for one of n_parts parts of what will be needed soon.

    A part with each component, so that the memory works while the processor does: asked for at once, or found only by
    the processor itself, which starts anew with every block, `load` takes twice as long. Measured, d = 10, K = 10:
    an iteration 6 % less, log-densities of rows 10 % less.
    """
    cdef Py_ssize_t at = part * span.n_bytes // n_parts // CACHE_LINE * CACHE_LINE
    while at < (part + 1) * span.n_bytes // n_parts:
        prefetch(span.first + at)
        at += CACHE_LINE


cdef Span span_of(Block *block, Py_ssize_t n_features) noexcept nogil:
    """The memory of a block's rows; nothing unless they lie side by side, in order"""
    cdef Span span
    span.first = block.rows
    span.n_bytes = 0
    if (block.n_rows > 0 and block.order == NULL and block.row_stride == n_features * <Py_ssize_t> sizeof(real)
            and block.feature_stride == sizeof(real) and block.n_rows * block.row_stride <= AHEAD):
        span.n_bytes = block.n_rows * block.row_stride
    return span


cdef inline Py_ssize_t place(Block *block, Py_ssize_t i) noexcept nogil:
    """The caller's number of the block's row i, counted from block.rows"""
    return i if block.order == NULL else block.order[i]


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


cdef Py_ssize_t load_rows(Block *block, Py_ssize_t n_features, real *x) noexcept nogil:
    """Transpose a block into lanes, and fill its last tile with copies of its last row. The number of rows then."""
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


cdef Py_ssize_t load(Block *block, Py_ssize_t n_features, Workspace *work) noexcept nogil:
    """Transpose a block into the workspace; rows that only fill its last tile have weight 0. The vectors in use."""
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
