# Rows of which few are live: they are packed, features side by side, so that vectors hold several features of one row.
#
# There is no sum over lanes then, and nothing is spent on rows that are not live. For a scatter of matrices a packed
# row is √r (x − c), so that the scatter is Σ z zᵀ: one array to go through where r (x − c) beside x − c would be two.
#
# Light rows of a component are those whose responsibility is less than LIGHT times what its margin leaves out,
# exp(−40) N_k / Σ w (gaussian/model.py). What they add to a scatter is taken in single precision, at half the cost; N
# and s have all rows in double precision. The error: each of the two factors is rounded once, and a tile adds up 256
# rows at most, so that of a row with responsibility r and weight w it is at most
#
#     258 · 2⁻²⁴ w r |z_a z_b| ≤ 16.2 exp(−40) (N_k / Σ w) w |z_a z_b| = 6.9e-17 (N_k / Σ w) w |z_a z_b|,
#
# below half a unit of double precision, 16 times what a row that is left out may add (in practice as much: errors of a
# sum over 256 rows grow as √256, and few rows are at the limit). As there, it is up to 20 times that where a component
# has shrunk so much since the pass before; if it has more, the pass is taken once more.
#
# A packed light row is √(w r / limit) z, at most √w z. Squares do not overflow: |z| < 1e15 by the columns' range and
# w ≤ 1e5 (both gaussian/model.py), so that 256 of them are below 3e37. What vanishes below 2⁻¹⁵⁰ is less than
# 3e-33 n / Σ w of a variance, as standard deviations given the features before are above NARROWEST.

cdef:
    double LIGHT = 1 << 20      # 2^24 was measured to be no faster
    double NARROWEST = 1e-12    # 2⁻¹⁵⁰ LIGHT exp(−40) / NARROWEST² = 3e-33

cdef enum:
    LIGHT_AT_ONCE = 256         # rows that are added up in single precision

ctypedef fused lanes:
    vec
    narrow_vec


cdef inline bint has_narrow() noexcept nogil:
    """Are vectors of single precision faster, and used where `real` is double? Without vector types they are not."""
    return LIGHT_ROWS == 1 and NARROW_LANES > LANES


cdef inline Py_ssize_t whole_vectors(Py_ssize_t n, Py_ssize_t n_lanes) noexcept nogil:
    """n numbers up to a whole vector"""
    return (n + n_lanes - 1) // n_lanes * n_lanes


cdef void find_light(Mixture *mixture, Workspace *work) noexcept nogil:
    """light_below[k] := the responsibility below which rows are light, 0 where none are"""
    cdef Py_ssize_t d = mixture.n_features, k, j
    cdef const real *w
    for k in range(mixture.n_components):
        # Without a margin nothing is left out, and nothing is light. Nor is it below exp(−400), far from where an
        # inverse would be infinite.
        work.light_below[k] = <real> (LIGHT * exp(-mixture.margin[k]) if mixture.margin[k] < 400 else 0)
        w = mixture.whitening + k * (d * d if mixture.structure == FULL else 0)
        for j in range(d):
            if not w[j * d + j] < 1 / NARROWEST:
                work.light_below[k] = 0


cdef Py_ssize_t list_live(const real *r, Py_ssize_t n_vectors, int *live) noexcept nogil:
    """Numbers of the rows whose responsibility is not 0; how many"""
    cdef Py_ssize_t n_live = 0, v
    for v in range(n_vectors):
        n_live += list_rows(live + n_live, vec_less(vec_of(0), (<const vec *> r)[v]), <int> v * LANES)
    return n_live


cdef Py_ssize_t list_heavy_and_light(
    const real *r, const real *weight, real limit, Py_ssize_t n_vectors,    # IN: r holds weight · responsibility
    int *heavy, int *light, Py_ssize_t *n_light,                            # OUT
) noexcept nogil:
    """The same in two lists; how many are heavy"""
    cdef Py_ssize_t n_heavy = 0, n = 0, v
    cdef wordvec live, below
    for v in range(n_vectors):
        live = vec_less(vec_of(0), (<const vec *> r)[v])
        below = vec_less((<const vec *> r)[v], (<const vec *> weight)[v] * limit)
        n_heavy += list_rows(heavy + n_heavy, live & ~below, <int> v * LANES)
        n += list_rows(light + n, live & below, <int> v * LANES)
    n_light[0] = n
    return n_heavy


cdef Py_ssize_t list_to_pack(
    Mixture *mixture, Py_ssize_t k, Py_ssize_t n_rows, Py_ssize_t n_vectors, Workspace *work,   # IN; OUT: lists of rows
    Py_ssize_t *n_light,                                                                        # OUT
) noexcept nogil:
    """Heavy and light rows of a component with a matrix; how many are heavy, −1 where not packing them is cheaper"""
    cdef const real *r = work.p + k * STRIDE
    cdef double dense = (mixture.cost_dense - LISTING) * n_rows
    cdef Py_ssize_t n_heavy
    n_light[0] = 0
    if mixture.has_light and work.light_below[k] > 0:
        if work.live[k] * mixture.cost_light >= dense:
            return -1
        n_heavy = list_heavy_and_light(
            r, work.weight, work.light_below[k], n_vectors, work.rows, work.light_rows, n_light)
        return n_heavy if n_heavy * mixture.cost_packed + n_light[0] * mixture.cost_light < dense else -1
    return list_live(r, n_vectors, work.rows) if work.live[k] * mixture.cost_packed < dense else -1


cdef void pack_rows(
    Block *block, const real *c, Py_ssize_t n_live, Py_ssize_t n_features,      # IN
    Workspace *work,                                                            # IN: x, rows; OUT: z
) noexcept nogil:
    """z := the live rows − c, features side by side, 0 up to a whole vector"""
    cdef const int *live = work.rows
    cdef Py_ssize_t width = whole_vectors(n_features, LANES), l, j
    cdef real *z = work.z
    cdef const real *x
    cdef bint side_by_side = block.feature_stride == sizeof(real)
    for l in range(n_live):
        if side_by_side:
            x = <const real *> (block.rows + place(block, live[l]) * block.row_stride)
            for j in range(n_features):
                z[j] = x[j] - c[j]
        else:
            x = work.x + live[l]
            for j in range(n_features):
                z[j] = x[j * STRIDE] - c[j]
        for j in range(n_features, width):
            z[j] = 0
        z += width


cdef void moments_of_rows(
    const real *r, Py_ssize_t n_live, Py_ssize_t n_features,                    # IN
    bint squares, Py_ssize_t square_step,                                       # IN: diag and spherical
    Workspace *work,                                            # IN: rows, z, packed; squares is overwritten
    double *weight, double *shift, double *scatter,                             # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r z;  and with `squares`, S_j += Σ r z_j² (square_step 0: the trace)"""
    cdef const int *live = work.rows
    cdef Py_ssize_t n_vectors = whole_vectors(n_features, LANES) // LANES, l, v, j
    cdef const vec *z = <const vec *> work.z
    # Sums over the block's rows
    cdef vec *first = <vec *> work.squares
    cdef vec *second = first + n_vectors
    cdef vec product
    cdef real responsibility
    for v in range(n_vectors):
        first[v] = vec_of(0)
        second[v] = vec_of(0)
    for l in range(n_live):
        responsibility = r[live[l]]
        weight[0] += responsibility
        for v in range(n_vectors):
            product = responsibility * z[v]
            first[v] += product
            if squares:
                second[v] += product * z[v]
        z += n_vectors
    for j in range(n_features):
        shift[j] += (<real *> first)[j]
        if squares:
            scatter[j * square_step] += (<real *> second)[j]


cdef inline void pack_columns(
    int n_vectors, bint light, Py_ssize_t first, Py_ssize_t n_features,     # IN: vectors and the number of features
    Block *block, const real *c, const int *rows, Py_ssize_t n_rows, Py_ssize_t width, double unit,     # IN
    Workspace *work,                                                                # IN: x, roots in scale; OUT: z
    double *shift,                                                                  # INOUT
) noexcept nogil:
    """z := root (x − c);  s += unit Σ root² (x − c), of features [first, first + n_features)

    Behind the last feature come zeros, up to a whole vector, which is one of single precision if `light`.
    """
    cdef vec middle[4]
    cdef vec sum[4]
    cdef vec edge[4]
    cdef vec value
    cdef vec numbers = vec_of(0)
    cdef wordvec within
    cdef real *copy = <real *> edge
    cdef real *z = work.z + first
    cdef float *narrow = <float *> work.z + first
    cdef const real *root = work.scale
    cdef const real *x
    cdef const char *past = block.end - n_vectors * LANES * sizeof(real)
    cdef bint side_by_side = block.feature_stride == sizeof(real)
    cdef bint half_left = light and n_features < 4 * LANES and first + n_vectors * LANES < width
    cdef int v, j
    cdef Py_ssize_t l
    for j in range(LANES):
        (<real *> &numbers)[j] = j
    # of the last vector: lanes that hold a feature
    within = vec_less(numbers, vec_of(<real> (n_features - (n_vectors - 1) * LANES)))
    for v in range(n_vectors):
        sum[v] = vec_of(0)
    for j in range(n_vectors * LANES):
        (<real *> middle)[j] = c[first + j] if j < n_features else 0
    for l in range(n_rows):
        x = <const real *> (block.rows + place(block, rows[l]) * block.row_stride) + first
        if not side_by_side:
            for j in range(n_features):
                copy[j] = work.x[(first + j) * STRIDE + rows[l]]
            x = copy
        elif <const char *> x > past:
            # A whole vector would reach past the caller's rows.
            for j in range(n_features):
                copy[j] = x[j]
            x = copy
        for v in range(n_vectors):
            value = load_unaligned(x + v * LANES) - middle[v]
            if v == n_vectors - 1:
                value = vec_select(within, value, vec_of(0))
            value = value * root[l]
            if light:
                put_narrow(narrow + v * LANES, value)
            else:
                (<vec *> z)[v] = value
            sum[v] += value * root[l]
        if half_left:
            put_narrow(narrow + n_vectors * LANES, vec_of(0))
        z += width
        narrow += width
    for j in range(n_features):
        shift[first + j] += unit * (<real *> sum)[j]


cdef double sum_of(const real *a, Py_ssize_t n) noexcept nogil:
    """Σ a, in parts that a vector can hold"""
    cdef real parts[8]
    cdef Py_ssize_t i = 0, l
    for l in range(8):
        parts[l] = 0
    while i + 8 <= n:
        for l in range(8):
            parts[l] += a[i + l]
        i += 8
    while i < n:
        parts[0] += a[i]
        i += 1
    return ((parts[0] + parts[4]) + (parts[2] + parts[6])) + ((parts[1] + parts[5]) + (parts[3] + parts[7]))


cdef inline void pack_rooted(
    bint light, real unit,                                                          # IN: the limit if light, else 1
    Block *block, const real *c, const real *r, const int *rows, Py_ssize_t n_rows, Py_ssize_t d,   # IN
    Workspace *work,                                                                # IN: x; OUT: z; scale: overwritten
    double *weight, double *shift,                                                  # INOUT
) noexcept nogil:
    """z := √(r / unit) (x − c) of rows, features side by side, 0 up to a whole vector;  N += Σ r;  s += Σ r (x − c)"""
    cdef Py_ssize_t width = whole_vectors(d, NARROW_LANES if light else LANES), first = 0, left, l
    cdef real inverse = 1 / unit
    for l in range(n_rows):
        work.scale[l] = inverse * r[rows[l]]
    weight[0] += unit * sum_of(work.scale, n_rows)
    for l in range(n_rows):
        work.scale[l] = square_root(work.scale[l])
    while first < d:
        left = d - first
        if left > 3 * LANES:
            left = min(left, 4 * LANES)
            pack_columns(4, light, first, left, block, c, rows, n_rows, width, unit, work, shift)
        elif left > 2 * LANES:
            pack_columns(3, light, first, left, block, c, rows, n_rows, width, unit, work, shift)
        elif left > LANES:
            pack_columns(2, light, first, left, block, c, rows, n_rows, width, unit, work, shift)
        else:
            pack_columns(1, light, first, left, block, c, rows, n_rows, width, unit, work, shift)
        first += 4 * LANES


cdef inline lanes spread(const lanes *row, Py_ssize_t j) noexcept nogil:
    """Number j of a row, in all lanes"""
    if lanes is vec:
        return vec_of((<const real *> row)[j])
    else:
        return narrow_of((<const float *> row)[j])


cdef inline void add_some_lanes(lanes *total, Py_ssize_t n, double unit, double *sums) noexcept nogil:
    """sums[l] += unit total[l] of the first n lanes; if lanes are those of `vec` the unit is 1"""
    cdef Py_ssize_t l
    if lanes is vec:
        if n >= LANES:
            add_lanes(sums, total[0])
        else:
            for l in range(n):
                sums[l] += (<real *> total)[l]
    else:
        if n >= NARROW_LANES:
            add_narrow_lanes(sums, total[0], unit)
        else:
            for l in range(n):
                sums[l] += unit * (<float *> total)[l]


cdef inline void scatter_packed_tile(
    int n_outputs, int n_columns, Py_ssize_t n_rows, Py_ssize_t width,      # IN: n_columns and width in vectors
    const lanes *z, Py_ssize_t first, Py_ssize_t column, Py_ssize_t d,      # IN: rows; first output; column's vector
    double unit,                                                            # IN
    double *scatter,                                                        # INOUT, at the tile's corner
) noexcept nogil:
    """scatter[a, b] += unit Σ_rows z_a z_b"""
    cdef lanes total[4][4]
    cdef int a, v
    cdef Py_ssize_t i, n = NARROW_LANES if lanes is narrow_vec else LANES
    for a in range(n_outputs):
        for v in range(n_columns):
            if lanes is vec:
                total[a][v] = vec_of(0)
            else:
                total[a][v] = narrow_of(0)
    for i in range(n_rows):
        for a in range(n_outputs):
            for v in range(n_columns):
                total[a][v] += spread(z + i * width, first + a) * z[i * width + column + v]
    for a in range(min(<Py_ssize_t> n_outputs, d - first)):
        for v in range(n_columns):
            add_some_lanes(&total[a][v], d - (column + v) * n, unit, scatter + a * d + v * n)


cdef inline void scatter_packed_panel(
    int n_outputs, Py_ssize_t first, Py_ssize_t n_rows, const lanes *z, Py_ssize_t d, double unit,  # IN
    double *scatter,                                                                                # INOUT: (d, d)
) noexcept nogil:
    """Rows first, first + 1, … of the scatter, up to the vector with the diagonal of the last of them"""
    cdef Py_ssize_t n = NARROW_LANES if lanes is narrow_vec else LANES, column = 0
    cdef Py_ssize_t width = whole_vectors(d, n) // n, left = (min(first + n_outputs, d) - 1) // n + 1
    scatter += first * d
    while left >= TILE_VECTORS:
        scatter_packed_tile(n_outputs, TILE_VECTORS, n_rows, width, z, first, column, d, unit, scatter + column * n)
        column += TILE_VECTORS
        left -= TILE_VECTORS
    if left == 3:
        scatter_packed_tile(n_outputs, 3, n_rows, width, z, first, column, d, unit, scatter + column * n)
    elif left == 2:
        scatter_packed_tile(n_outputs, 2, n_rows, width, z, first, column, d, unit, scatter + column * n)
    elif left == 1:
        scatter_packed_tile(n_outputs, 1, n_rows, width, z, first, column, d, unit, scatter + column * n)


cdef void scatter_packed(
    const lanes *z, Py_ssize_t n_rows, Py_ssize_t d, double unit,       # IN
    double *scatter,                                                    # INOUT: (d, d)
) noexcept nogil:
    """scatter += unit Σ z zᵀ over packed rows: its lower triangle, and of the upper one what shares a vector with it"""
    cdef Py_ssize_t first
    for first in range(0, d - 2, 4):
        scatter_packed_panel(4, first, n_rows, z, d, unit, scatter)
    if 0 < d % 4 <= 2:
        scatter_packed_panel(2, d - d % 4, n_rows, z, d, unit, scatter)
