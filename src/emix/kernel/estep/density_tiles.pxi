# Log-densities under a triangular whitening, in register tiles: with sum_tiles.pxi what takes the time.
#
# A tile is rows × TILE_VECTORS accumulators. Its sizes are literals at every call and the functions are inlined
# always (meson.build says how), so that the loops over a tile unroll and the accumulators stay in registers.

cdef enum:
    NARROW_TILES = 1    # beside these a first look in single precision pays (screen.pxi)


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
