# Agglomeration by determinants: two clusters are joined where this raises least
#
#     Σ_k t_k,   t_k = (n_k + ν) (log det M_k − p log (n_k + ν)),   M_k = W_k + I
#
# over the clusters k of mass n_k, W_k the scatter of their sphered rows about their means. It is −2 times the
# classification likelihood of Gaussian clusters at the mode of an inverse Wishart prior, but for constants (Fraley and
# Raftery 2007, ν = p + 2, with the total covariance, the identity here, as scale). The prior makes it finite for single
# rows, whose M is I. A merge of a and b, with γ = 1 / (1 / n_a + 1 / n_b) and δ = μ_b − μ_a, makes
#
#     M = M_a + M_b − I + γ δ δᵀ
#     two rows:            det M = 1 + γ ‖δ‖²
#     a cluster and a row: det M = det M_a · (1 + γ ‖L⁻¹ δ‖²),   M_a = L Lᵀ
#     two clusters:        a factorization
#
# Lanes are clusters b. Rows and clusters lie in a pool each, LANES at a time: pool[b // LANES, j, b mod LANES].
#
# Costs are kept in one line for each cluster, and each cluster knows the best of those that are older than itself. So a
# new cluster changes one line alone. Where a cluster's best one is gone, its cost is a lower bound of what is left, and
# its line is looked through when the bound is the least of all.

cdef enum:
    MOST_MERGED = 8192      # rows: costs take 512 MiB
    PIVOTS = 32     # are multiplied before a logarithm is taken: each lies between 1 and 1 + Σ w


cdef struct Pool:
    Py_ssize_t n            # members
    Py_ssize_t n_numbers    # of a member's M
    double *mean            # (groups, p, LANES)
    double *matrix          # (groups, p (p + 1) / 2, LANES): the lower triangle by rows; NULL for rows
    double *mass            # (groups · LANES,)
    double *term            # t, (groups · LANES,)
    Py_ssize_t *place       # the member's place among all


cdef struct Merger:
    Py_ssize_t n, p, stride             # rows, columns, costs of a line
    double prior                        # ν
    Pool pools[2]                       # rows, clusters of several rows
    double *costs                       # (n, stride)
    double *age                         # HUGE for a cluster that is no more
    double *best                        # least cost to an older cluster, or a lower bound of it
    Py_ssize_t *nearest                 # the older cluster that has it; −1: look through the line
    Py_ssize_t *pool_of                 # 0 or 1
    Py_ssize_t *member                  # place in the pool
    double *mean                        # of the cluster that was made last (p,), and of the other part
    double *other
    double *matrix                      # its M, the lower triangle by rows
    double *factor                      # L⁻¹, the lower triangle by rows
    vec *lanes                          # a vector of each number of M and 2 p more
    double *found                       # costs of a group


cdef inline Py_ssize_t triangle(Py_ssize_t p) noexcept nogil:
    return p * (p + 1) // 2


cdef Py_ssize_t pool_size(Py_ssize_t most, Py_ssize_t p, Py_ssize_t n_numbers) noexcept nogil:
    return whole_vectors(most, LANES) * (p + n_numbers + 2)


cdef Py_ssize_t merger_size(Py_ssize_t n, Py_ssize_t p) noexcept nogil:
    """Numbers of memory, but for the costs"""
    return (
        ALIGNMENT // sizeof(double) + (triangle(p) + 2 * p) * LANES + pool_size(n, p, 0)
        + pool_size(n // 2 + 1, p, triangle(p)) + 3 * whole_vectors(n, LANES) + 2 * p + 2 * triangle(p))


cdef double *give_pool(Pool *pool, double *at, Py_ssize_t most, Py_ssize_t p, Py_ssize_t n_numbers) noexcept nogil:
    """Give a pool its memory; returns what follows it"""
    cdef Py_ssize_t room = whole_vectors(most, LANES)
    memset(at, 0, pool_size(most, p, n_numbers) * sizeof(double))
    pool.n, pool.n_numbers = 0, n_numbers
    pool.mean = at
    pool.matrix = at + room * p
    pool.mass = pool.matrix + room * n_numbers
    pool.term = pool.mass + room
    return pool.term + room


cdef inline double *lane_of(double *numbers, Py_ssize_t member, Py_ssize_t width) noexcept nogil:
    """A member's first number; the others follow LANES apart"""
    return numbers + (member // LANES) * width * LANES + member % LANES


cdef double term_of(const Merger *m, double mass, double log_det) noexcept nogil:
    """t = (n + ν) (log det M − p log (n + ν))"""
    return (mass + m.prior) * (log_det - m.p * log(mass + m.prior))


cdef void add_member(
    Merger *m, int which, Py_ssize_t place, const double *mean, const double *matrix, double mass, double term
) noexcept nogil:
    """Put a cluster into a pool; the matrix is NULL for a row"""
    cdef Pool *pool = &m.pools[which]
    cdef Py_ssize_t b = pool.n, j
    cdef double *lane = lane_of(pool.mean, b, m.p)
    for j in range(m.p):
        lane[j * LANES] = mean[j]
    lane = lane_of(pool.matrix, b, pool.n_numbers)
    for j in range(pool.n_numbers):
        lane[j * LANES] = matrix[j]
    pool.mass[b], pool.term[b], pool.place[b] = mass, term, place
    m.pool_of[place], m.member[place] = which, b
    pool.n += 1


cdef void take_member(Merger *m, Py_ssize_t place) noexcept nogil:
    """Take a cluster out of its pool; the last one moves to where it was"""
    cdef Pool *pool = &m.pools[m.pool_of[place]]
    cdef Py_ssize_t b = m.member[place], last = pool.n - 1, j
    cdef double *to = lane_of(pool.mean, b, m.p)
    cdef double *source = lane_of(pool.mean, last, m.p)
    for j in range(m.p):
        to[j * LANES] = source[j * LANES]
    to, source = lane_of(pool.matrix, b, pool.n_numbers), lane_of(pool.matrix, last, pool.n_numbers)
    for j in range(pool.n_numbers):
        to[j * LANES] = source[j * LANES]
    pool.mass[b], pool.term[b], pool.place[b] = pool.mass[last], pool.term[last], pool.place[last]
    m.member[pool.place[b]] = b
    pool.n = last


cdef inline vec cost_of(const Merger *m, vec mass, vec log_det, vec terms) noexcept nogil:
    """t of the merged cluster, less those of its parts"""
    cdef vec n = mass + m.prior
    return n * (log_det - vec_log(n) * <double> m.p) - terms


cdef void costs_to_rows(
    Merger *m, const double *mean, double mass, double log_det, double term,    # IN: of a cluster or a row
    const double *factor,                                                       # IN: L⁻¹; NULL for a row
    Py_ssize_t first, Py_ssize_t last,                                          # IN: members, first a whole vector's
    double *line,                                                               # OUT: by places
) noexcept nogil:
    """line := costs of merging with rows of the pool"""
    cdef Pool *rows = &m.pools[0]
    cdef Py_ssize_t p = m.p, j, k, l
    cdef vec square, y, other, weight
    cdef const double *z
    cdef const double *row
    cdef vec *away = m.lanes
    while first < last:
        z = rows.mean + first * p
        square = vec_of(0)
        if factor == NULL:
            for j in range(p):
                y = load_unaligned(z + j * LANES) - mean[j]
                square += y * y
        else:
            for j in range(p):
                away[j] = load_unaligned(z + j * LANES) - mean[j]
            row = factor
            for j in range(p):
                y, other = vec_of(0), vec_of(0)
                k = 0
                while k < j:
                    y += away[k] * row[k]
                    other += away[k + 1] * row[k + 1]
                    k += 2
                if k == j:
                    y += away[j] * row[j]
                y += other
                square += y * y
                row += j + 1
        weight = load_unaligned(rows.mass + first)
        y = weight + mass
        square = vec_log(square * (weight * mass / y) + 1) + log_det
        y = cost_of(m, y, square, load_unaligned(rows.term + first) + term)
        memcpy(m.found, &y, sizeof(vec))
        for l in range(min(LANES, last - first)):
            line[rows.place[first + l]] = m.found[l]
        first += LANES


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
        s, t = row[i], vec_of(0)
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


cdef void costs_to_clusters(
    Merger *m, double mass, double term,    # IN: of the cluster whose mean and matrix m has
    double *line,                           # OUT: by places
) noexcept nogil:
    """line := costs of merging with clusters of the pool"""
    cdef Pool *pool = &m.pools[1]
    cdef Py_ssize_t p = m.p, first = 0, i, j, l
    cdef vec *A = m.lanes
    cdef vec *u = A + triangle(p)
    cdef const double *z
    cdef const double *matrix
    cdef const double *own
    cdef vec *row
    cdef vec weight, merged, a
    while first < pool.n:
        z, matrix = pool.mean + first * p, pool.matrix + first * triangle(p)
        weight = load_unaligned(pool.mass + first)
        merged = weight + mass
        for j in range(p):
            u[j] = load_unaligned(z + j * LANES) - m.mean[j]
        row, own = A, m.matrix
        for i in range(p):
            a = u[i] * (weight * mass / merged)
            for j in range(i + 1):
                row[j] = load_unaligned(matrix + j * LANES) + own[j] + a * u[j]
            row[i] -= 1
            row, own, matrix = row + i + 1, own + i + 1, matrix + (i + 1) * LANES
        a = log_determinant(A, u, p)
        a = cost_of(m, merged, a, load_unaligned(pool.term + first) + term)
        memcpy(m.found, &a, sizeof(vec))
        for l in range(min(LANES, pool.n - first)):
            line[pool.place[first + l]] = m.found[l]
        first += LANES


cdef void begin_merges(Merger *m, const double *Y, Py_ssize_t stride, const double *weight) noexcept nogil:
    """All rows go into their pool, and all costs of pairs of rows are taken"""
    cdef Py_ssize_t i, j
    cdef double term
    for i in range(m.n):
        for j in range(m.p):
            m.mean[j] = Y[j * stride + i]
        term = term_of(m, weight[i], 0)
        add_member(m, 0, i, m.mean, NULL, weight[i], term)
        m.age[i] = i
        # The pool holds the rows before this one, and itself.
        costs_to_rows(m, m.mean, weight[i], 0, term, NULL, 0, i, m.costs + i * m.stride)
        m.nearest[i] = first_least(m.costs + i * m.stride, i, m.best + i)
    m.nearest[0] = -1


cdef void look_through(Merger *m, Py_ssize_t i) noexcept nogil:
    """The best of the clusters that are older than i"""
    cdef const double *line = m.costs + i * m.stride
    cdef double *chosen = m.found
    cdef double age = m.age[i]
    cdef Py_ssize_t j
    for j in range(m.n):
        chosen[j] = line[j] if m.age[j] < age else HUGE
    m.nearest[i] = first_least(chosen, m.n, m.best + i)


cdef double product_sum(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    """Σ a b"""
    cdef double partial[PARTS]
    cdef Py_ssize_t i = 0, l
    for l in range(PARTS):
        partial[l] = 0
    while i + PARTS <= n:
        for l in range(PARTS):
            partial[l] += a[i + l] * b[i + l]
        i += PARTS
    while i < n:
        partial[0] += a[i] * b[i]
        i += 1
    for l in range(1, PARTS):
        partial[0] += partial[l]
    return partial[0]


cdef double factorize(
    const double *matrix, Py_ssize_t p,     # IN: M, the lower triangle by rows
    double *factor,                         # OUT: L⁻¹, the same
    double *line,                           # overwritten, (p,)
) noexcept nogil:
    """factor := L⁻¹ of M = L Lᵀ; returns log det M"""
    cdef Py_ssize_t i, j, k
    cdef double log_det = 0, s
    cdef double *row = factor
    cdef const double *above
    for i in range(p):
        # Row i of L is L⁻¹ m_i, by the rows of L⁻¹ that are known.
        s, above = matrix[i], factor
        for j in range(i):
            line[j] = product_sum(above, matrix, j + 1)
            s -= line[j] * line[j]
            above += j + 1
        log_det += log(s)
        s = 1 / sqrt(s)
        # Row i of L⁻¹: −Σ_k L_ik (L⁻¹)_k / L_ii, and 1 / L_ii on the diagonal
        memset(row, 0, i * sizeof(double))
        above = factor
        for k in range(i):
            for j in range(k + 1):
                row[j] -= s * line[k] * above[j]
            above += k + 1
        row[i] = s
        row, matrix = row + i + 1, matrix + i + 1
    return log_det


cdef double join(Merger *m, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """m.mean, m.matrix := those of two clusters together; returns its mass. Both leave their pools."""
    cdef Py_ssize_t p = m.p, place = a, i, j, c
    cdef double mass[2]
    cdef double *mean = m.mean
    cdef double *row = m.matrix
    cdef const double *lane
    cdef Pool *pool
    cdef double share, gamma, ones = 1
    memset(m.matrix, 0, triangle(p) * sizeof(double))
    for c in range(2):
        pool, i = &m.pools[m.pool_of[place]], m.member[place]
        mass[c], lane = pool.mass[i], lane_of(pool.mean, i, p)
        for j in range(p):
            mean[j] = lane[j * LANES]
        if pool.n_numbers > 0:
            lane, ones = lane_of(pool.matrix, i, pool.n_numbers), ones - 1
            for j in range(pool.n_numbers):
                m.matrix[j] += lane[j * LANES]
        take_member(m, place)
        place, mean = b, m.other
    # M = I + …, however many parts have an identity of their own
    share, gamma = mass[1] / (mass[0] + mass[1]), mass[0] * mass[1] / (mass[0] + mass[1])
    for i in range(p):
        m.other[i] -= m.mean[i]
        for j in range(i + 1):
            row[j] += gamma * m.other[i] * m.other[j]
        row[i] += ones
        m.mean[i] += share * m.other[i]
        row += i + 1
    return mass[0] + mass[1]


cdef bint next_merge(Merger *m, double age, Py_ssize_t *kept, Py_ssize_t *joined, double *height) noexcept nogil:
    """Join the two clusters that this costs least; False if no cost is finite"""
    cdef Py_ssize_t i, a, b
    cdef double mass, log_det, term
    cdef double *line
    while True:
        i = first_least(m.best, m.n, height)
        if not height[0] < HUGE:
            return False
        if m.nearest[i] >= 0:
            break
        look_through(m, i)
    a, b = min(i, m.nearest[i]), max(i, m.nearest[i])
    kept[0], joined[0], line = a, b, m.costs + a * m.stride
    mass = join(m, a, b)
    log_det = factorize(m.matrix, m.p, m.factor, m.other)
    term = term_of(m, mass, log_det)
    m.age[a], m.age[b], m.best[b] = age, HUGE, HUGE
    for i in range(m.n):
        if m.nearest[i] == a or m.nearest[i] == b:
            m.nearest[i] = -1
    costs_to_rows(m, m.mean, mass, log_det, term, m.factor, 0, m.pools[0].n, line)
    costs_to_clusters(m, mass, term, line)
    add_member(m, 1, a, m.mean, m.matrix, mass, term)
    look_through(m, a)
    return True


def merger_workspace(Py_ssize_t n, Py_ssize_t p, /):
    """Numbers of the work array of `DeterminantMerges`, and of a line of its costs"""
    check_number("the number of rows", n, 1, MOST_MERGED)
    check_number("the number of columns", p, 0, MOST_MERGED)
    return merger_size(n, p), whole_vectors(n, LANES)


cdef class DeterminantMerges:
    """Merges that raise the criterion least, one after the other: `advance` by some of them at a time."""

    cdef double[:, ::1] costs
    cdef double[::1] work
    cdef Py_ssize_t[:, ::1] places
    cdef Py_ssize_t[::1] kept, joined
    cdef double[::1] heights
    cdef Merger m
    cdef Py_ssize_t done

    def __cinit__(
        self, const double[:, :] Y, const double[::1] weight, Py_ssize_t p, double prior,   # IN: (≥ p, n), (n,), ν
        double[:, ::1] costs, double[::1] work, Py_ssize_t[:, ::1] places,      # overwritten: sizes, (5, n + 1)
        Py_ssize_t[::1] kept, Py_ssize_t[::1] joined, double[::1] heights,      # OUT: (n − 1,)
        /,
    ):
        cdef Py_ssize_t n = Y.shape[1]
        cdef Merger *m = &self.m
        cdef double *at
        check_features(Y)
        check_number("the number of columns", p, 0, Y.shape[0])
        check_length("weight", weight.shape[0], n)
        check_shape("costs", costs.shape[0], costs.shape[1], n, whole_vectors(n, LANES))
        check_length("work", work.shape[0], merger_size(n, p))
        check_shape("places", places.shape[0], places.shape[1], 5, n + 1)
        check_length("kept", kept.shape[0], n - 1)
        check_length("joined", joined.shape[0], n - 1)
        check_length("heights", heights.shape[0], n - 1)
        self.costs, self.work, self.places = costs, work, places
        self.kept, self.joined, self.heights, self.done = kept, joined, heights, 0
        m.n, m.p, m.stride, m.prior, m.costs = n, p, costs.shape[1], prior, &costs[0, 0]
        at = <double *> ((<uintptr_t> &work[0] + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        m.lanes = <vec *> at
        at = give_pool(&m.pools[0], at + (triangle(p) + 2 * p) * LANES, n, p, 0)
        at = give_pool(&m.pools[1], at, n // 2 + 1, p, triangle(p))
        m.found, m.age = at, at + whole_vectors(n, LANES)
        m.best, m.mean = m.age + n, m.age + 2 * n
        m.other = m.mean + p
        m.matrix = m.other + p
        m.factor = m.matrix + triangle(p)
        m.nearest, m.pool_of, m.member = &places[0, 0], &places[1, 0], &places[2, 0]
        m.pools[0].place, m.pools[1].place = &places[3, 0], &places[4, 0]
        with nogil:
            begin_merges(m, &Y[0, 0], Y.strides[0] // sizeof(double), &weight[0])

    def advance(self, Py_ssize_t n_merges, /):
        """Do so many merges, or all that are left; returns how many are left then"""
        cdef Py_ssize_t last = min(self.m.n - 1, self.done + n_merges)
        cdef bint found = True
        with nogil:
            while self.done < last and found:
                found = next_merge(
                    &self.m, self.m.n + self.done, &self.kept[self.done], &self.joined[self.done],
                    &self.heights[self.done])
                self.done += found
        if not found:
            raise ValueError("no merge has a finite cost, expected weights and sphered rows of moderate size")
        return self.m.n - 1 - self.done
