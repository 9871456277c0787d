# Costs of merging one cluster a, which `Merger` holds, with all those of a pool: lanes are clusters b of the pool.

cdef enum:
    PIVOTS = 16     # are multiplied before a logarithm is taken: each lies between 1 and 1 + Σ w / ε

# A part of a sum below e^−40 of the other one is less than its rounding.
cdef double LEAST_PART = -40


cdef struct Merger:
    Py_ssize_t n, p, stride             # rows, columns, costs of a line
    double prior                        # ν
    double share, offset, floor         # ε, p log ε and c; ε is 0 for the criterion with a prior
    Pool pools[N_POOLS]
    double *costs                       # (n, stride)
    double *age                         # HUGE for a cluster that is no more
    double *best                        # least cost to an older cluster, or a lower bound of it
    Py_ssize_t *nearest                 # the older cluster that has it; −1: look through the line
    Py_ssize_t *size                    # rows
    Py_ssize_t *member                  # number in the pool
    double *mean                        # of cluster a (p,), and of the part that was joined
    double *other
    double *columns                     # V, (MOST_COLUMNS, p), zeros behind its columns
    double *matrix                      # M, the lower triangle by rows
    double *factor                      # L⁻¹, the same
    double mass, log_det, term, trace
    vec *lanes                          # a vector of each number of M and 2 p more
    double *found                       # costs of a group; a line


cdef inline vec cost_of(const Merger *m, vec mass, vec log_det, vec trace, vec terms) noexcept nogil:
    """t of the merged cluster, less those of its parts"""
    cdef vec n = mass + m.prior
    cdef vec determinant = log_det - vec_log(n) * <double> m.p
    if m.share == 0:
        return n * determinant - terms
    determinant = determinant + m.offset
    cdef vec traces = vec_log((trace * m.share + m.floor) / n)
    cdef vec larger = vec_max(determinant, traces)
    # The smaller part of the sum is e^(smaller − larger) of the larger one.
    cdef vec smaller = vec_exp_above(determinant + traces - larger - larger, vec_of(LEAST_PART))
    return n * (larger + vec_log(smaller + 1)) - terms


cdef inline void put_costs(
    Merger *m, const Pool *pool, Py_ssize_t first, vec log_det, vec between, double *line
) noexcept nogil:
    """line := costs of a group, at the members' places; `between` is γ ‖δ‖²"""
    cdef vec cost = cost_of(
        m, load_unaligned(pool.mass + first) + m.mass, log_det, load_unaligned(pool.trace + first) + m.trace + between,
        load_unaligned(pool.term + first) + m.term)
    cdef Py_ssize_t l
    memcpy(m.found, &cost, sizeof(vec))
    for l in range(min(LANES, pool.n - first)):
        line[pool.place[first + l]] = m.found[l]


cdef void costs_of_rows(Merger *m, double *line) noexcept nogil:
    """line := costs of a row with the rows of the pool: det M = 1 + γ ‖δ‖²"""
    cdef Pool *rows = &m.pools[0]
    cdef Py_ssize_t first = 0, j
    cdef vec square, y, weight
    cdef const double *z
    while first < rows.n:
        z, square = rows.mean + first * m.p, vec_of(0)
        for j in range(m.p):
            y = load_unaligned(z + j * LANES) - m.mean[j]
            square += y * y
        weight = load_unaligned(rows.mass + first)
        square = square * (weight * m.mass / (weight + m.mass))
        put_costs(m, rows, first, vec_log(square + 1), square, line)
        first += LANES


cdef inline vec take_away(Merger *m, const Pool *pool, Py_ssize_t first) noexcept nogil:
    """lanes := √γ δ; returns γ ‖δ‖²"""
    cdef vec weight = load_unaligned(pool.mass + first)
    cdef vec gamma = weight * m.mass / (weight + m.mass), square = vec_of(0), a
    cdef const double *z = pool.mean + first * m.p
    cdef Py_ssize_t j, l
    memcpy(m.found, &gamma, sizeof(vec))
    for l in range(LANES):
        m.found[l] = sqrt(m.found[l])
    gamma = load_unaligned(m.found)
    for j in range(m.p):
        a = load_unaligned(z + j * LANES) - m.mean[j]
        m.lanes[j] = a * gamma
        square += m.lanes[j] * m.lanes[j]
    return square


cdef vec log_determinant(vec *A, vec *u, Py_ssize_t p) noexcept nogil:
    """log det A by A = L D Lᵀ; A (the lower triangle by rows) and u (2 p) are overwritten"""
    cdef vec product = vec_of(1), logarithm = vec_of(0), s, t
    cdef vec *row = A
    cdef vec *above
    cdef vec *inverse = u + p
    cdef Py_ssize_t i, j, k
    for i in range(p):
        above = A
        for j in range(i):
            # u = L D of row i, as far as it is known
            s, t = row[j], vec_of(0)
            k = 0
            while k + 1 < j:
                s -= u[k] * above[k]
                t -= u[k + 1] * above[k + 1]
                k += 2
            if k < j:
                s -= u[k] * above[k]
            u[j] = s + t
            above += j + 1
        s = row[i]
        for j in range(i):
            row[j] = u[j] * inverse[j]
            s -= u[j] * row[j]
        inverse[i] = 1 / s
        product = product * s
        if i % PIVOTS == PIVOTS - 1:
            logarithm = logarithm + vec_log(product)
            product = vec_of(1)
        row += i + 1
    return logarithm + vec_log(product)


cdef inline void costs_by_own_factor(Merger *m, const Pool *pool, int r, double *line) noexcept nogil:
    """line := costs with clusters whose V has r columns, a literal at every call: log det M_a + log det (I + YᵀY)

    Y = L_a⁻¹ [√γ δ | V_b], row by row
    """
    cdef Py_ssize_t p = m.p, first = 0, j, k
    cdef vec y[MOST_COLUMNS + 1]
    cdef vec gram[GRAM]
    cdef vec u[2 * (MOST_COLUMNS + 1)]
    cdef vec square
    cdef const double *V
    cdef const double *row
    cdef int c, e
    while first < pool.n:
        square = take_away(m, pool, first)
        V, row = pool.numbers + first * pool.n_numbers, m.factor
        for c in range(r + 1):
            for e in range(c + 1):
                gram[c * (c + 1) // 2 + e] = vec_of(1 if c == e else 0)
        for j in range(p):
            for c in range(r + 1):
                y[c] = vec_of(0)
            for k in range(j + 1):
                y[0] += m.lanes[k] * row[k]
                for c in range(r):
                    y[1 + c] += load_unaligned(V + (c * p + k) * LANES) * row[k]
            row += j + 1
            for c in range(r + 1):
                for e in range(c + 1):
                    gram[c * (c + 1) // 2 + e] += y[c] * y[e]
        put_costs(m, pool, first, log_determinant(gram, u, r + 1) + m.log_det, square, line)
        first += LANES


cdef inline void costs_by_their_factors(Merger *m, const Pool *pool, int r, double *line) noexcept nogil:
    """line := costs with clusters of matrices, where V_a has up to r columns, a literal: as above, of L_b⁻¹ and V_a"""
    cdef Py_ssize_t p = m.p, first = 0, j, k
    cdef vec y[MOST_COLUMNS + 1]
    cdef vec gram[GRAM]
    cdef vec u[2 * (MOST_COLUMNS + 1)]
    cdef vec a, square
    cdef const double *row
    cdef int c, e
    while first < pool.n:
        square = take_away(m, pool, first)
        row = pool.numbers + first * pool.n_numbers + triangle(p) * LANES
        for c in range(r + 1):
            for e in range(c + 1):
                gram[c * (c + 1) // 2 + e] = vec_of(1 if c == e else 0)
        for j in range(p):
            for c in range(r + 1):
                y[c] = vec_of(0)
            for k in range(j + 1):
                a = load_unaligned(row + k * LANES)
                y[0] += m.lanes[k] * a
                for c in range(r):
                    y[1 + c] += a * m.columns[c * p + k]
            row += (j + 1) * LANES
            for c in range(r + 1):
                for e in range(c + 1):
                    gram[c * (c + 1) // 2 + e] += y[c] * y[e]
        put_costs(
            m, pool, first, log_determinant(gram, u, r + 1) + load_unaligned(pool.log_det + first), square, line)
        first += LANES


cdef void costs_by_matrices(Merger *m, const Pool *pool, double *line) noexcept nogil:
    """line := costs of two clusters of matrices: M = M_a + M_b − I + γ δ δᵀ"""
    cdef Py_ssize_t p = m.p, first = 0, i, j
    cdef vec square
    cdef vec *away = m.lanes
    cdef vec *A = away + 2 * p
    cdef const double *theirs
    cdef const double *own
    cdef vec *row
    while first < pool.n:
        square = take_away(m, pool, first)
        theirs, own, row = pool.numbers + first * pool.n_numbers, m.matrix, A
        for i in range(p):
            for j in range(i + 1):
                row[j] = load_unaligned(theirs + j * LANES) + own[j] + away[i] * away[j]
            row[i] -= 1
            row, own, theirs = row + i + 1, own + i + 1, theirs + (i + 1) * LANES
        put_costs(m, pool, first, log_determinant(A, away, p), square, line)
        first += LANES


cdef void costs_of_cluster(Merger *m, Py_ssize_t which, double *line) noexcept nogil:
    """line := costs of merging cluster a, of this pool, with all others"""
    costs_by_own_factor(m, &m.pools[0], 0, line)
    costs_by_own_factor(m, &m.pools[1], 1, line)
    costs_by_own_factor(m, &m.pools[2], 3, line)
    costs_by_own_factor(m, &m.pools[3], 7, line)
    if which == 1:
        costs_by_their_factors(m, &m.pools[N_POOLS - 1], 1, line)
    elif which == 2:
        costs_by_their_factors(m, &m.pools[N_POOLS - 1], 3, line)
    elif which == 3:
        costs_by_their_factors(m, &m.pools[N_POOLS - 1], 7, line)
    else:
        costs_by_matrices(m, &m.pools[N_POOLS - 1], line)
