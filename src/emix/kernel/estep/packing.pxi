# Packing: where few rows of a component are live, these are copied, features side by side, so that a vector holds
# several features of one row.
#
# Sums then end without sums over lanes, and rows that are not live cost nothing. For a scatter of matrices a packed row
# is √r (x − c), so that the scatter is Σ z zᵀ and reads one array; r (x − c) beside x − c would be two.


cdef Py_ssize_t list_to_pack(
    Mixture *mixture, Py_ssize_t k, Py_ssize_t n_rows, Py_ssize_t n_vectors, Workspace *work,   # IN; OUT: live_rows
) noexcept nogil:
    """List the live rows of a component with a matrix. Their number, or −1 where sums over all rows are cheaper"""
    if work.live[k] * mixture.cost_packed < (mixture.cost_dense - LISTING) * n_rows:
        return list_live(work.p + k * STRIDE, n_vectors, work.live_rows)
    return -1


cdef Py_ssize_t list_live(const real *r, Py_ssize_t n_vectors, int *live) noexcept nogil:
    """live := numbers of the rows whose responsibility is above 0. How many there are"""
    cdef Py_ssize_t n_live = 0, v
    for v in range(n_vectors):
        n_live += list_rows(live + n_live, vec_less(vec_of(0), (<const vec *> r)[v]), <int> v * LANES)
    return n_live


cdef void pack_rows(
    Block *block, const real *c, Py_ssize_t n_live, Py_ssize_t n_features,      # IN
    Workspace *work,                                                            # IN: x, live_rows; OUT: packed
) noexcept nogil:
    """packed := the live rows − c, features side by side, 0 up to a whole vector"""
    cdef const int *live = work.live_rows
    cdef Py_ssize_t width = whole_vectors(n_features, LANES), l, j
    cdef real *z = work.packed
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
    Workspace *work,                                            # IN: live_rows, packed; packed_sums: overwritten
    double *weight, double *shift, double *scatter,                             # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r z;  and with `squares`, S_j += Σ r z_j² (square_step 0: the trace)"""
    cdef const int *live = work.live_rows
    cdef Py_ssize_t n_vectors = whole_vectors(n_features, LANES) // LANES, l, v, j
    cdef const vec *z = <const vec *> work.packed
    # Sums over the block's rows
    cdef vec *first = <vec *> work.packed_sums
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


cdef inline void pack_rooted(
    Block *block, const real *c, const real *r, const int *rows, Py_ssize_t n_rows, Py_ssize_t d,   # IN
    Workspace *work,                                                                # IN: x; OUT: packed, roots
    double *weight, double *shift,                                                  # INOUT
) noexcept nogil:
    """packed := √r (x − c) of rows, features side by side, 0 up to a whole vector;  N += Σ r;  s += Σ r (x − c)"""
    cdef Py_ssize_t width = whole_vectors(d, LANES), first = 0, left, l
    for l in range(n_rows):
        work.roots[l] = r[rows[l]]
    weight[0] += sum_of(work.roots, n_rows)
    for l in range(n_rows):
        work.roots[l] = square_root(work.roots[l])
    while first < d:
        left = d - first
        if left > 3 * LANES:
            left = min(left, 4 * LANES)
            pack_columns(4, first, left, block, c, rows, n_rows, width, work, shift)
        elif left > 2 * LANES:
            pack_columns(3, first, left, block, c, rows, n_rows, width, work, shift)
        elif left > LANES:
            pack_columns(2, first, left, block, c, rows, n_rows, width, work, shift)
        else:
            pack_columns(1, first, left, block, c, rows, n_rows, width, work, shift)
        first += 4 * LANES


cdef inline void pack_columns(
    int n_vectors, Py_ssize_t first, Py_ssize_t n_features,     # IN: vectors and the number of features
    Block *block, const real *c, const int *rows, Py_ssize_t n_rows, Py_ssize_t width,      # IN
    Workspace *work,                                                    # IN: x, roots; OUT: packed
    double *shift,                                                      # INOUT
) noexcept nogil:
    """packed := root (x − c);  s += Σ root² (x − c), of features [first, first + n_features)

    Behind the last feature come zeros, up to a whole vector.
    """
    cdef vec middle[4]
    cdef vec sum[4]
    cdef vec edge[4]
    cdef vec value
    cdef vec numbers = vec_of(0)
    cdef wordvec within
    cdef real *copy = <real *> edge
    cdef real *z = work.packed + first
    cdef const real *root = work.roots
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
            (<vec *> z)[v] = value
            sum[v] += value * root[l]
        z += width
    for j in range(n_features):
        shift[first + j] += (<real *> sum)[j]


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
