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
# (3 d + K + 5) · STRIDE + d² numbers and belongs to one thread.
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

cdef enum Structure:
    FULL, TIED, DIAG, SPHERICAL

cdef struct Mixture:
    Structure structure
    Py_ssize_t n_components
    Py_ssize_t n_features
    Py_ssize_t scatter_size     # of all components together
    const real *center          # (K, d)
    const real *offset          # (K, d): W_k (μ_k − c_k)
    const real *whitening       # full (K, d, d), tied (d, d), diag (K, d), spherical (K,)
    const real *log_constant    # (K,): a_k
    const real *margin          # (K,): a component further than this below a row's best is left out of its sums

cdef struct Workspace:
    real *x             # (d, STRIDE): the block's rows
    real *z             # (d, STRIDE): centred, of one component
    real *rz            # (d, STRIDE): times the responsibility
    real *p             # (K, STRIDE): log p_k, then responsibilities
    real *norm          # (STRIDE,): ‖y‖²; then responsibilities of the live rows
    real *weight        # (STRIDE,): sample weights, 0 in rows that only fill the last vector
    real *best          # (STRIDE,): max_k log p_k
    real *log_sum       # (STRIDE,): ℓ
    real *live          # (STRIDE,): numbers of the rows with a responsibility above 0
    real *product       # (d, d): for a level that adds to the scatter by way of single precision


cdef Workspace layout(real *start, Mixture *mixture) noexcept nogil:
    """Divide the caller's buffer, from its first aligned number on."""
    cdef Workspace work
    cdef Py_ssize_t d = mixture.n_features
    work.x = <real *> ((<uintptr_t> start + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    work.z = work.x + d * STRIDE
    work.rz = work.z + d * STRIDE
    work.p = work.rz + d * STRIDE
    work.norm = work.p + mixture.n_components * STRIDE
    work.weight = work.norm + STRIDE
    work.best = work.weight + STRIDE
    work.log_sum = work.best + STRIDE
    work.live = work.log_sum + STRIDE
    work.product = work.live + STRIDE
    return work


cdef Py_ssize_t load(
    const char *rows, Py_ssize_t row_stride, Py_ssize_t feature_stride,     # IN, bytes
    const double *weight, Py_ssize_t weight_stride,                         # IN, NULL for ones; bytes
    Py_ssize_t n_rows, Py_ssize_t n_features,                               # IN
    Workspace *work,                                                        # OUT: x, weight
) noexcept nogil:
    """Transpose a block into lanes; fill its last tile with copies of its last row at weight 0. The vectors in use."""
    cdef Py_ssize_t tile = TILE_VECTORS * LANES
    cdef Py_ssize_t n_filled = (n_rows + tile - 1) // tile * tile
    cdef Py_ssize_t i, j
    cdef const char *row
    cdef real *x
    for j in range(n_features):
        x = work.x + j * STRIDE
        row = rows + j * feature_stride
        for i in range(n_rows):
            x[i] = (<const real *> row)[0]
            row += row_stride
        for i in range(n_rows, n_filled):
            x[i] = x[n_rows - 1]
    for i in range(n_rows):
        work.weight[i] = 1
        if weight != NULL:
            work.weight[i] = <real> (<const double *> (<const char *> weight + i * weight_stride))[0]
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
            (<vec *> (z + j * STRIDE))[v] = (<vec *> (x + j * STRIDE))[v] - c[j]


cdef void squared_norm_diagonal(
    const real *x, const real *c, const real *w, Py_ssize_t step, const real *b,    # IN: step 0 for one w for all features
    Py_ssize_t n_features, Py_ssize_t n_vectors,                                    # IN
    real *norm,                                                                     # OUT
) noexcept nogil:
    """norm = Σ_j (w_j (x_j − c_j) − b_j)²"""
    cdef Py_ssize_t j, first = 0
    cdef int v
    cdef vec total[4]
    cdef vec y
    while first < n_vectors:
        for v in range(TILE_VECTORS):
            total[v] = vec_of(0)
        for j in range(n_features):
            for v in range(TILE_VECTORS):
                y = ((<vec *> (x + j * STRIDE))[first + v] - c[j]) * w[j * step] - b[j]
                total[v] += y * y
        for v in range(TILE_VECTORS):
            (<vec *> norm)[first + v] = total[v]
        first += TILE_VECTORS


cdef void log_densities(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = a_k − ½‖W_k (x − c_k) − b_k‖². A norm that overflows (or is inf − inf on the way) makes it −inf."""
    cdef Py_ssize_t d = mixture.n_features, k, v
    cdef vec norm
    cdef vec infinite = vec_of(<real> INFINITY), largest = vec_of(REAL_MAX)
    for k in range(mixture.n_components):
        if mixture.structure == DIAG or mixture.structure == SPHERICAL:
            squared_norm_diagonal(
                work.x, mixture.center + k * d,
                mixture.whitening + (k * d if mixture.structure == DIAG else k), mixture.structure == DIAG,
                mixture.offset + k * d, d, n_vectors, work.norm)
        else:
            center(work.x, mixture.center + k * d, d, n_vectors, work.z)
            squared_norm_triangular(
                mixture.whitening + (k * d * d if mixture.structure == FULL else 0),
                mixture.offset + k * d, d, n_vectors, work)
        for v in range(n_vectors):
            norm = (<vec *> work.norm)[v]
            norm = vec_select(vec_less(largest, norm), infinite, norm)
            norm = vec_select(vec_less(vec_of(-1), norm), norm, infinite)      # NaN compares false
            (<vec *> (work.p + k * STRIDE))[v] = mixture.log_constant[k] - norm * <real> 0.5


cdef void find_best(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """best = max_k p[k], and the lowest finite number where every component is at −inf"""
    cdef Py_ssize_t k, v
    cdef vec best
    for v in range(n_vectors):
        best = vec_of(-REAL_MAX)
        for k in range(mixture.n_components):
            best = vec_max(best, (<vec *> (work.p + k * STRIDE))[v])
        (<vec *> work.best)[v] = best


cdef void posterior(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """log_sum = log Σ_k exp p[k];  p[k] = weight · exp(p[k] − log_sum), Bayes' theorem"""
    cdef Py_ssize_t k, v
    cdef vec best, below, term, total, scale, nothing = vec_of(0)
    cdef vec *p
    for v in range(n_vectors):
        best = (<vec *> work.best)[v]
        total = nothing
        for k in range(mixture.n_components):
            p = <vec *> (work.p + k * STRIDE) + v
            below = p[0] - best
            term = vec_select(vec_less(vec_of(-mixture.margin[k]), below), vec_exp(below), nothing)
            p[0] = term
            total += term
        # total ≥ 1, the best one's term, unless no component has a finite log-density: a row that the caller resolves
        (<vec *> work.log_sum)[v] = vec_select(
            vec_less(nothing, total), best + vec_log(total), vec_of(-<real> INFINITY))
        scale = vec_select(vec_less(nothing, total), (<vec *> work.weight)[v] / total, nothing)
        for k in range(mixture.n_components):
            p = <vec *> (work.p + k * STRIDE) + v
            p[0] = p[0] * scale


cdef void nearest(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """The hard E-step: p[k] = weight for the best component (the first of equals), else 0; log_sum = its log-density"""
    cdef Py_ssize_t k, v
    cdef vec best, left, nothing = vec_of(0)
    cdef vec *p
    for v in range(n_vectors):
        best = (<vec *> work.best)[v]
        left = (<vec *> work.weight)[v]
        (<vec *> work.log_sum)[v] = best
        for k in range(mixture.n_components):
            p = <vec *> (work.p + k * STRIDE) + v
            p[0] = vec_select(vec_less(p[0], best), nothing, left)
            left = left - p[0]


cdef double log_likelihood(Workspace *work, Py_ssize_t n_rows) noexcept nogil:
    """Σ_i weight_i · log_sum_i in double precision; a row of weight 0 adds nothing, wherever it lies"""
    cdef double partial[8]
    cdef double total = 0
    cdef Py_ssize_t i, l
    for l in range(8):
        partial[l] = 0
    for i in range(0, n_rows - 7, 8):
        for l in range(8):
            if work.weight[i + l] > 0:
                partial[l] += <double> work.weight[i + l] * work.log_sum[i + l]
    for i in range(n_rows - n_rows % 8, n_rows):
        if work.weight[i] > 0:
            total += <double> work.weight[i] * work.log_sum[i]
    for l in range(8):
        total += partial[l]
    return total


cdef Py_ssize_t gather(
    const real *x, const real *c, const real *responsibility,   # IN
    Py_ssize_t n_features, Py_ssize_t n_rows,                   # IN
    Workspace *work,                                            # OUT: z, norm (responsibilities), live
) noexcept nogil:
    """z and responsibilities of the rows whose responsibility is not 0, packed. The vectors in use."""
    cdef unsigned short *live = <unsigned short *> work.live
    cdef Py_ssize_t n_live = 0, n_filled, i, j
    cdef const real *feature
    cdef real *z
    for i in range(n_rows):
        live[n_live] = <unsigned short> i
        n_live += responsibility[i] != 0
    n_filled = (n_live + LANES - 1) // LANES * LANES
    for i in range(n_live):
        work.norm[i] = responsibility[live[i]]
    for i in range(n_live, n_filled):
        work.norm[i] = 0
    for j in range(n_features):
        z = work.z + j * STRIDE
        feature = x + j * STRIDE
        for i in range(n_live):
            z[i] = feature[live[i]] - c[j]
        for i in range(n_live, n_filled):
            z[i] = 0
    return n_filled // LANES


cdef Py_ssize_t count_live(const real *responsibility, Py_ssize_t n_vectors) noexcept nogil:
    """Rows with a responsibility above 0"""
    cdef vec one = vec_of(1), count = vec_of(0)
    cdef Py_ssize_t v
    for v in range(n_vectors):
        count += vec_select(vec_less(vec_of(0), (<const vec *> responsibility)[v]), one, vec_of(0))
    return <Py_ssize_t> vec_sum(count)


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


cdef void statistics(Mixture *mixture, Workspace *work, Py_ssize_t n_rows, double *slot) noexcept nogil:
    """Add the block's N, s and S to a slot: [N (K) | s (K, d) | S | log-likelihood]"""
    cdef Py_ssize_t K = mixture.n_components, d = mixture.n_features, k, n_live, n_vectors
    cdef double *shift
    cdef double *scatter
    cdef const real *r
    for k in range(K):
        n_vectors = (n_rows + LANES - 1) // LANES
        r = work.p + k * STRIDE
        n_live = count_live(r, n_vectors)
        if n_live == 0:
            continue
        if 2 * n_live < n_rows:
            n_vectors = gather(work.x, mixture.center + k * d, r, d, n_rows, work)
            r = work.norm
        else:
            center(work.x, mixture.center + k * d, d, n_vectors, work.z)
        shift = slot + K + k * d
        scatter = slot + K + K * d
        if mixture.structure == DIAG:
            moments(work.z, r, d, n_vectors, True, 1, work.rz, slot + k, shift, scatter + k * d)
        elif mixture.structure == SPHERICAL:
            moments(work.z, r, d, n_vectors, True, 0, work.rz, slot + k, shift, scatter + k)
        else:
            moments(work.z, r, d, n_vectors, False, 0, work.rz, slot + k, shift, scatter)
            scatter_triangular(
                work, r, d, n_vectors, scatter + (k * d * d if mixture.structure == FULL else 0))
