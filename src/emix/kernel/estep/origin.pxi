# Components whose centre is one common origin m. Part of the work is then done once for a row, not once for each of its
# components.
#
# With z = x − m, computed once for a row,
#
#     tied:       u = W z once for a row, y_k = u − b_k                   d² / 2 + 2 K d operations, not K d² / 2
#     diag:       y_k = w_k z − b_k                                       2 for each feature and component, not 3
#     spherical:  ‖y_k‖² = w_k² ‖z − b_k / w_k‖²                          2, not 3, one of them a plain subtraction
#
# and the sums are a product of two matrices, the responsibilities (K × rows) and [z | z²] (rows × columns):
#
#     N_k += Σ r        s_k += Σ r z        diag S_k[j] += Σ r z_j²        spherical S_k += Σ r ‖z‖²
#
# The scatter of tied is not summed: Σ_k r_k = 1, so Σ_k S_k = Σ_rows w z zᵀ whatever the parameters are. The caller
# sums it once for a fit (gaussian/shortcuts/origin.py).
#
# Accuracy. y_k is the difference of W_k z and b_k = W_k (μ_k − m), each rounded. With x = μ_k + δ,
# |W_k| |z| ≤ |W_k| |δ| + |W_k| |μ_k − m| (absolute values of each number): the first part is what W_k (x − c_k) errs by
# too, the second adds n eps reach_k at most, reach_k = ‖ |W_k| |μ_k − m| ‖ and n = d + 2 for tied, 2 for the others.
# So ½‖y‖² errs by n eps ‖y‖ reach_k, and since ‖y‖ ≤ 0.71 (1 + ½‖y‖²), by 0.71 n eps reach_k relative to 1 + ½‖y‖².
# The sums about m hold N_k (μ_k − m)² beside what is wanted, and lose reach_k² eps of it. gaussian/shortcuts/origin.py
# has the limit for reach_k; components beyond it keep c_k = μ_k, and the loops of log_density.pxi and sums.pxi. Those
# loops are also for components at the origin whose w, or its square, is near an end of the precision: they know of 0 ·
# inf.
#
# Spherical squares before it scales: ‖z − b_k / w_k‖² may overflow, and log p_k be −inf, where ‖y_k‖² would not. Then
# log p_k < a_k − 0.49 w_k² REAL_MAX, rounding included. In a row whose best is above −¼ w_k² REAL_MAX that is 8e7 nats
# below it at least, less a_k ≤ 35 d (1e-15 < w_k < 1e15; in double precision 4e7 and 346 d): nothing is lost. Other
# rows are far: they are scored anew about c_k = μ_k (scorer.pxi, gaussian/scoring.py). Those of a fit are not that
# large (rows/validation.py).


cdef void find_at_origin(Mixture *mixture, Workspace *work) noexcept nogil:
    """at_origin[k]: is c_k the origin, w_k moderate;  target[k] = b_k, for spherical b_k / w_k;  far_below"""
    cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features, k, j
    # Tied squares nothing of W.
    cdef Py_ssize_t n_squared = d if mixture.form == DIAG else 1 if mixture.form == SPHERICAL else 0
    cdef real scale
    work.n_at_origin = 0
    work.far_below = -REAL_MAX
    for k in range(K):
        work.at_origin[k] = mixture.form != FULL and moderate(mixture.whitening + k * n_squared, n_squared)
        for j in range(d if work.at_origin[k] else 0):
            # NaN is like nothing
            if mixture.center[k * d + j] != mixture.origin[j]:
                work.at_origin[k] = 0
                break
        work.n_at_origin += work.at_origin[k]
        scale = mixture.whitening[k] if mixture.form == SPHERICAL else 1
        for j in range(d if work.at_origin[k] else 0):
            work.target[k * d + j] = mixture.offset[k * d + j] / scale
        if mixture.form == SPHERICAL and work.at_origin[k]:
            work.far_below = max(work.far_below, <real> max(-0.25 * <double> REAL_MAX * scale * scale, -REAL_MAX))


cdef bint moderate(const real *w, Py_ssize_t n) noexcept nogil:
    """True if n numbers, and their squares, are far from both ends of the precision (limits.pxi)"""
    cdef double most = LARGEST_SINGLE if sizeof(real) == 4 else LARGEST_DOUBLE
    cdef Py_ssize_t j
    for j in range(n):
        if not 1 / most < w[j] < most:
            return False
    return True


cdef void move_to_origin(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """from_origin = x − m, and if tied u = W (x − m)"""
    cdef Py_ssize_t d = mixture.n_features, vector = 0, first
    cdef const real *w = mixture.whitening
    cdef const real *z
    cdef real *u
    center(work.x, mixture.origin, d, n_vectors, work.from_origin)
    if mixture.form != TIED:
        return
    while vector < n_vectors:
        z = work.from_origin + vector * LANES
        u = work.u + vector * LANES
        for first in range(0, d - 3, 4):
            whiten_tile(4, w, first, d, z, u)
        first = d - d % 4
        if d % 4 == 3:
            whiten_tile(3, w, first, d, z, u)
        elif d % 4 == 2:
            whiten_tile(2, w, first, d, z, u)
        elif d % 4 == 1:
            whiten_tile(1, w, first, d, z, u)
        vector += TILE_VECTORS


cdef inline void whiten_tile(
    int n_outputs, const real *w, Py_ssize_t first, Py_ssize_t d, const real *z,    # IN, z at the tile's first row
    real *u,                                                                        # OUT, at the tile's first row
) noexcept nogil:
    """u_a = Σ_{j ≤ a} w[a, j] z_j for outputs a = first, first + 1, …; inf where that is inf − inf"""
    cdef vec y[4][4]
    cdef vec x[4]
    cdef vec infinite = vec_of(<real> INFINITY)
    cdef int a, v
    cdef Py_ssize_t j
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            y[a][v] = vec_of(0)
    for j in range(first):
        for v in range(TILE_VECTORS):
            x[v] = (<const vec *> (z + j * STRIDE))[v]
        for a in range(n_outputs):
            for v in range(TILE_VECTORS):
                y[a][v] += w[(first + a) * d + j] * x[v]
    for j in range(n_outputs):
        for v in range(TILE_VECTORS):
            x[v] = (<const vec *> (z + (first + j) * STRIDE))[v]
        for a in range(n_outputs):
            for v in range(TILE_VECTORS):
                if a >= j:
                    y[a][v] += w[(first + a) * d + first + j] * x[v]
    for a in range(n_outputs):
        for v in range(TILE_VECTORS):
            # NaN compares false
            (<vec *> (u + (first + a) * STRIDE))[v] = vec_select(vec_less(y[a][v], infinite), y[a][v], infinite)


cdef void log_densities_at_origin(
    Mixture *mixture, const int *which, Py_ssize_t n, real limit, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """p[k] of the n components `which`;  best = max(best, p[k])"""
    if mixture.form == DIAG:
        log_densities_tiles(True, mixture, which, n, limit, work, n_vectors)
    else:
        log_densities_tiles(False, mixture, which, n, limit, work, n_vectors)


cdef inline void log_densities_tiles(
    bint scaled, Mixture *mixture, const int *which, Py_ssize_t n, real limit, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """log_densities_tile for n components and all rows"""
    cdef Py_ssize_t first = 0, a
    while first < n_vectors:
        for a in range(0, n - 3, 4):
            log_densities_tile(4, scaled, mixture, which + a, limit, first, work)
        a = n - n % 4
        if n % 4 == 3:
            log_densities_tile(3, scaled, mixture, which + a, limit, first, work)
        elif n % 4 == 2:
            log_densities_tile(2, scaled, mixture, which + a, limit, first, work)
        elif n % 4 == 1:
            log_densities_tile(1, scaled, mixture, which + a, limit, first, work)
        first += TILE_VECTORS


cdef inline void log_densities_tile(
    int n, bint scaled, Mixture *mixture, const int *which, real limit, Py_ssize_t first,   # IN: n components
    Workspace *work,                                                                        # IN: u; OUT: p, best
) noexcept nogil:
    """p[k] = a_k − ½‖y_k‖² of some components for a tile of rows: each u that is loaded serves all of them

    For one component a limit may end the sum, as in `log_density`. Nothing here can be NaN: u is not, b_k is finite,
    and w_k² is neither 0 nor infinite.
    """
    cdef Py_ssize_t d = mixture.n_features, j
    cdef const real *u = (work.u if mixture.form == TIED else work.from_origin) + first * LANES
    cdef const real *b[4]
    cdef const real *w[4]
    cdef real half[4]
    cdef vec norm[4][4]
    cdef vec x[4]
    cdef vec y
    cdef int a, v
    for a in range(n):
        b[a] = work.target + which[a] * d
        half[a] = <real> 0.5
        if scaled:
            w[a] = mixture.whitening + which[a] * d
        elif mixture.form == SPHERICAL:
            half[a] = <real> 0.5 * mixture.whitening[which[a]] * mixture.whitening[which[a]]
        for v in range(TILE_VECTORS):
            norm[a][v] = vec_of(0)
    if n == 1 and limit < REAL_MAX:
        limit = limit * (<real> 0.5 / half[0])
    for j in range(d):
        for v in range(TILE_VECTORS):
            x[v] = (<const vec *> (u + j * STRIDE))[v]
        for a in range(n):
            for v in range(TILE_VECTORS):
                if scaled:
                    y = x[v] * w[a][j] - b[a][j]
                else:
                    y = x[v] - b[a][j]
                norm[a][v] += y * y
        if n == 1 and j % 4 == 3 and limit < REAL_MAX and all_above(TILE_VECTORS, norm[0], limit):
            break
    for v in range(TILE_VECTORS):
        x[v] = (<vec *> work.best)[first + v]
    for a in range(n):
        for v in range(TILE_VECTORS):
            y = mixture.log_constant[which[a]] - norm[a][v] * half[a]
            (<vec *> (work.p + which[a] * STRIDE))[first + v] = y
            x[v] = vec_max(x[v], y)
    for v in range(TILE_VECTORS):
        (<vec *> work.best)[first + v] = x[v]


cdef void statistics_at_origin(
    Mixture *mixture, const int *which, Py_ssize_t n, Py_ssize_t n_vectors,     # IN: n components
    Workspace *work,                                                            # IN: from_origin, p; not kept: squares
    double *slot,                                                               # INOUT
) noexcept nogil:
    """Add N, s and the squares of S of n components to a slot"""
    cdef Py_ssize_t d = mixture.n_features, a, j, v
    cdef vec largest = vec_of(REAL_MAX), square, total
    cdef const vec *z
    cdef vec *sum
    for a in range(n):
        total = vec_of(0)
        for v in range(n_vectors):
            total += (<const vec *> (work.p + which[a] * STRIDE))[v]
        slot[which[a]] += vec_sum(total)
    add_products(work.p, which, n, work.from_origin, d, n_vectors, slot + mixture.slot.shift, d)
    if mixture.form == TIED:
        return
    # z², or ‖z‖² in the first column; finite, so that rows of responsibility 0 add 0 wherever they lie
    for j in range(d):
        z = <const vec *> (work.from_origin + j * STRIDE)
        sum = <vec *> (work.squares + (j * STRIDE if mixture.form == DIAG else 0))
        for v in range(n_vectors):
            square = z[v] * z[v]
            if mixture.form == SPHERICAL and j > 0:
                square += sum[v]
            sum[v] = vec_select(vec_less(square, largest), square, largest)
    add_products(work.p, which, n, work.squares, d if mixture.form == DIAG else 1, n_vectors,
                 slot + mixture.slot.scatter, mixture.scatter_step)


cdef void add_products(
    const real *p, const int *which, Py_ssize_t n,                          # IN: n components
    const real *columns, Py_ssize_t n_columns, Py_ssize_t n_vectors,        # IN: (n_columns, STRIDE)
    double *out, Py_ssize_t step,                                           # INOUT
) noexcept nogil:
    """out[step k + j] += Σ r_k column_j"""
    cdef Py_ssize_t a
    for a in range(0, n - 3, 4):
        products_columns(4, p, which + a, columns, n_columns, n_vectors, out, step)
    a = n - n % 4
    if n % 4 == 3:
        products_columns(3, p, which + a, columns, n_columns, n_vectors, out, step)
    elif n % 4 == 2:
        products_columns(2, p, which + a, columns, n_columns, n_vectors, out, step)
    elif n % 4 == 1:
        products_columns(1, p, which + a, columns, n_columns, n_vectors, out, step)


cdef inline void products_columns(
    int n, const real *p, const int *which, const real *columns, Py_ssize_t n_columns, Py_ssize_t n_vectors,    # IN
    double *out, Py_ssize_t step,                                                                               # INOUT
) noexcept nogil:
    """products_tile for any number of columns"""
    cdef Py_ssize_t j = 0
    while j + TILE_VECTORS <= n_columns:
        products_tile(n, TILE_VECTORS, p, which, columns + j * STRIDE, n_vectors, out + j, step)
        j += TILE_VECTORS
    if n_columns - j == 3:
        products_tile(n, 3, p, which, columns + j * STRIDE, n_vectors, out + j, step)
    elif n_columns - j == 2:
        products_tile(n, 2, p, which, columns + j * STRIDE, n_vectors, out + j, step)
    elif n_columns - j == 1:
        products_tile(n, 1, p, which, columns + j * STRIDE, n_vectors, out + j, step)


cdef inline void products_tile(
    int n, int m, const real *p, const int *which, const real *columns, Py_ssize_t n_vectors,   # IN
    double *out, Py_ssize_t step,                                                               # INOUT
) noexcept nogil:
    """out[step k + b] += Σ r_k column_b, for n components k and m columns"""
    cdef vec total[4][4]
    cdef const vec *r[4]
    cdef vec x
    cdef int a, b
    cdef Py_ssize_t v
    for a in range(n):
        r[a] = <const vec *> (p + which[a] * STRIDE)
        for b in range(m):
            total[a][b] = vec_of(0)
    for v in range(n_vectors):
        for b in range(m):
            x = (<const vec *> (columns + b * STRIDE))[v]
            for a in range(n):
                total[a][b] += r[a][v] * x
    for a in range(n):
        for b in range(m):
            out[which[a] * step + b] += vec_sum(total[a][b])
