# The E-step of a Gaussian mixture on a range of rows: statistics and log-likelihood in one pass, or scores.
#
# This source is compiled once for each instruction-set level and precision. block.pxi has what is computed, the
# formulae, the memory order and the threading contract; this file has the two steps that take the time, in register
# tiles; passes.pxi has what Python calls.
#
# A tile is rows × TILE_VECTORS accumulators. Its sizes are literals at every call and the functions are inlined
# always (meson.build says how), so that the loops over a tile unroll and the accumulators stay in registers.

include "lanes.pxi"
include "block.pxi"
include "bounds.pxi"
include "densities.pxi"
include "origin.pxi"
include "posterior.pxi"
include "moments.pxi"
include "passes.pxi"


cdef inline void squared_norm_tile(
    int n_outputs, bint centered, Py_ssize_t first,     # IN: outputs first, first + 1, …
    const real *w, const real *b, Py_ssize_t d,         # IN
    const real *x, const real *c,                       # IN, at the tile's first row; centered: x holds x − c already
    vec *norm,                                          # INOUT
) noexcept nogil:
    """norm += Σ_a y_a²,  y_a = Σ_{j ≤ a} w[a, j] (x − c)[j] − b[a]"""
    cdef vec y[4][4]
    cdef vec z[4]
    cdef int a, v
    cdef Py_ssize_t j
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            y[a][v] = vec_of(-b[first + a])
    for j in range(first):
        for v in range(TILE_VECTORS):
            z[v] = (<const vec *> (x + j * STRIDE))[v] if centered else (<const vec *> (x + j * STRIDE))[v] - c[j]
        for a in range(n_outputs):
            for v in range(TILE_VECTORS):
                y[a][v] += w[(first + a) * d + j] * z[v]
    for j in range(n_outputs):
        for v in range(TILE_VECTORS):
            z[v] = (<const vec *> (x + (first + j) * STRIDE))[v]
            if not centered:
                z[v] = z[v] - c[first + j]
        for a in range(n_outputs):
            for v in range(TILE_VECTORS):
                if a >= j:
                    y[a][v] += w[(first + a) * d + first + j] * z[v]
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            norm[v] += y[a][v] * y[a][v]


cdef inline void squared_norm_tiles(
    bint centered, const real *w, const real *b, Py_ssize_t d, const real *x, const real *c, real limit,    # IN
    vec *norm,                                                                                              # OUT
) noexcept nogil:
    """norm = ‖w (x − c) − b‖², or, where that is above the limit in all of the tile, the first part of it to be so"""
    cdef Py_ssize_t first
    cdef int v
    for v in range(TILE_VECTORS):
        norm[v] = vec_of(0)
    for first in range(0, d - 3, 4):
        squared_norm_tile(4, centered, first, w, b, d, x, c, norm)
        if limit < REAL_MAX and all_above(norm, limit):
            return
    first = d - d % 4
    if d % 4 == 3:
        squared_norm_tile(3, centered, first, w, b, d, x, c, norm)
    elif d % 4 == 2:
        squared_norm_tile(2, centered, first, w, b, d, x, c, norm)
    elif d % 4 == 1:
        squared_norm_tile(1, centered, first, w, b, d, x, c, norm)


cdef void log_densities_triangular(
    Workspace *work, const real *c, const real *w, const real *b,       # IN: w (d, d) lower triangular
    real constant, real limit, Py_ssize_t d, Py_ssize_t n_vectors,      # IN
    real *p,                                                            # OUT, and work.best INOUT
) noexcept nogil:
    """p = a_k − ½‖w (x − c) − b‖², and no more than a_k − ½ limit where that is enough"""
    cdef Py_ssize_t vector = 0
    cdef vec norm[4]
    # Up to two tiles, subtracting in each is no more work than storing the differences.
    cdef bint centered = d > 8
    if centered:
        center(work.x, c, d, n_vectors, work.z)
    while vector < n_vectors:
        if centered:
            squared_norm_tiles(True, w, b, d, work.z + vector * LANES, c, limit, norm)
        else:
            squared_norm_tiles(False, w, b, d, work.x + vector * LANES, c, limit, norm)
        put_log_densities(norm, constant, vector, p, work.best)
        vector += TILE_VECTORS


cdef inline void scatter_tile(
    int n_outputs, int n_inputs, bint diagonal, Py_ssize_t n_vectors,   # IN
    const real *rz, const real *z, Py_ssize_t d,                        # IN, at the tile's first features
    double *scatter,                                                    # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += Σ rz[a] z[b], and only b ≤ a on the diagonal"""
    cdef vec total[4][4]
    cdef int a, b
    cdef Py_ssize_t v
    for a in range(n_outputs):
        for b in range(n_inputs):
            total[a][b] = vec_of(0)
    for v in range(n_vectors):
        for a in range(n_outputs):
            for b in range(n_inputs):
                if not diagonal or b <= a:
                    total[a][b] += (<const vec *> (rz + a * STRIDE))[v] * (<const vec *> (z + b * STRIDE))[v]
    for a in range(n_outputs):
        for b in range(n_inputs):
            if not diagonal or b <= a:
                scatter[a * d + b] += vec_sum(total[a][b])


cdef void scatter_triangular(
    Workspace *work, const real *r, Py_ssize_t d, Py_ssize_t n_vectors,     # IN: z, rz
    double *scatter,                                                        # INOUT: (d, d)
) noexcept nogil:
    """scatter += rz zᵀ, its lower triangle"""
    cdef Py_ssize_t first, j, n_outputs
    cdef const real *z = work.z
    cdef const real *rz = work.rz
    for first in range(0, d, 4):
        n_outputs = min(4, d - first)
        j = 0
        while j < first:
            if n_outputs == 4:
                scatter_tile(4, TILE_VECTORS, False, n_vectors, rz + first * STRIDE, z + j * STRIDE, d,
                             scatter + first * d + j)
            elif n_outputs == 3:
                scatter_tile(3, TILE_VECTORS, False, n_vectors, rz + first * STRIDE, z + j * STRIDE, d,
                             scatter + first * d + j)
            elif n_outputs == 2:
                scatter_tile(2, TILE_VECTORS, False, n_vectors, rz + first * STRIDE, z + j * STRIDE, d,
                             scatter + first * d + j)
            else:
                scatter_tile(1, TILE_VECTORS, False, n_vectors, rz + first * STRIDE, z + j * STRIDE, d,
                             scatter + first * d + j)
            j += TILE_VECTORS
        if n_outputs == 4:
            scatter_tile(4, 4, True, n_vectors, rz + first * STRIDE, z + first * STRIDE, d, scatter + first * (d + 1))
        elif n_outputs == 3:
            scatter_tile(3, 3, True, n_vectors, rz + first * STRIDE, z + first * STRIDE, d, scatter + first * (d + 1))
        elif n_outputs == 2:
            scatter_tile(2, 2, True, n_vectors, rz + first * STRIDE, z + first * STRIDE, d, scatter + first * (d + 1))
        else:
            scatter_tile(1, 1, True, n_vectors, rz + first * STRIDE, z + first * STRIDE, d, scatter + first * (d + 1))


cdef inline void scatter_rows_tile(
    int n_columns, Py_ssize_t n_rows, Py_ssize_t width,     # IN: n_columns vectors of features
    const real *rz, const real *z,                          # IN, at the tile's first features
    Py_ssize_t n_outputs, Py_ssize_t n_inputs, Py_ssize_t d,    # IN: what of the tile lies within the matrix
    double *scatter,                                        # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += Σ_rows rz[a] z[b]"""
    cdef vec total[4][4]
    cdef int a, v, l
    cdef Py_ssize_t i
    cdef real *lane
    for a in range(4):
        for v in range(n_columns):
            total[a][v] = vec_of(0)
    for i in range(n_rows):
        for a in range(4):
            for v in range(n_columns):
                total[a][v] += rz[i * width + a] * (<const vec *> (z + i * width))[v]
    for a in range(n_outputs):
        for v in range(n_columns):
            lane = <real *> &total[a][v]
            if (v + 1) * LANES <= n_inputs:
                for l in range(LANES):
                    scatter[a * d + v * LANES + l] += lane[l]
            else:
                for l in range(n_inputs - v * LANES):
                    scatter[a * d + v * LANES + l] += lane[l]


cdef void scatter_rows(
    Workspace *work, const real *r, Py_ssize_t n_rows, Py_ssize_t d,    # IN: z, rz, packed
    double *scatter,                                                    # INOUT: (d, d)
) noexcept nogil:
    """scatter += Σ rz zᵀ over packed rows, its lower triangle (and of the upper one what shares a vector with it)"""
    cdef Py_ssize_t width = (d + LANES - 1) // LANES * LANES, first, column, n_outputs, left
    cdef const real *rz
    cdef const real *z
    for first in range(0, d, 4):
        n_outputs = min(<Py_ssize_t> 4, d - first)
        rz = work.rz + first
        column = 0
        # vectors up to the one with the diagonal of the tile's last row
        left = (first + n_outputs - 1) // LANES + 1
        while left > 0:
            z = work.z + column
            if left >= TILE_VECTORS:
                scatter_rows_tile(
                    TILE_VECTORS, n_rows, width, rz, z, n_outputs, d - column, d, scatter + first * d + column)
            elif left == 3:
                scatter_rows_tile(3, n_rows, width, rz, z, n_outputs, d - column, d, scatter + first * d + column)
            elif left == 2:
                scatter_rows_tile(2, n_rows, width, rz, z, n_outputs, d - column, d, scatter + first * d + column)
            else:
                scatter_rows_tile(1, n_rows, width, rz, z, n_outputs, d - column, d, scatter + first * d + column)
            column += TILE_VECTORS * LANES
            left -= TILE_VECTORS
