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
# cancels, however far the data lie from the origin.
#
# A block is BLOCK rows, transposed once into lanes: feature j of all its rows lies along x[j · STRIDE], so that a
# vector holds one feature of LANES rows. Nothing of size n × K or n × d is ever written; the workspace is
# (3 d + 2 LANES + K + 6) · STRIDE + d² + K numbers and belongs to one thread.
#
# Threads: `accumulate` and `score` hold no lock, allocate nothing and write only to what their caller gave them alone.
# Super-block i is rows [SUPER_BLOCK · i, SUPER_BLOCK · (i + 1)) of the whole source. It is added to slot i mod n_slots
# in order of i, whichever thread has that slot: sums do not depend on the number of threads.

from libc.math cimport INFINITY
from libc.stdint cimport uintptr_t

cdef enum:
    BLOCK = 256         # measured: 128 to 512 are alike for d ≤ 16; larger ones leave the L2 cache at d ≥ 64
    STRIDE = 256 + 16   # not a power of two: features 2 KiB apart would share two of the L1 cache's sets
    SUPER_BLOCK = 512
    ALIGNMENT = 64      # bytes: the widest vector
    LOG_FACTORS = 8     # 8 factors up to 2^15 (components) stay below 2^127, single precision's largest

cdef enum Structure:
    FULL, TIED, DIAG, SPHERICAL

cdef struct Mixture:
    Structure structure
    Py_ssize_t n_components
    Py_ssize_t n_features
    Py_ssize_t scatter_size     # of all components together
    Py_ssize_t scatter_step     # from one component's to the next
    const real *center          # (K, d)
    const real *offset          # (K, d): W_k (μ_k − c_k)
    const real *whitening       # full (K, d, d), tied (d, d), diag (K, d), spherical (K,)
    const real *log_constant    # (K,): a_k
    const real *margin          # (K,): a component further than this below a row's best is left out of its sums
    double sparse               # rows of a component are packed where fewer than this share of them are live

cdef struct Block:
    const char *rows            # the first row, in the caller's memory
    Py_ssize_t row_stride       # bytes
    Py_ssize_t feature_stride   # bytes
    const char *weight          # NULL for ones
    Py_ssize_t weight_stride    # bytes
    Py_ssize_t n_rows

cdef struct Workspace:
    real *x             # (d, STRIDE): the block's rows
    real *z             # (d, STRIDE): centred, of one component; or (n_live, d up to a whole vector)
    real *rz            # the same, times the responsibility
    real *p             # (K, STRIDE): log p_k, then responsibilities
    real *live          # (K,): the number of rows with a responsibility above 0
    real *weight        # (STRIDE,): sample weights, 0 in rows that only fill the last vector
    real *best          # (STRIDE,): max_k log p_k
    real *total         # (STRIDE,): Σ_k exp(log p_k − best)
    real *log_sum       # (STRIDE,): ℓ
    real *scale         # (STRIDE,): weight / total
    real *rows          # (STRIDE,): numbers of the live rows
    real *product       # (d, d): for a level that adds to the scatter by way of single precision


cdef Workspace layout(real *start, Mixture *mixture) noexcept nogil:
    """Divide the caller's buffer, from its first aligned number on."""
    cdef Workspace work
    cdef Py_ssize_t d = mixture.n_features
    work.x = <real *> ((<uintptr_t> start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    work.z = work.x + d * STRIDE
    work.rz = work.z + (d + LANES) * STRIDE
    work.p = work.rz + (d + LANES) * STRIDE
    work.weight = work.p + mixture.n_components * STRIDE
    work.best = work.weight + STRIDE
    work.total = work.best + STRIDE
    work.log_sum = work.total + STRIDE
    work.scale = work.log_sum + STRIDE
    work.rows = work.scale + STRIDE
    work.product = work.rows + STRIDE
    work.live = work.product + d * d
    return work


cdef Py_ssize_t load(Block *block, Py_ssize_t n_features, Workspace *work) noexcept nogil:
    """Transpose a block into lanes; fill its last tile with copies of its last row at weight 0. The vectors in use."""
    cdef Py_ssize_t tile = TILE_VECTORS * LANES
    cdef Py_ssize_t n_rows = block.n_rows, n_filled = (n_rows + tile - 1) // tile * tile
    cdef Py_ssize_t i, j = 0
    cdef const char *row
    cdef real *x
    # Two features at a time: half the walks over rows that lie in memory one behind the other.
    while j + 1 < n_features:
        x = work.x + j * STRIDE
        row = block.rows + j * block.feature_stride
        for i in range(n_rows):
            x[i] = (<const real *> row)[0]
            x[i + STRIDE] = (<const real *> (row + block.feature_stride))[0]
            row += block.row_stride
        j += 2
    if j < n_features:
        x = work.x + j * STRIDE
        row = block.rows + j * block.feature_stride
        for i in range(n_rows):
            x[i] = (<const real *> row)[0]
            row += block.row_stride
    for j in range(n_features if n_filled > n_rows else 0):
        x = work.x + j * STRIDE
        for i in range(n_rows, n_filled):
            x[i] = x[n_rows - 1]
    for i in range(n_rows):
        work.weight[i] = 1
        if block.weight != NULL:
            work.weight[i] = <real> (<const double *> (block.weight + i * block.weight_stride))[0]
    for i in range(n_rows, n_filled):
        work.weight[i] = 0
    return n_filled // LANES


cdef void center(
    const real *x, const real *c, Py_ssize_t n_features, Py_ssize_t n_vectors,  # IN
    real *z,                                                                    # OUT
) noexcept nogil:
    """z = x − c"""
    cdef Py_ssize_t j, v
    for j in range(n_features):
        for v in range(n_vectors):
            (<vec *> (z + j * STRIDE))[v] = (<const vec *> (x + j * STRIDE))[v] - c[j]


cdef inline void put_log_densities(
    const vec *norm, real constant, Py_ssize_t first,   # IN: a tile's ‖y‖², a_k
    real *p, real *best,                                # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½‖y‖²;  best = max(best, p). A norm that overflows, or was inf − inf on the way, makes p −inf."""
    cdef vec infinite = vec_of(<real> INFINITY), largest = vec_of(REAL_MAX), value
    cdef int v
    for v in range(TILE_VECTORS):
        # NaN compares false, as does infinity
        value = constant - vec_select(vec_less(norm[v], largest), norm[v], infinite) * <real> 0.5
        (<vec *> p)[first + v] = value
        (<vec *> best)[first + v] = vec_max((<vec *> best)[first + v], value)


cdef void log_densities_diagonal(
    const real *x, const real *c, const real *w, Py_ssize_t step, const real *b,    # IN: step 0 for one w for all features
    real constant, Py_ssize_t n_features, Py_ssize_t n_vectors,                     # IN
    real *p, real *best,                                                            # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½ Σ_j (w_j (x_j − c_j) − b_j)²"""
    cdef Py_ssize_t j, first = 0
    cdef int v
    cdef vec norm[4]
    cdef vec y
    while first < n_vectors:
        for v in range(TILE_VECTORS):
            norm[v] = vec_of(0)
        for j in range(n_features):
            for v in range(TILE_VECTORS):
                y = ((<const vec *> (x + j * STRIDE))[first + v] - c[j]) * w[j * step] - b[j]
                norm[v] += y * y
        put_log_densities(norm, constant, first, p, best)
        first += TILE_VECTORS


cdef void log_densities(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = a_k − ½‖W_k (x − c_k) − b_k‖²;  best = max_k p[k], the lowest finite number where every one is −inf"""
    cdef Py_ssize_t d = mixture.n_features, k, v
    cdef const real *c
    cdef const real *b
    for v in range(n_vectors):
        (<vec *> work.best)[v] = vec_of(-REAL_MAX)
    for k in range(mixture.n_components):
        c = mixture.center + k * d
        b = mixture.offset + k * d
        if mixture.structure == DIAG:
            log_densities_diagonal(work.x, c, mixture.whitening + k * d, 1, b, mixture.log_constant[k],
                                   d, n_vectors, work.p + k * STRIDE, work.best)
        elif mixture.structure == SPHERICAL:
            log_densities_diagonal(work.x, c, mixture.whitening + k, 0, b, mixture.log_constant[k],
                                   d, n_vectors, work.p + k * STRIDE, work.best)
        else:
            log_densities_triangular(work, c, mixture.whitening + (k * d * d if mixture.structure == FULL else 0), b,
                                     mixture.log_constant[k], d, n_vectors, work.p + k * STRIDE)


cdef void exponentials(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = exp(p[k] − best), and 0 below the component's margin or underflow;  total = Σ_k p[k]

    total ≥ 1, the best one's term, unless no component has a finite log-density: then it is 0.
    """
    cdef Py_ssize_t k, v
    cdef vec limit, term
    cdef vec *p
    for v in range(n_vectors):
        (<vec *> work.total)[v] = vec_of(0)
    for k in range(mixture.n_components):
        p = <vec *> (work.p + k * STRIDE)
        limit = vec_of(max(-mixture.margin[k], EXP_LOWEST))
        for v in range(n_vectors):
            term = vec_exp_above(p[v] - (<vec *> work.best)[v], limit)
            p[v] = term
            (<vec *> work.total)[v] += term


cdef void posterior(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = weight · p[k] / total: Bayes' theorem;  live[k], the rows in which it is not 0

    Call after `exponentials`. A row without a finite log-density has responsibility 0 for every component.
    """
    cdef Py_ssize_t k, v
    cdef vec scale, count, one = vec_of(1), nothing = vec_of(0)
    cdef vec *p
    for v in range(n_vectors):
        scale = (<vec *> work.total)[v]
        (<vec *> work.scale)[v] = vec_select(vec_less(nothing, scale), (<vec *> work.weight)[v] / scale, nothing)
    for k in range(mixture.n_components):
        p = <vec *> (work.p + k * STRIDE)
        count = nothing
        for v in range(n_vectors):
            p[v] = p[v] * (<vec *> work.scale)[v]
            count += vec_select(vec_less(nothing, p[v]), one, nothing)
        work.live[k] = <real> vec_sum(count)


cdef void nearest(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """The hard E-step: p[k] = weight for the best component (the first of equals), else 0;  total = 1, live[k]"""
    cdef Py_ssize_t k, v
    cdef vec left, taken, count, one = vec_of(1), nothing = vec_of(0)
    cdef vec *p
    for v in range(n_vectors):
        (<vec *> work.scale)[v] = (<vec *> work.weight)[v]
        (<vec *> work.total)[v] = one
    for k in range(mixture.n_components):
        p = <vec *> (work.p + k * STRIDE)
        count = nothing
        for v in range(n_vectors):
            left = (<vec *> work.scale)[v]
            taken = vec_select(vec_less(p[v], (<vec *> work.best)[v]), nothing, left)
            (<vec *> work.scale)[v] = left - taken
            p[v] = taken
            count += vec_select(vec_less(nothing, taken), one, nothing)
        work.live[k] = <real> vec_sum(count)


cdef void log_sums(Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """log_sum = log Σ_k exp log p_k = best + log(total)"""
    cdef Py_ssize_t v
    cdef vec total
    for v in range(n_vectors):
        total = (<vec *> work.total)[v]
        (<vec *> work.log_sum)[v] = vec_select(
            vec_less(vec_of(0), total), (<vec *> work.best)[v] + vec_log(total), vec_of(-<real> INFINITY))


cdef double log_likelihood(Workspace *work, bint weighted, Py_ssize_t n_rows, Py_ssize_t n_vectors) noexcept nogil:
    """Σ_i weight_i · log_sum_i in double precision; a row of weight 0 adds nothing, wherever it lies

    With weights 1, Σ best + log Π total, a logarithm for each lane and not for each row: totals lie in [1, K] (or are
    0, which makes the sum −inf as it should), and LOG_FACTORS of them do not overflow for K < 2^15.
    """
    cdef double partial[8]
    cdef double sum = 0
    cdef vec product
    cdef Py_ssize_t i, l, v, last
    for l in range(8):
        partial[l] = 0
    if weighted:
        log_sums(work, n_vectors)
        for i in range(n_rows):
            if work.weight[i] > 0:
                partial[i % 8] += <double> work.weight[i] * work.log_sum[i]
    else:
        # total = 1 and best = 0 in rows that only fill the last vectors
        last = (n_vectors * LANES + 7) // 8 * 8
        for i in range(n_rows, last):
            work.total[i] = 1
            work.best[i] = 0
        for i in range(0, last, 8):
            for l in range(8):
                partial[l] += <double> work.best[i + l]
        v = 0
        while v < n_vectors:
            last = min(v + LOG_FACTORS, n_vectors)
            product = (<vec *> work.total)[v]
            for v in range(v + 1, last):
                product = product * (<vec *> work.total)[v]
            v = last
            product = vec_select(vec_less(vec_of(0), product), vec_log(product), vec_of(-<real> INFINITY))
            sum += vec_sum_double(product)
    for l in range(8):
        sum += partial[l]
    return sum


cdef Py_ssize_t list_live(const real *responsibility, Py_ssize_t n_rows, unsigned short *live) noexcept nogil:
    """Numbers of the rows whose responsibility is not 0; how many"""
    cdef Py_ssize_t n_live = 0, i
    for i in range(n_rows):
        live[n_live] = <unsigned short> i
        n_live += responsibility[i] != 0
    return n_live


cdef void pack_rows(
    Block *block, const real *c, Py_ssize_t n_live, Py_ssize_t n_features,      # IN
    Workspace *work,                                                            # IN: x, rows; OUT: z
) noexcept nogil:
    """z := the live rows − c, features side by side, 0 up to a whole vector"""
    cdef const unsigned short *live = <const unsigned short *> work.rows
    cdef Py_ssize_t width = (n_features + LANES - 1) // LANES * LANES, l, j
    cdef real *z = work.z
    cdef const real *x
    cdef bint side_by_side = block.feature_stride == sizeof(real)
    for l in range(n_live):
        if side_by_side:
            x = <const real *> (block.rows + live[l] * block.row_stride)
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
    Workspace *work,                                                            # IN: rows, z, packed; OUT: rz
    double *weight, double *shift, double *scatter,                             # INOUT
) noexcept nogil:
    """rz = r z;  N += Σ r;  s += Σ r z;  and with `squares`, S_j += Σ r z_j² (square_step 0: the trace)"""
    cdef const unsigned short *live = <const unsigned short *> work.rows
    cdef Py_ssize_t n_vectors = (n_features + LANES - 1) // LANES, l, v, j
    cdef const vec *z = <const vec *> work.z
    cdef vec *rz = <vec *> work.rz
    # Sums over the block's rows, behind the packed rows
    cdef vec *first = rz + n_live * n_vectors
    cdef vec *second = <vec *> work.z + n_live * n_vectors
    cdef real responsibility
    for v in range(n_vectors):
        first[v] = vec_of(0)
        second[v] = vec_of(0)
    for l in range(n_live):
        responsibility = r[live[l]]
        weight[0] += responsibility
        for v in range(n_vectors):
            rz[v] = responsibility * z[v]
            first[v] += rz[v]
            if squares:
                second[v] += rz[v] * z[v]
        z += n_vectors
        rz += n_vectors
    for j in range(n_features):
        shift[j] += (<real *> first)[j]
        if squares:
            scatter[j * square_step] += (<real *> second)[j]


cdef void moments(
    const real *z, const real *r, Py_ssize_t n_features, Py_ssize_t n_vectors,  # IN
    bint squares, Py_ssize_t square_step,                                       # IN: diag and spherical
    real *rz,                                                                   # OUT
    double *weight, double *shift, double *scatter,                             # INOUT
) noexcept nogil:
    """rz = r z;  N += Σ r;  s += Σ r z;  and with `squares`, S_j += Σ r z_j² (square_step 0: the trace)"""
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
            if squares:
                second += product * (<const vec *> (z + j * STRIDE))[v]
            else:
                (<vec *> (rz + j * STRIDE))[v] = product
        shift[j] += vec_sum(first)
        if squares:
            scatter[j * square_step] += vec_sum(second)


cdef inline void moments_tile(
    const real *x, const real *c, const real *r, int n_features, Py_ssize_t n_vectors,  # IN
    double *weight, double *shift, double *scatter,                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r z;  S += Σ r z zᵀ, its lower triangle, for few features: every sum in a register"""
    cdef vec total = vec_of(0)
    cdef vec first[4]
    cdef vec second[4][4]
    cdef vec z[4]
    cdef vec product
    cdef int a, b
    cdef Py_ssize_t v
    for a in range(n_features):
        first[a] = vec_of(0)
        for b in range(a + 1):
            second[a][b] = vec_of(0)
    for v in range(n_vectors):
        total += (<const vec *> r)[v]
        for a in range(n_features):
            z[a] = (<const vec *> (x + a * STRIDE))[v] - c[a]
            product = (<const vec *> r)[v] * z[a]
            first[a] += product
            for b in range(a + 1):
                second[a][b] += product * z[b]
    weight[0] += vec_sum(total)
    for a in range(n_features):
        shift[a] += vec_sum(first[a])
        for b in range(a + 1):
            scatter[a * n_features + b] += vec_sum(second[a][b])


cdef void moments_small(
    const real *x, const real *c, const real *r, Py_ssize_t n_features, Py_ssize_t n_vectors,   # IN
    double *weight, double *shift, double *scatter,                                             # INOUT
) noexcept nogil:
    """moments_tile for 1 to 4 features"""
    if n_features == 1:
        moments_tile(x, c, r, 1, n_vectors, weight, shift, scatter)
    elif n_features == 2:
        moments_tile(x, c, r, 2, n_vectors, weight, shift, scatter)
    elif n_features == 3:
        moments_tile(x, c, r, 3, n_vectors, weight, shift, scatter)
    else:
        moments_tile(x, c, r, 4, n_vectors, weight, shift, scatter)


cdef void statistics(Mixture *mixture, Block *block, Workspace *work, double *slot) noexcept nogil:
    """Add the block's N, s and S to a slot: [N (K) | s (K, d) | S | log-likelihood]"""
    cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features, k, n_live
    cdef Py_ssize_t n_vectors = (block.n_rows + LANES - 1) // LANES
    cdef bint squares = mixture.structure == DIAG or mixture.structure == SPHERICAL
    cdef Py_ssize_t square_step = mixture.structure == DIAG
    cdef double *shift
    cdef double *scatter
    cdef const real *r
    cdef const real *c
    for k in range(K):
        if work.live[k] == 0:
            continue
        r = work.p + k * STRIDE
        c = mixture.center + k * d
        shift = slot + K + k * d
        scatter = slot + K + K * d + k * mixture.scatter_step
        if work.live[k] < mixture.sparse * block.n_rows:
            n_live = list_live(r, block.n_rows, <unsigned short *> work.rows)
            pack_rows(block, c, n_live, d, work)
            moments_of_rows(r, n_live, d, squares, square_step, work, slot + k, shift, scatter)
            if not squares:
                scatter_rows(work, r, n_live, d, scatter)
        elif d <= 4 and not squares:
            moments_small(work.x, c, r, d, n_vectors, slot + k, shift, scatter)
        else:
            center(work.x, c, d, n_vectors, work.z)
            moments(work.z, r, d, n_vectors, squares, square_step, work.rz, slot + k, shift, scatter)
            if not squares:
                scatter_triangular(work, r, d, n_vectors, scatter)
