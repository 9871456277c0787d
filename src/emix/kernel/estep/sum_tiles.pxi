# Sums of a component with a matrix, in register tiles: over all rows of a block, or over packed rows (packing.pxi).


cdef void moments_triangular(
    Workspace *work, const real *c, const real *r, Py_ssize_t d, Py_ssize_t n_vectors,  # IN; panel: overwritten
    double *weight, double *shift, double *scatter,                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r (x − c);  S += Σ r (x − c) (x − c)ᵀ, its lower triangle"""
    cdef Py_ssize_t first, v
    cdef vec total = vec_of(0)
    for v in range(n_vectors):
        total += (<const vec *> r)[v]
    weight[0] += vec_sum(total)
    for first in range(0, d - 3, 4):
        moments_panel(4, first, n_vectors, r, work.x, c, d, work.panel, shift, scatter)
    first = d - d % 4
    if d % 4 == 3:
        moments_panel(3, first, n_vectors, r, work.x, c, d, work.panel, shift, scatter)
    elif d % 4 == 2:
        moments_panel(2, first, n_vectors, r, work.x, c, d, work.panel, shift, scatter)
    elif d % 4 == 1:
        moments_panel(1, first, n_vectors, r, work.x, c, d, work.panel, shift, scatter)


cdef inline void moments_panel(
    int n_outputs, Py_ssize_t first, Py_ssize_t n_vectors, const real *r, const real *x, const real *c, Py_ssize_t d,
    real *kept, double *shift, double *scatter,
) noexcept nogil:
    """moments_tiles, with r z of the panel's rows kept where at least two tiles use it

    Multiplied anew in each tile, once for every four multiply-adds, it was 9 % of the sums at d = 32, 17 % at d = 128.
    """
    if n_outputs > 2 and first >= 2 * TILE_VECTORS:
        moments_tiles(n_outputs, True, first, n_vectors, r, x, c, d, kept, shift, scatter)
    else:
        moments_tiles(n_outputs, False, first, n_vectors, r, x, c, d, kept, shift, scatter)


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
        # Numbers right of the diagonal get zeros, four in one go.
        put_sums(4 if n_outputs == 4 else a + 1, second[a], scatter + a * d)


cdef inline void put_sums(int n, const vec *sums, double *out) noexcept nogil:
    """out[b] += the sum over the lanes of sums[b], for n of them"""
    cdef int b = 0
    while b + 4 <= n:
        add_four_sums(out + b, sums[b], sums[b + 1], sums[b + 2], sums[b + 3])
        b += 4
    while b < n:
        out[b] += vec_sum(sums[b])
        b += 1


cdef void scatter_rows(
    Workspace *work, Py_ssize_t n_rows, Py_ssize_t d,                   # IN: packed
    double *scatter,                                                    # INOUT: (d, d)
) noexcept nogil:
    """scatter += Σ z zᵀ over packed rows"""
    scatter_packed(work.packed, n_rows, d, scatter)


cdef void scatter_packed(
    const real *z, Py_ssize_t n_rows, Py_ssize_t d,         # IN: packed rows
    double *scatter,                                        # INOUT: (d, d)
) noexcept nogil:
    """scatter += Σ z zᵀ over packed rows: its lower triangle, and of the upper one what shares a vector with it"""
    cdef Py_ssize_t first
    for first in range(0, d - 2, 4):
        scatter_packed_panel(4, first, n_rows, z, d, scatter)
    if 0 < d % 4 <= 2:
        scatter_packed_panel(2, d - d % 4, n_rows, z, d, scatter)


cdef inline void scatter_packed_panel(
    int n_outputs, Py_ssize_t first, Py_ssize_t n_rows, const real *z, Py_ssize_t d,    # IN
    double *scatter,                                                                    # INOUT: (d, d)
) noexcept nogil:
    """Rows first, first + 1, … of the scatter, up to the vector with the diagonal of the last of them"""
    cdef Py_ssize_t column = 0, width = whole_vectors(d, LANES) // LANES
    cdef Py_ssize_t left = (min(first + n_outputs, d) - 1) // LANES + 1
    scatter += first * d
    while left >= TILE_VECTORS:
        scatter_packed_tile(n_outputs, TILE_VECTORS, n_rows, width, z, first, column, d, scatter + column * LANES)
        column += TILE_VECTORS
        left -= TILE_VECTORS
    if left == 3:
        scatter_packed_tile(n_outputs, 3, n_rows, width, z, first, column, d, scatter + column * LANES)
    elif left == 2:
        scatter_packed_tile(n_outputs, 2, n_rows, width, z, first, column, d, scatter + column * LANES)
    elif left == 1:
        scatter_packed_tile(n_outputs, 1, n_rows, width, z, first, column, d, scatter + column * LANES)


cdef inline void scatter_packed_tile(
    int n_outputs, int n_columns, Py_ssize_t n_rows, Py_ssize_t width,      # IN: n_columns and width in vectors
    const real *z, Py_ssize_t first, Py_ssize_t column, Py_ssize_t d,       # IN: rows; first output; column's vector
    double *scatter,                                                        # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += Σ_rows z_a z_b"""
    cdef vec total[4][4]
    cdef int a, v
    cdef Py_ssize_t i
    for a in range(n_outputs):
        for v in range(n_columns):
            total[a][v] = vec_of(0)
    for i in range(n_rows):
        for a in range(n_outputs):
            for v in range(n_columns):
                total[a][v] += vec_of(z[i * width * LANES + first + a]) * (<const vec *> z)[i * width + column + v]
    for a in range(min(<Py_ssize_t> n_outputs, d - first)):
        for v in range(n_columns):
            add_some_lanes(total[a][v], d - (column + v) * LANES, scatter + a * d + v * LANES)


cdef inline void add_some_lanes(vec total, Py_ssize_t n, double *sums) noexcept nogil:
    """sums[l] += total[l] of the first n lanes"""
    cdef Py_ssize_t l
    if n >= LANES:
        add_lanes(sums, total)
    else:
        for l in range(n):
            sums[l] += (<real *> &total)[l]
