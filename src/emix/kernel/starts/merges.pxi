# Steps that all agglomerations share: equal rows, the first of the least numbers, and labels from merges.
#
# A cluster is named by its place, the first of its rows. A merge (a, b), a < b, gives cluster b's rows to cluster a. So
# a forest of places, each pointing to a smaller one, holds any number of merges.

cdef Py_ssize_t first_least(const double *numbers, Py_ssize_t n, double *least) noexcept nogil:
    """The first of the least numbers; least := that number, HUGE if n is 0"""
    cdef vec smallest = vec_of(HUGE), a
    cdef Py_ssize_t i = 0, l
    least[0] = HUGE
    while i + LANES <= n:
        a = load_unaligned(numbers + i)
        smallest = vec_select(vec_less(a, smallest), a, smallest)
        i += LANES
    for l in range(LANES):
        least[0] = min(least[0], (<double *> &smallest)[l])
    while i < n:
        least[0] = min(least[0], numbers[i])
        i += 1
    for i in range(n):
        if numbers[i] == least[0]:
            return i
    return 0


cdef uint64_t hash_of_row(const double *x, Py_ssize_t d) noexcept nogil:
    """A hash that is the same for equal rows; 0 and −0 are equal"""
    cdef uint64_t mixed = 0, bits
    cdef double a
    cdef Py_ssize_t j
    for j in range(d):
        a = x[j] + 0.0
        memcpy(&bits, &a, sizeof(double))
        mixed = (mixed ^ bits) * <uint64_t> 0x9E3779B97F4A7C15
        mixed ^= mixed >> 29
    return mixed


cdef bint equal_rows(const double *x, const double *y, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(d):
        if x[j] != y[j]:
            return False
    return True


cdef Py_ssize_t find_equals(
    const double *X, Py_ssize_t n, Py_ssize_t d,    # IN: (n, d)
    Py_ssize_t *table, Py_ssize_t n_table,          # overwritten; a power of two
    Py_ssize_t *equals,                             # OUT: (n,)
) noexcept nogil:
    """Steps of `distinct_rows`"""
    cdef Py_ssize_t i, at, found = 0, mask = n_table - 1
    for at in range(n_table):
        table[at] = -1
    for i in range(n):
        at = <Py_ssize_t> (hash_of_row(X + i * d, d) >> 3) & mask
        while table[at] >= 0 and not equal_rows(X + table[at] * d, X + i * d, d):
            at = (at + 1) & mask
        if table[at] < 0:
            table[at] = i
            found += 1
        equals[i] = table[at]
    return found


def distinct_rows(
    const double[:, ::1] X,     # IN: (n, d)
    Py_ssize_t[::1] table,      # overwritten: a power of two of numbers, more than n
    Py_ssize_t[::1] equals,     # OUT: (n,)
    /,
):
    """equals_i := the first row that is equal to row i; returns the number of distinct rows"""
    cdef Py_ssize_t n = X.shape[0], found
    check_some("rows", n)
    check_some("features", X.shape[1])
    check_length("equals", equals.shape[0], n)
    if table.shape[0] <= n or table.shape[0] & (table.shape[0] - 1):
        raise ValueError(f"the table has {table.shape[0]} places, expected a power of two above {n}")
    with nogil:
        found = find_equals(&X[0, 0], n, X.shape[1], &table[0], table.shape[0], &equals[0])
    return found


cdef Py_ssize_t root_of(Py_ssize_t *parent, Py_ssize_t i) noexcept nogil:
    """The place at the root of i's tree; the way there becomes half as long"""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


cdef void name_merges(
    Py_ssize_t n, const Py_ssize_t *a, const Py_ssize_t *b,     # IN: n − 1 merges, a row of each cluster
    Py_ssize_t *parent,                                         # overwritten, (n,)
    Py_ssize_t *kept, Py_ssize_t *joined,                       # OUT
) noexcept nogil:
    """kept, joined := the same merges, clusters named by their first rows"""
    cdef Py_ssize_t i, p, q
    for i in range(n):
        parent[i] = i
    for i in range(n - 1):
        p, q = root_of(parent, a[i]), root_of(parent, b[i])
        kept[i], joined[i] = min(p, q), max(p, q)
        parent[joined[i]] = kept[i]


def named_merges(
    const Py_ssize_t[::1] a, const Py_ssize_t[::1] b,   # IN: (n − 1,)
    Py_ssize_t[::1] parent,                             # overwritten, (n,)
    Py_ssize_t[::1] kept, Py_ssize_t[::1] joined,       # OUT: (n − 1,)
    /,
):
    """kept, joined := merges of the clusters that hold rows a and b; clusters are named by their first rows"""
    cdef Py_ssize_t n = parent.shape[0], i
    check_some("rows", n)
    for name, found in (("a", a), ("b", b), ("kept", kept), ("joined", joined)):
        check_length(name, len(found), n - 1)
    for i in range(n - 1):
        if not (0 <= a[i] < n and 0 <= b[i] < n):
            raise ValueError(f"merge {i} is of rows {a[i]} and {b[i]}, of {n}")
    if n > 1:
        with nogil:
            name_merges(n, &a[0], &b[0], &parent[0], &kept[0], &joined[0])


def merge_labels(
    const Py_ssize_t[::1] kept, const Py_ssize_t[::1] joined, Py_ssize_t n_merges,  # IN: merges (a, b), a < b
    Py_ssize_t[::1] labels,                                                         # OUT: (n,)
    /,
):
    """labels := clusters after the first merges, numbered in the order of their first rows; returns their number"""
    cdef Py_ssize_t n = labels.shape[0], found = 0, i
    check_some("rows", n)
    check_length("joined", joined.shape[0], kept.shape[0])
    check_range(0, n_merges, kept.shape[0], "merges")
    for i in range(n_merges):
        if not 0 <= kept[i] < joined[i] < n:
            raise ValueError(f"merge {i} is of clusters {kept[i]} and {joined[i]}, expected 0 ≤ first < second < {n}")
    with nogil:
        for i in range(n):
            labels[i] = i
        for i in range(n_merges):
            labels[joined[i]] = kept[i]
        for i in range(n):
            # The place that row i points to lies before it, and has its label already.
            if labels[i] == i:
                labels[i] = found
                found += 1
            else:
                labels[i] = labels[labels[i]]
    return found
