# The E-step of a Gaussian mixture on a range of rows: statistics and log-likelihood in one pass, or scores.
#
# This source is compiled once for each instruction-set level and precision. block.pxi has what is computed, the
# formulae, the memory order and the threading contract; this file and packed.pxi have the two steps that take the
# time, in register tiles; passes.pxi and scores.pxi have what Python calls.
#
# A tile is rows × TILE_VECTORS accumulators. Its sizes are literals at every call and the functions are inlined
# always (meson.build says how), so that the loops over a tile unroll and the accumulators stay in registers.

cdef enum:
    NARROW_TILES = 1    # are there tiles of single precision (screen.pxi)

include "../shared/lanes.pxi"
include "block.pxi"
include "bounds.pxi"
include "densities.pxi"
include "origin.pxi"
include "posterior.pxi"
include "packed.pxi"
include "screen.pxi"
include "moments.pxi"
include "passes.pxi"
include "scores.pxi"


cdef inline void squared_norm_tile(
    int n_outputs, int n_tile, Py_ssize_t first,        # IN: outputs first, first + 1, …; vectors of rows
    const real *w, const real *b, Py_ssize_t d,         # IN
    const real *x, const real *c,                       # IN: x at the tile's first row
    vec *norm,                                          # INOUT
) noexcept nogil:
    """norm += Σ_a y_a²,  y_a = Σ_{j ≤ a} w[a, j] (x − c)[j] − b[a]"""
    cdef vec y[4][4]
    cdef vec z[4]
    cdef int a, v
    cdef Py_ssize_t j
    for a in range(n_outputs):
        for v in range(n_tile):
            y[a][v] = vec_of(-b[first + a])
    for j in range(first):
        for v in range(n_tile):
            z[v] = (<const vec *> (x + j * STRIDE))[v] - c[j]
        for a in range(n_outputs):
            for v in range(n_tile):
                y[a][v] += w[(first + a) * d + j] * z[v]
    for j in range(n_outputs):
        for v in range(n_tile):
            z[v] = (<const vec *> (x + (first + j) * STRIDE))[v] - c[first + j]
        for a in range(n_outputs):
            for v in range(n_tile):
                if a >= j:
                    y[a][v] += w[(first + a) * d + first + j] * z[v]
    for a in range(n_outputs):
        for v in range(n_tile):
            norm[v] += y[a][v] * y[a][v]


cdef inline void squared_norm_tiles(
    int n_tile, const real *w, const real *b, Py_ssize_t d, const real *x, const real *c, real limit,   # IN
    vec *norm,                                                                                          # OUT
) noexcept nogil:
    """norm = ‖w (x − c) − b‖², or, where that is above the limit in all of the tile, the first part of it to be so"""
    cdef Py_ssize_t first
    cdef int v
    for v in range(n_tile):
        norm[v] = vec_of(0)
    for first in range(0, d - 3, 4):
        squared_norm_tile(4, n_tile, first, w, b, d, x, c, norm)
        if limit < REAL_MAX and all_above(n_tile, norm, limit):
            return
    first = d - d % 4
    if d % 4 == 3:
        squared_norm_tile(3, n_tile, first, w, b, d, x, c, norm)
    elif d % 4 == 2:
        squared_norm_tile(2, n_tile, first, w, b, d, x, c, norm)
    elif d % 4 == 1:
        squared_norm_tile(1, n_tile, first, w, b, d, x, c, norm)


cdef void log_densities_triangular(
    Workspace *work, const real *x, const real *c, const real *w, const real *b,    # IN: w (d, d) lower triangular
    real constant, real limit, Py_ssize_t d, Py_ssize_t n_vectors,      # IN
    real *p, real *best,                                                # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½‖w (x − c) − b‖², and no more than a_k − ½ limit where that is enough"""
    cdef Py_ssize_t vector = 0
    cdef vec norm[4]
    while vector + TILE_VECTORS <= n_vectors:
        squared_norm_tiles(TILE_VECTORS, w, b, d, x + vector * LANES, c, limit, norm)
        put_log_densities(TILE_VECTORS, norm, constant, vector, p, best)
        vector += TILE_VECTORS
    # One row, d = 50, K = 20, AVX-512: 15 µs, where a whole tile took 34
    while vector < n_vectors:
        squared_norm_tiles(1, w, b, d, x + vector * LANES, c, limit, norm)
        put_log_densities(1, norm, constant, vector, p, best)
        vector += 1


cdef inline void put_sums(int n, const vec *sums, double *out) noexcept nogil:
    """out[b] += the sum over the lanes of sums[b], for n of them"""
    cdef int b = 0
    while b + 4 <= n:
        add_four_sums(out + b, sums[b], sums[b + 1], sums[b + 2], sums[b + 3])
        b += 4
    while b < n:
        out[b] += vec_sum(sums[b])
        b += 1


cdef inline void moments_corner(
    int n_outputs, bint keep, Py_ssize_t n_vectors,             # IN
    const real *r, const real *x, const real *c, Py_ssize_t d,  # IN, x and c at the tile's first feature
    real *kept,                                                 # OUT
    double *shift, double *scatter,                             # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += Σ r z_a z_b for b ≤ a, z = x − c;  shift[a] += Σ r z_a;  with `keep`, kept[a] := r z_a"""
    cdef vec second[4][4]
    cdef vec first[4]
    cdef vec rz[4]
    cdef vec z
    cdef int a, b
    cdef Py_ssize_t v
    for a in range(n_outputs):
        first[a] = vec_of(0)
        for b in range(n_outputs):
            second[a][b] = vec_of(0)
    for v in range(n_vectors):
        for a in range(n_outputs):
            rz[a] = (<const vec *> r)[v] * ((<const vec *> (x + a * STRIDE))[v] - c[a])
            first[a] += rz[a]
            if keep:
                (<vec *> (kept + a * STRIDE))[v] = rz[a]
        for b in range(n_outputs):
            z = (<const vec *> (x + b * STRIDE))[v] - c[b]
            for a in range(b, n_outputs):
                second[a][b] += rz[a] * z
    put_sums(n_outputs, first, shift)
    for a in range(n_outputs):
        # What lies right of the diagonal gets zeros, four in one go.
        put_sums(4 if n_outputs == 4 else a + 1, second[a], scatter + a * d)


cdef inline void moments_tile(
    int n_outputs, int n_inputs, bint keep, Py_ssize_t n_vectors,               # IN
    const real *r, const real *x_out, const real *c_out, const real *kept,      # IN: x and c of the outputs, or kept
    const real *x, const real *c, Py_ssize_t d,                                 # IN: of the inputs
    double *scatter,                                                            # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += Σ r z_a z_b, z = x − c"""
    cdef vec second[4][8]
    cdef vec rz[4]
    cdef vec z
    cdef int a, b
    cdef Py_ssize_t v
    for a in range(n_outputs):
        for b in range(n_inputs):
            second[a][b] = vec_of(0)
    for v in range(n_vectors):
        for a in range(n_outputs):
            if keep:
                rz[a] = (<const vec *> (kept + a * STRIDE))[v]
            else:
                rz[a] = (<const vec *> r)[v] * ((<const vec *> (x_out + a * STRIDE))[v] - c_out[a])
        for b in range(n_inputs):
            z = (<const vec *> (x + b * STRIDE))[v] - c[b]
            for a in range(n_outputs):
                second[a][b] += rz[a] * z
    for a in range(n_outputs):
        put_sums(n_inputs, second[a], scatter + a * d)


cdef inline void moments_tiles(
    int n_outputs, bint keep, Py_ssize_t first, Py_ssize_t n_vectors,   # IN
    const real *r, const real *x, const real *c, Py_ssize_t d,          # IN
    real *kept,                                                         # overwritten
    double *shift, double *scatter,                                     # INOUT
) noexcept nogil:
    """Rows first, first + 1, … of the scatter, up to the diagonal"""
    cdef const real *x_out = x + first * STRIDE
    cdef Py_ssize_t j = 0
    scatter += first * d
    moments_corner(n_outputs, keep, n_vectors, r, x_out, c + first, d, kept, shift + first, scatter + first)
    # Few outputs leave registers for twice as many inputs.
    while n_outputs <= 2 and j + 2 * TILE_VECTORS <= first:
        moments_tile(n_outputs, 2 * TILE_VECTORS, keep, n_vectors, r, x_out, c + first, kept,
                     x + j * STRIDE, c + j, d, scatter + j)
        j += 2 * TILE_VECTORS
    while j < first:
        moments_tile(n_outputs, TILE_VECTORS, keep, n_vectors, r, x_out, c + first, kept,
                     x + j * STRIDE, c + j, d, scatter + j)
        j += TILE_VECTORS


cdef inline void moments_panel(
    int n_outputs, Py_ssize_t first, Py_ssize_t n_vectors, const real *r, const real *x, const real *c, Py_ssize_t d,
    real *kept, double *shift, double *scatter,
) noexcept nogil:
    """The same; r z of the panel's rows is kept where two tiles and more need it

    Multiplied anew in each tile, once for every four multiply-adds, it was 9 % of the sums at d = 32, 17 % at d = 128.
    """
    if n_outputs > 2 and first >= 2 * TILE_VECTORS:
        moments_tiles(n_outputs, True, first, n_vectors, r, x, c, d, kept, shift, scatter)
    else:
        moments_tiles(n_outputs, False, first, n_vectors, r, x, c, d, kept, shift, scatter)


cdef void moments_triangular(
    Workspace *work, const real *c, const real *r, Py_ssize_t d, Py_ssize_t n_vectors,  # IN; z: overwritten
    double *weight, double *shift, double *scatter,                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r (x − c);  S += Σ r (x − c) (x − c)ᵀ, its lower triangle"""
    cdef Py_ssize_t first, v
    cdef vec total = vec_of(0)
    for v in range(n_vectors):
        total += (<const vec *> r)[v]
    weight[0] += vec_sum(total)
    for first in range(0, d - 3, 4):
        moments_panel(4, first, n_vectors, r, work.x, c, d, work.z, shift, scatter)
    first = d - d % 4
    if d % 4 == 3:
        moments_panel(3, first, n_vectors, r, work.x, c, d, work.z, shift, scatter)
    elif d % 4 == 2:
        moments_panel(2, first, n_vectors, r, work.x, c, d, work.z, shift, scatter)
    elif d % 4 == 1:
        moments_panel(1, first, n_vectors, r, work.x, c, d, work.z, shift, scatter)


cdef void scatter_rows(
    Workspace *work, Py_ssize_t n_rows, Py_ssize_t d,                   # IN: z, packed
    double *scatter,                                                    # INOUT: (d, d)
) noexcept nogil:
    """scatter += Σ z zᵀ over packed rows"""
    scatter_packed(work.z, n_rows, d, scatter)
