# A first look in single precision shows, at half the cost of log-densities, in which rows a component may count. Only
# the log-densities of these rows are computed.
#
# Let D hold the standard deviations, d_j² = Σ[j, j], so that y = (W D) D⁻¹z, z = x − μ. Both factors, of which no
# number is large where y is not, are rounded to single precision, and ỹ is their product in it. Each y_j is a sum of at
# most d products, and two roundings went into what is multiplied (Higham, Accuracy and Stability of Numerical
# Algorithms, 2nd ed., section 3.1; the third is for z itself, in double precision): with u = 2⁻²⁴ and
# γ = (d + 3) u / (1 − (d + 3) u),
#
#     ‖ỹ − y‖ ≤ γ ‖ |W D| |D⁻¹z| ‖ ≤ γ ‖W D‖ ‖D⁻¹z‖      (Frobenius)
#     ‖D⁻¹z‖ = ‖D⁻¹L y‖ ≤ ‖D⁻¹L‖ ‖y‖ = √d ‖y‖            as the rows of L have squares Σ[j, j]
#     ‖W D‖² = Σ_j Σ[j, j] Σ⁻¹[j, j]                      the features' variance inflation factors
#
# so that ‖ỹ‖ = ‖y‖ (1 ± ρ), ρ = γ √(d Σ_j VIF_j), and kept s ≤ ‖y‖² ≤ s / kept for s = fl(‖ỹ‖²), with kept = (1 − ρ)²
# less what a sum of d squares is rounded. mstep/screen.pxi computes it; it is 0, which tells nothing of y, where ρ is
# above 1/64.
#
# Numbers that vanish below 2⁻¹⁵⁰ are far below a unit of double precision of log p. log p itself is computed in double
# precision, whose errors in y are 2⁻²⁹ of those above. Its rounding, and that of a comparison, is covered by a factor
# of 1 − 10⁻⁶ in kept as far as it grows with ‖y‖², and by CLOSE as far as it does not.
#
# The largest a_k − ½ s / kept of a row is below its best log-density. A component with a_k − ½ kept s further below
# that than its margin would be left out of the row's sums (`exponentials`), and is not computed. All sums have the bits
# that they have without a first look.

cdef double LARGE_NORM = 1e37       # from here on s counts as overflowed and tells nothing
cdef double CLOSE = 1e-6            # nats


cdef inline bint has_narrow() noexcept nogil:
    """True if there are tiles of single precision (screen.pxi) that are faster. Without vector types they are not."""
    return NARROW_TILES == 1 and NARROW_LANES > LANES


cdef bint is_screened(Mixture *mixture) noexcept nogil:
    """True if a first look can tell something of some component"""
    cdef Py_ssize_t k
    if mixture.sketch != NULL:
        for k in range(mixture.n_components):
            if mixture.sketch[k] > 0:
                return True
    return False


cdef void log_densities_screened(Mixture *mixture, Block *block, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] of the components that may count, which become the active ones, and −inf in rows in which they do not"""
    cdef Py_ssize_t K = mixture.n_components, k, v, n
    for k in range(K):
        if not mixture.sketch[k] > 0:
            log_density(mixture, k, <real> INFINITY, work, n_vectors)
    for v in range(n_vectors):
        (<vec *> work.at_least)[v] = (<vec *> work.best)[v]
    for k in range(K):
        if mixture.sketch[k] > 0:
            look(mixture, k, work, n_vectors)
        fetch(&work.next_rows, k, K)
    work.n_active = 0
    for k in range(K):
        if mixture.sketch[k] > 0:
            n = list_possible(mixture, k, work, block.n_rows)
            if n == 0:
                continue
            if n * mixture.cost_listed < block.n_rows:
                log_density_of_listed(mixture, block, k, n, work, n_vectors)
            else:
                log_density(mixture, k, <real> INFINITY, work, n_vectors)
        work.active[work.n_active] = <int> k
        work.n_active += 1


cdef inline float *looked_at(Workspace *work, Py_ssize_t k) noexcept nogil:
    """s of each row, in single precision: in the component's line of p until its log-densities are computed"""
    return <float *> (work.p + k * STRIDE)


cdef void look(Mixture *mixture, Py_ssize_t k, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """looked_at(k) := s;  at_least = max(at_least, a_k − ½ s / kept)"""
    cdef Py_ssize_t d = mixture.n_features, K = mixture.n_components, first = 0, v
    cdef float *u = work.scaled
    cdef float *norm = looked_at(work, k)
    cdef real most = <real> (0.5 / mixture.sketch[k])
    scale_rows(work.x, mixture.center + k * d, mixture.sketch + K + k * d, d, n_vectors, u)
    # The last tile may go past the rows: what stands there is of no meaning, and not used.
    while first < n_vectors * LANES:
        sketch_tile(mixture.sketch + K * (1 + d) + k * panels_size(d), d, u + first, norm + first)
        first += TILE_VECTORS * NARROW_LANES
    for v in range(n_vectors):
        (<vec *> work.at_least)[v] = vec_max(
            (<vec *> work.at_least)[v], mixture.log_constant[k] - widened(norm + v * LANES) * most)


cdef void scale_rows(
    const real *x, const real *c, const float *inverse, Py_ssize_t n_features, Py_ssize_t n_vectors,    # IN
    float *u,                                                                                           # OUT
) noexcept nogil:
    """u = D⁻¹(x − c), 0 up to a whole panel of features"""
    cdef Py_ssize_t j, v
    for j in range(n_features):
        for v in range(n_vectors):
            put_narrow(u + j * STRIDE + v * LANES, ((<const vec *> (x + j * STRIDE))[v] - c[j]) * <real> inverse[j])
    for j in range(n_features, (n_features + PANEL - 1) // PANEL * PANEL):
        for v in range(n_vectors):
            put_narrow(u + j * STRIDE + v * LANES, vec_of(0))


cdef inline void sketch_tile(
    const float *panel, Py_ssize_t n_features, const float *u,      # IN: W D in panels; u at the tile's first row
    float *norm,                                                    # OUT
) noexcept nogil:
    """norm = ‖W D u‖² of TILE_VECTORS vectors of rows"""
    cdef narrow_vec total[4]
    cdef narrow_vec y[4][4]
    cdef narrow_vec column[4]
    cdef Py_ssize_t first, j
    cdef int a, v
    for v in range(TILE_VECTORS):
        total[v] = narrow_of(0)
    for first in range(0, n_features, 4):
        for a in range(PANEL):
            for v in range(TILE_VECTORS):
                y[a][v] = narrow_of(0)
        for j in range(first):
            for v in range(TILE_VECTORS):
                column[v] = (<const narrow_vec *> (u + j * STRIDE))[v]
            for a in range(PANEL):
                for v in range(TILE_VECTORS):
                    y[a][v] += narrow_of(panel[PANEL * j + a]) * column[v]
        panel += PANEL * first
        for j in range(PANEL):
            for v in range(TILE_VECTORS):
                column[v] = (<const narrow_vec *> (u + (first + j) * STRIDE))[v]
            for a in range(PANEL):
                for v in range(TILE_VECTORS):
                    if a >= j:
                        y[a][v] += narrow_of(panel[PANEL * j + a]) * column[v]
        panel += PANEL * PANEL
        for a in range(PANEL):
            for v in range(TILE_VECTORS):
                total[v] += y[a][v] * y[a][v]
    for v in range(TILE_VECTORS):
        (<narrow_vec *> norm)[v] = total[v]


cdef Py_ssize_t list_possible(Mixture *mixture, Py_ssize_t k, Workspace *work, Py_ssize_t n_rows) noexcept nogil:
    """possible := the rows in which the component may count. How many; call when all components have been looked at."""
    cdef const float *norm = looked_at(work, k)
    cdef real least = <real> (0.5 * mixture.sketch[k]), margin = mixture.margin[k] + <real> CLOSE
    cdef vec large = vec_of(<real> LARGE_NORM), s
    cdef Py_ssize_t n = 0, v
    for v in range(work.n_used):
        s = widened(norm + v * LANES)
        n += list_rows(
            work.possible + n,
            ~(vec_less(mixture.log_constant[k] - s * least, (<vec *> work.at_least)[v] - margin) & vec_less(s, large)),
            <int> v * LANES)
    # Behind the block's rows come copies of the last.
    while n > 0 and work.possible[n - 1] >= n_rows:
        n -= 1
    return n


cdef void log_density_of_listed(
    Mixture *mixture, Block *block, Py_ssize_t k, Py_ssize_t n_listed, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """`log_density` of the listed rows, and −inf in all others"""
    cdef Py_ssize_t d = mixture.n_features, n_used = (n_listed + LANES - 1) // LANES, i, v
    cdef const int *rows = work.possible
    cdef real *p = work.p + k * STRIDE
    cdef unsigned short order[BLOCK]
    cdef Block listed = block[0]
    for i in range(n_listed):
        order[i] = <unsigned short> place(block, rows[i])
    listed.order, listed.n_rows = order, n_listed
    load_rows(&listed, d, work.listed_x)
    for v in range(n_used):
        (<vec *> work.listed_best)[v] = vec_of(-REAL_MAX)
    log_densities_triangular(
        work, work.listed_x, mixture.center + k * d, mixture.whitening + k * d * d, mixture.offset + k * d,
        mixture.log_constant[k], <real> INFINITY, d, n_used, work.listed_p, work.listed_best)
    for v in range(n_vectors):
        (<vec *> p)[v] = vec_of(-<real> INFINITY)
    for i in range(n_listed):
        p[rows[i]] = work.listed_p[i]
        work.best[rows[i]] = max(work.best[rows[i]], work.listed_p[i])
