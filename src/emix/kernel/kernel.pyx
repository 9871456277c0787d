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
include "passes.pxi"


cdef inline void squared_norm_tile(
    int n_outputs, Py_ssize_t first, const real *w, const real *b, Py_ssize_t d,    # IN: outputs first, first + 1, …
    const real *z,                                                                  # IN, at the tile's first row
    vec *norm,                                                                      # INOUT
) noexcept nogil:
    """norm += Σ_a y_a²,  y_a = Σ_{j ≤ a} w[a, j] z[j] − b[a]"""
    cdef vec y[4][4]
    cdef int a, v
    cdef Py_ssize_t j
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            y[a][v] = vec_of(-b[first + a])
    for j in range(first):
        for a in range(n_outputs):
            for v in range(TILE_VECTORS):
                y[a][v] += w[(first + a) * d + j] * (<const vec *> (z + j * STRIDE))[v]
    for j in range(n_outputs):
        for a in range(j, n_outputs):
            for v in range(TILE_VECTORS):
                y[a][v] += w[(first + a) * d + first + j] * (<const vec *> (z + (first + j) * STRIDE))[v]
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            norm[v] += y[a][v] * y[a][v]


cdef void squared_norm_triangular(
    const real *w, const real *b, Py_ssize_t d, Py_ssize_t n_vectors,   # IN: w (d, d) lower triangular
    Workspace *work,                                                    # IN: z; OUT: norm
) noexcept nogil:
    """norm = ‖w z − b‖²"""
    cdef Py_ssize_t vector = 0, first
    cdef vec total[4]
    cdef const real *tile
    cdef int v
    while vector < n_vectors:
        for v in range(TILE_VECTORS):
            total[v] = vec_of(0)
        tile = work.z + vector * LANES
        for first in range(0, d - 3, 4):
            squared_norm_tile(4, first, w, b, d, tile, total)
        first = d - d % 4
        if d % 4 == 3:
            squared_norm_tile(3, first, w, b, d, tile, total)
        elif d % 4 == 2:
            squared_norm_tile(2, first, w, b, d, tile, total)
        elif d % 4 == 1:
            squared_norm_tile(1, first, w, b, d, tile, total)
        for v in range(TILE_VECTORS):
            (<vec *> work.norm)[vector + v] = total[v]
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
