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
#     two rows:                            det M = 1 + γ ‖δ‖²
#     a cluster and one of W_b = V Vᵀ:     det M = det M_a · det (I + YᵀY),   Y = L⁻¹ [√γ δ | V],   M_a = L Lᵀ
#     two large clusters:                  a factorization
#
# V has a column less than the cluster has rows, none for a row.
#
# The other criterion, of Banfield and Raftery (1993) and Fraley (1998), has no prior:
#
#     t_k = n_k log(det (W_k / n_k) + (tr W_k + c) / n_k)
#
# Traces, and c, make it finite for few rows, whose det W_k is 0. It is that of M = (W + ε I) / ε with an ε below
# rounding: the rows come divided by √ε, so that their scatter is W / ε. Of equal costs the last one is taken, which is
# mclust's choice too. It matters where rows are equal: the first cluster of two rows draws others to it.
#
# Costs are kept in one line for each cluster, and each cluster knows the best of those that are older than itself. So a
# new cluster changes one line alone. Where a cluster's best one is gone, its cost is a lower bound of what is left, and
# its line is looked through when the bound is the least of all.

cdef enum:
    MOST_MERGED = 8192      # rows: costs take 512 MiB

include "pools.pxi"
include "merge_costs.pxi"


cdef Py_ssize_t merger_size(Py_ssize_t n, Py_ssize_t p) noexcept nogil:
    """Numbers of memory, but for the costs"""
    return (
        ALIGNMENT // sizeof(double) + (triangle(p) + 2 * p) * LANES + pools_size(n, p) + 3 * whole_vectors(n, LANES)
        + (2 + MOST_COLUMNS) * p + 2 * triangle(p))


cdef double term_of(const Merger *m, double mass, double log_det, double trace) noexcept nogil:
    """t of a cluster"""
    cdef double determinant = log_det - m.p * log(mass + m.prior), traces, larger
    if m.share == 0:
        return (mass + m.prior) * determinant
    determinant += m.offset
    traces = log((trace * m.share + m.floor) / mass)
    larger = max(determinant, traces)
    return mass * (larger + log(1 + exp(min(determinant, traces) - larger)))


cdef Py_ssize_t chosen_least(const Merger *m, const double *numbers, Py_ssize_t n, double *least) noexcept nogil:
    """Of the least numbers the first one, or the last one with the criterion of traces; least := that number"""
    cdef Py_ssize_t i = first_least(numbers, n, least)
    if m.share != 0:
        for i in range(n - 1, -1, -1):
            if numbers[i] == least[0]:
                break
    return i


cdef void begin_merges(Merger *m, const double *Y, Py_ssize_t stride, const double *weight) noexcept nogil:
    """All rows go into their pool, and all costs of pairs of rows are taken"""
    cdef Py_ssize_t i, j
    for i in range(m.n):
        for j in range(m.p):
            m.mean[j] = Y[j * stride + i]
        m.mass, m.trace, m.term = weight[i], 0, term_of(m, weight[i], 0, 0)
        # The pool holds the rows before this one.
        costs_of_rows(m, m.costs + i * m.stride)
        m.nearest[i] = chosen_least(m, m.costs + i * m.stride, i, m.best + i)
        m.age[i], m.size[i] = i, 1
        m.member[i] = add_member(&m.pools[0], m.p, i, m.mean, m.mass, 0, m.term, 0)
    m.nearest[0] = -1


cdef void look_through(Merger *m, Py_ssize_t i) noexcept nogil:
    """The best of the clusters that are older than i"""
    cdef const double *line = m.costs + i * m.stride
    cdef double *chosen = m.found
    cdef double age = m.age[i]
    cdef Py_ssize_t j
    for j in range(m.n):
        chosen[j] = line[j] if m.age[j] < age else HUGE
    m.nearest[i] = chosen_least(m, chosen, m.n, m.best + i)


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


cdef void add_product(const double *v, double factor, Py_ssize_t p, double *matrix) noexcept nogil:
    """matrix += factor · v vᵀ, the lower triangle by rows"""
    cdef Py_ssize_t i, j
    for i in range(p):
        for j in range(i + 1):
            matrix[j] += factor * v[i] * v[j]
        matrix += i + 1


cdef Py_ssize_t join(Merger *m, Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """Cluster a of `m` := two clusters together. Both leave their pools; returns the pool of their sum.

    M = I + W_a + W_b + γ δ δᵀ
    """
    cdef Py_ssize_t p = m.p, place = a, n_columns = 0, which, i, j, c, part
    cdef double mass[2]
    cdef double *mean = m.mean
    cdef double *column
    cdef const double *lane
    cdef Pool *pool
    cdef double share, root
    memset(m.matrix, 0, triangle(p) * sizeof(double))
    m.trace = 0
    for part in range(2):
        which, i = pool_of_size(m.size[place], p), m.member[place]
        pool = &m.pools[which]
        mass[part], lane = pool.mass[i], lane_of(pool.mean, i, p)
        m.trace += pool.trace[i]
        for j in range(p):
            mean[j] = lane[j * LANES]
        lane = lane_of(pool.numbers, i, pool.n_numbers)
        if which == N_POOLS - 1:
            for j in range(triangle(p)):
                m.matrix[j] += lane[j * LANES]
            for j in range(p):
                m.matrix[triangle(j) + j] -= 1
        else:
            # Both have small factors, or the columns of one begin anew behind those of a matrix.
            for c in range(m.size[place] - 1):
                column = m.columns + (n_columns if n_columns < MOST_COLUMNS else 0) * p
                for j in range(p):
                    column[j] = lane[(c * p + j) * LANES]
                add_product(column, 1, p, m.matrix)
                n_columns += 1
        m.member[take_member(pool, p, i)] = i
        place, mean = b, m.other
    share, root = mass[1] / (mass[0] + mass[1]), sqrt(mass[0] * mass[1] / (mass[0] + mass[1]))
    column = m.columns + (n_columns if n_columns < MOST_COLUMNS else 0) * p
    for j in range(p):
        column[j] = m.other[j] - m.mean[j]
        m.mean[j] += share * column[j]
        column[j] *= root
        m.trace += column[j] * column[j]
        m.matrix[triangle(j) + j] += 1
    add_product(column, 1, p, m.matrix)
    m.size[a] += m.size[b]
    which = pool_of_size(m.size[a], p)
    for j in range(m.size[a] - 1, POOL_COLUMNS[which]):
        memset(m.columns + j * p, 0, p * sizeof(double))
    m.mass = mass[0] + mass[1]
    m.log_det = factorize(m.matrix, p, m.factor, m.other)
    m.term = term_of(m, m.mass, m.log_det, m.trace)
    return which


cdef void put_numbers(Merger *m, Pool *pool, Py_ssize_t member) noexcept nogil:
    """Put V, or M and L⁻¹, of cluster a into its pool"""
    cdef double *lane = lane_of(pool.numbers, member, pool.n_numbers)
    cdef Py_ssize_t size = triangle(m.p), j
    if pool.n_columns > 0:
        for j in range(pool.n_numbers):
            lane[j * LANES] = m.columns[j]
    else:
        for j in range(size):
            lane[j * LANES] = m.matrix[j]
            lane[(size + j) * LANES] = m.factor[j]


cdef bint next_merge(Merger *m, double age, Py_ssize_t *kept, Py_ssize_t *joined, double *height) noexcept nogil:
    """Join the two clusters that this costs least; False if no cost is finite"""
    cdef Py_ssize_t i, a, b, which
    while True:
        i = chosen_least(m, m.best, m.n, height)
        if not height[0] < HUGE:
            return False
        if m.nearest[i] >= 0:
            break
        look_through(m, i)
    a, b = min(i, m.nearest[i]), max(i, m.nearest[i])
    kept[0], joined[0] = a, b
    which = join(m, a, b)
    m.age[a], m.age[b], m.best[b] = age, HUGE, HUGE
    for i in range(m.n):
        if m.nearest[i] == a or m.nearest[i] == b:
            m.nearest[i] = -1
    costs_of_cluster(m, which, m.costs + a * m.stride)
    m.member[a] = add_member(&m.pools[which], m.p, a, m.mean, m.mass, m.log_det, m.term, m.trace)
    put_numbers(m, &m.pools[which], m.member[a])
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
        double[:, ::1] costs, double[::1] work, Py_ssize_t[:, ::1] places,      # overwritten: sizes, (8, n + 1)
        Py_ssize_t[::1] kept, Py_ssize_t[::1] joined, double[::1] heights,      # OUT: (n − 1,)
        double share=0, double floor=0,                                         # IN: ε and c
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
        check_shape("places", places.shape[0], places.shape[1], 3 + N_POOLS, n + 1)
        check_length("kept", kept.shape[0], n - 1)
        check_length("joined", joined.shape[0], n - 1)
        check_length("heights", heights.shape[0], n - 1)
        self.costs, self.work, self.places = costs, work, places
        self.kept, self.joined, self.heights, self.done = kept, joined, heights, 0
        m.n, m.p, m.stride, m.prior, m.costs = n, p, costs.shape[1], prior, &costs[0, 0]
        m.share, m.floor, m.offset = share, floor, p * log(share) if share > 0 else 0
        at = <double *> ((<uintptr_t> &work[0] + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        m.lanes = <vec *> at
        at += (triangle(p) + 2 * p) * LANES
        give_pools(m.pools, at, &places[3, 0], n + 1, n, p)
        m.found = at + pools_size(n, p)
        m.age = m.found + whole_vectors(n, LANES)
        m.best, m.mean = m.age + n, m.age + 2 * n
        m.other = m.mean + p
        m.columns = m.other + p
        m.matrix = m.columns + MOST_COLUMNS * p
        m.factor = m.matrix + triangle(p)
        m.nearest, m.size, m.member = &places[0, 0], &places[1, 0], &places[2, 0]
        with nogil:
            begin_merges(m, &Y[0, 0], Y.strides[0] // sizeof(double), &weight[0])

    def advance(self, Py_ssize_t n_merges, /):
        """Do so many merges, or all that are left; returns how many are left then"""
        cdef Py_ssize_t i = self.done, last = min(self.m.n - 1, self.done + n_merges)
        cdef bint found = True
        cdef Py_ssize_t *kept
        cdef Py_ssize_t *joined
        cdef double *heights
        if i < last:
            kept, joined, heights = &self.kept[0], &self.joined[0], &self.heights[0]
            with nogil:
                while i < last and found:
                    found = next_merge(&self.m, self.m.n + i, kept + i, joined + i, heights + i)
                    i += found
            self.done = i
        if not found:
            raise ValueError("no merge has a finite cost, expected weights and sphered rows of moderate size")
        return self.m.n - 1 - self.done
