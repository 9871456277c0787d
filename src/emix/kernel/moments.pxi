# The sums of a block: N_k, s_k and S_k.
#
# Where most rows of a component are live, vectors hold one feature of several rows, and a sum over rows ends with a sum
# over lanes. Where few are, they are packed, and vectors hold several features of one row: no sum over lanes, and
# nothing is spent on the others.

cdef Py_ssize_t list_live(const real *responsibility, Py_ssize_t n_rows, unsigned short *live) noexcept nogil:
    """Numbers of the rows whose responsibility is not 0; how many"""
    cdef Py_ssize_t n_live = 0, i
    for i in range(n_rows):
        live[n_live] = <unsigned short> i
        n_live += responsibility[i] > 0
    return n_live


cdef void pack_rows(
    Block *block, const real *c, Py_ssize_t n_live, Py_ssize_t n_features,      # IN
    Workspace *work,                                                            # IN: x, rows; OUT: z
) noexcept nogil:
    """z := the live rows − c, features side by side, 0 up to a whole vector"""
    cdef const unsigned short *live = work.rows
    cdef Py_ssize_t width = (n_features + LANES - 1) // LANES * LANES, l, j
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
    cdef const unsigned short *live = work.rows
    cdef Py_ssize_t n_vectors = (n_features + LANES - 1) // LANES, l, v, j
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


cdef void moments_of_squares(
    const real *z, const real *r, Py_ssize_t n_features, Py_ssize_t n_vectors, Py_ssize_t square_step,  # IN
    double *weight, double *shift, double *scatter,                                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r z;  S_j += Σ r z_j² (square_step 0: the trace)"""
    cdef Py_ssize_t j, v
    cdef vec first = vec_of(0), second, product
    for v in range(n_vectors):
        first += (<const vec *> r)[v]
    weight[0] += vec_sum(first)
    for j in range(n_features):
        first = vec_of(0)
        second = vec_of(0)
        for v in range(n_vectors):
            product = (<const vec *> r)[v] * (<const vec *> (z + j * STRIDE))[v]
            first += product
            second += product * (<const vec *> (z + j * STRIDE))[v]
        shift[j] += vec_sum(first)
        scatter[j * square_step] += vec_sum(second)


cdef inline void pack_columns(
    int n_vectors, Py_ssize_t first, Py_ssize_t n_features,             # IN: vectors of features, the first, how many
    Block *block, const real *c, Py_ssize_t n_live, Workspace *work,    # IN: rows, and their roots in scale; OUT: z
    Py_ssize_t width,                                                   # IN: of a line of z
    double *shift,                                                      # INOUT
) noexcept nogil:
    """z := √r (x − c);  s += Σ r (x − c), of features [first, first + n_features), 0 up to a whole vector"""
    cdef const unsigned short *live = work.rows
    cdef vec middle[4]
    cdef vec sum[4]
    cdef vec edge[4]
    cdef vec value
    cdef vec numbers = vec_of(0)
    cdef wordvec within
    cdef real *copy = <real *> edge
    cdef real *z = work.z + first
    cdef const real *root = work.scale
    cdef const real *x
    cdef const char *past = block.end - n_vectors * LANES * sizeof(real)
    cdef bint side_by_side = block.feature_stride == sizeof(real)
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
    for l in range(n_live):
        x = <const real *> (block.rows + place(block, live[l]) * block.row_stride) + first
        if not side_by_side:
            for j in range(n_features):
                copy[j] = work.x[(first + j) * STRIDE + live[l]]
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
            (<vec *> z)[v] = value
            sum[v] += value * root[l]
        z += width
    for j in range(n_features):
        shift[first + j] += (<real *> sum)[j]


cdef void pack_rooted(
    Block *block, const real *c, const real *r, Py_ssize_t n_live, Py_ssize_t d,    # IN
    Workspace *work,                                                                # IN: x, rows; OUT: z, scale
    double *weight, double *shift,                                                  # INOUT
) noexcept nogil:
    """z := √r (x − c) of the live rows, features side by side, 0 up to a whole vector;  N += Σ r;  s += Σ r (x − c)

    The scatter is Σ z zᵀ then: one array to go through where r (x − c) beside x − c would be two.
    """
    cdef Py_ssize_t width = (d + LANES - 1) // LANES * LANES, first = 0, left, l
    for l in range(n_live):
        work.scale[l] = r[work.rows[l]]
    weight[0] += sum_and_take_roots(work.scale, n_live)
    while first < d:
        left = d - first
        if left > 3 * LANES:
            pack_columns(4, first, min(left, 4 * LANES), block, c, n_live, work, width, shift)
        elif left > 2 * LANES:
            pack_columns(3, first, left, block, c, n_live, work, width, shift)
        elif left > LANES:
            pack_columns(2, first, left, block, c, n_live, work, width, shift)
        else:
            pack_columns(1, first, left, block, c, n_live, work, width, shift)
        first += 4 * LANES


cdef void statistics(Mixture *mixture, Block *block, Workspace *work, double *slot) noexcept nogil:
    """Add the block's N, s and S to a slot: [N (K) | s (K, d) | S | log-likelihood]"""
    cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features, a, k, n_live, n_listed = 0
    cdef Py_ssize_t n_vectors = (block.n_rows + LANES - 1) // LANES
    cdef bint squares = mixture.structure == DIAG or mixture.structure == SPHERICAL
    cdef Py_ssize_t square_step = mixture.structure == DIAG
    cdef double *shift
    cdef double *scatter
    cdef const real *r
    cdef const real *c
    # First, while z still holds what was put there for all of them
    for a in range(work.n_active):
        k = work.active[a]
        if work.at_origin[k] and work.live[k] > 0 and work.live[k] >= mixture.packed_at_origin * block.n_rows:
            work.listed[n_listed] = <int> k
            n_listed += 1
            work.live[k] = -work.live[k]
    if n_listed:
        statistics_at_origin(mixture, work.listed, n_listed, n_vectors, work, slot)
    for a in range(work.n_active):
        k = work.active[a]
        if work.live[k] <= 0:
            continue
        r = work.p + k * STRIDE
        c = mixture.center + k * d
        shift = slot + K + k * d
        scatter = slot + K + K * d + k * mixture.scatter_step
        if work.at_origin[k] or work.live[k] < mixture.packed_below * block.n_rows:
            n_live = list_live(r, block.n_rows, work.rows)
            if squares or work.at_origin[k]:
                pack_rows(block, c, n_live, d, work)
                moments_of_rows(r, n_live, d, squares, square_step, work, slot + k, shift, scatter)
            else:
                pack_rooted(block, c, r, n_live, d, work, slot + k, shift)
                scatter_rows(work, n_live, d, scatter)
        elif squares:
            center(work.x, c, d, n_vectors, work.z)
            moments_of_squares(work.z, r, d, n_vectors, square_step, slot + k, shift, scatter)
        else:
            moments_triangular(work, c, r, d, n_vectors, slot + k, shift, scatter)
