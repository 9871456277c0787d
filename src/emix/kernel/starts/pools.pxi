# Pools of clusters that are alike in how their scatter is kept. Clusters and their merges: see determinants.pxi.
#
# Each pool holds LANES clusters at a time: pool[b // LANES, j, b mod LANES]. A cluster that leaves is replaced by the
# last one. So costs are taken for full vectors of clusters.

cdef enum:
    N_POOLS = 5
    MOST_COLUMNS = 7    # of a cluster's factor V
    GRAM = 36           # numbers of a triangle of one column more


# Columns of V in a pool: none for rows. The last pool has the matrices themselves.
cdef Py_ssize_t *POOL_COLUMNS = [0, 1, 3, 7, 0]


cdef struct Pool:
    Py_ssize_t n            # members
    Py_ssize_t n_columns    # of V
    Py_ssize_t n_numbers    # of a member's V (columns, p), or of M and L⁻¹, lower triangles by rows
    double *mean            # (groups, p, LANES)
    double *numbers         # (groups, n_numbers, LANES)
    double *mass            # (groups · LANES,), as the next two
    double *log_det         # log det M
    double *term            # t
    double *trace           # tr W
    Py_ssize_t *place       # the members' places among all


cdef inline Py_ssize_t triangle(Py_ssize_t p) noexcept nogil:
    return p * (p + 1) // 2


cdef Py_ssize_t pool_of_size(Py_ssize_t n_rows, Py_ssize_t p) noexcept nogil:
    """The pool of a cluster of so many rows

    A factor of r columns pays where p > 3 r: a cost takes (r + 1) p² / 2 operations with it, p³ / 3 with the matrix.
    """
    cdef Py_ssize_t which
    if n_rows == 1:
        return 0
    for which in range(1, N_POOLS - 1):
        if n_rows - 1 <= POOL_COLUMNS[which] and p > 3 * POOL_COLUMNS[which]:
            return which
    return N_POOLS - 1


cdef Py_ssize_t numbers_of(Py_ssize_t which, Py_ssize_t p) noexcept nogil:
    return 2 * triangle(p) if which == N_POOLS - 1 else POOL_COLUMNS[which] * p


cdef Py_ssize_t most_members(Py_ssize_t which, Py_ssize_t n, Py_ssize_t p) noexcept nogil:
    """Members that a pool may come to hold, in whole vectors"""
    cdef Py_ssize_t least
    for least in range(1, MOST_COLUMNS + 3):
        if pool_of_size(least, p) == which:
            return whole_vectors(n // least + 1, LANES)
    return 0


cdef Py_ssize_t pools_size(Py_ssize_t n, Py_ssize_t p) noexcept nogil:
    """Numbers of memory of all pools"""
    cdef Py_ssize_t size = 0, which
    for which in range(N_POOLS):
        size += most_members(which, n, p) * (p + numbers_of(which, p) + 4)
    return size


cdef inline double *lane_of(double *numbers, Py_ssize_t member, Py_ssize_t width) noexcept nogil:
    """A member's first number; the others follow LANES apart"""
    return numbers + (member // LANES) * width * LANES + member % LANES


cdef void give_pools(
    Pool *pools, double *at, Py_ssize_t *places, Py_ssize_t line, Py_ssize_t n, Py_ssize_t p
) noexcept nogil:
    """Give the pools their memory: places (N_POOLS, line)"""
    cdef Py_ssize_t which, room, b, j
    cdef Pool *pool
    memset(at, 0, pools_size(n, p) * sizeof(double))
    for which in range(N_POOLS):
        pool, room = &pools[which], most_members(which, n, p)
        pool.n, pool.n_columns, pool.n_numbers = 0, POOL_COLUMNS[which], numbers_of(which, p)
        pool.mean = at
        pool.numbers = pool.mean + room * p
        pool.mass = pool.numbers + room * pool.n_numbers
        pool.log_det = pool.mass + room
        pool.term = pool.log_det + room
        pool.trace = pool.term + room
        pool.place = places + which * line
        at = pool.trace + room
    # What a vector has beside its members is not used, but needs determinants too: M = I, of no mass.
    for b in range(most_members(N_POOLS - 1, n, p)):
        for j in range(p):
            lane_of(pools[N_POOLS - 1].numbers, b, 2 * triangle(p))[(triangle(j) + j) * LANES] = 1


cdef Py_ssize_t add_member(
    Pool *pool, Py_ssize_t p,
    Py_ssize_t place, const double *mean, double mass, double log_det, double term, double trace    # IN
) noexcept nogil:
    """Put a cluster into a pool, all but its V or M; returns its number there"""
    cdef Py_ssize_t b = pool.n, j
    cdef double *lane = lane_of(pool.mean, b, p)
    for j in range(p):
        lane[j * LANES] = mean[j]
    pool.mass[b], pool.log_det[b], pool.term[b], pool.trace[b], pool.place[b] = mass, log_det, term, trace, place
    pool.n += 1
    return b


cdef Py_ssize_t take_member(Pool *pool, Py_ssize_t p, Py_ssize_t b) noexcept nogil:
    """Take a cluster out of its pool; returns the place of the one that has moved to where it was"""
    cdef Py_ssize_t last = pool.n - 1, j
    cdef double *to = lane_of(pool.mean, b, p)
    cdef double *source = lane_of(pool.mean, last, p)
    for j in range(p):
        to[j * LANES] = source[j * LANES]
    to, source = lane_of(pool.numbers, b, pool.n_numbers), lane_of(pool.numbers, last, pool.n_numbers)
    for j in range(pool.n_numbers):
        to[j * LANES] = source[j * LANES]
    pool.mass[b], pool.log_det[b], pool.term[b] = pool.mass[last], pool.log_det[last], pool.term[last]
    pool.trace[b], pool.place[b], pool.n = pool.trace[last], pool.place[last], last
    return pool.place[b]
