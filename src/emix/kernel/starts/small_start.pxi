# The start of a fit of few rows in one call: standardized columns, k-means++, k-means, and the sums of its clusters.
#
# The start of 200 × 2, K 2, takes 15 µs in one call, and 35 in several. The steps are those of clusters.pyx, lloyd.pxi
# and labels.pxi, with the same bits: all rows are one chunk, whose sums one thread takes.

from libc.stdlib cimport free, malloc

include "../shared/uniforms.pxi"


# Rows × features × (components + features) up to which Python's lock is kept: getting it back from another thread may
# take longer than the start, 30 µs. Fits of 200 × 2 in 2 threads at once took 67 to 71 µs each in 8 measurements of 10,
# and up to 116 in the others. With the lock released they took 66 to 70 in 3 of 11, and up to 167 in the others.
cdef Py_ssize_t SHORT = 16000


cdef Py_ssize_t padded(Py_ssize_t n) noexcept nogil:
    """Numbers from the beginning of one column of Z to the beginning of the next

    Whole vectors: the start of 1 000 × 4, K 3, takes 44 µs with them, and 52 with columns aligned to 16 bytes. A few
    more numbers follow, since columns of 8 192 rows right behind each other would share sets of the cache.
    """
    return (n + 7) // 8 * 8 + 16


def small_start(
    int form, const double[:, ::1] X, const double[::1] weight,         # IN: (n, d), (n,) or None for ones
    Py_ssize_t n_clusters, uint64_t seed, uint64_t restart,             # IN: the key of the uniforms
    Py_ssize_t n_candidates,                    # IN: for each centre of k-means++; 0: rows are drawn by weight alone
    Py_ssize_t most_iterations, double squared_step,                    # IN: of k-means
    double[::1] statistics,                                             # OUT: [N | s | S | c]
    /,
):
    """statistics := those of the clusters of k-means from drawn rows; returns False, and none, in rare cases

    With no iterations of k-means, a cluster is the rows that are nearest to a drawn row.

    The rare cases need rules of their own: fewer distinct rows than centres, a row that is drawn twice, a centre that
    loses all of its rows, and weights of 0 alone.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], K = n_clusters
    cdef Py_ssize_t width = K * (1 + d) + spread_size(form, K, d)
    cdef const double *held = NULL
    cdef double *work
    cdef bint done
    check_number("the number of rows", n, 1, MOST_ROWS)
    check_some("features", d)
    check_some("centres", K)
    check_sizes(form, K, d)
    check_length("weight", n if weight is None else weight.shape[0], n)
    check_number("the number of candidates", n_candidates, 0, MOST_CANDIDATES)
    check_length("statistics", statistics.shape[0], width + K * d)
    if weight is not None:
        held = &weight[0]
    work = <double *> malloc(sizeof(double) * (
        ALIGNMENT // sizeof(double) + padded(n) * (d + 3) + 1 + (K - 1) * max(n_candidates, 1) + K * (2 + 3 * d)
        + width + label_workspace(K, d)))
    if work == NULL:
        raise MemoryError(f"there is no memory for the start of {n} rows")
    if n * d * (K + d) <= SHORT:
        done = start_from_clusters(
            form, &X[0, 0], held, n, d, K, seed, restart, n_candidates,
            most_iterations, squared_step, work, &statistics[0])
    else:
        with nogil:
            done = start_from_clusters(
                form, &X[0, 0], held, n, d, K, seed, restart, n_candidates,
                most_iterations, squared_step, work, &statistics[0])
    free(work)
    return done


cdef bint holds_twice(const double *centers, Py_ssize_t k, Py_ssize_t d) noexcept nogil:
    """True if centre k is equal to one before it"""
    cdef Py_ssize_t i, j
    for i in range(k):
        j = 0
        while j < d and centers[i * d + j] == centers[k * d + j]:
            j += 1
        if j == d:
            return True
    return False


cdef bint start_from_clusters(
    int form, const double *X, const double *weight, Py_ssize_t n, Py_ssize_t d, Py_ssize_t K,          # IN
    uint64_t seed, uint64_t restart, Py_ssize_t n_candidates,                                           # IN
    Py_ssize_t most_iterations, double squared_step,                                                    # IN
    double *work,                                                                                       # overwritten
    double *statistics,                                                                                 # OUT
) noexcept nogil:
    """Steps of `small_start`, in given memory; returns False in rare cases"""
    cdef Py_ssize_t stride = padded(n), width = K * (1 + d) + spread_size(form, K, d), row, n_empty, i, j, k, _
    cdef double *Z = <double *> ((<uintptr_t> work + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    cdef double *nearest = Z + d * stride           # D² at first, then the rows' centres
    cdef double *cumulative = nearest + stride      # cumulative sums at first, then the labels
    cdef double *ones = cumulative + stride
    cdef double *uniforms = ones + stride
    cdef double *centers = uniforms + 1 + (K - 1) * max(n_candidates, 1)
    cdef double *sums = centers + K * d
    cdef double *held = sums + K * (1 + d)
    cdef double *about = held + K
    cdef double *slot = about + K * d
    cdef Py_ssize_t *labels = <Py_ssize_t *> cumulative
    cdef double steps = 0
    cdef bint anew = True, alike = weight == NULL
    if alike:
        for i in range(n):
            ones[i] = 1
        weight = ones
    standardize_columns(X, n, d, weight, Z, stride)

    draw_uniforms(seed, restart, 0, 0, 1 + (K - 1) * max(n_candidates, 1), uniforms)
    for i in range(n):
        nearest[i] = INFINITY
    for k in range(K):
        if (k == 0 or n_candidates == 0) and alike:
            row = min(<Py_ssize_t> (uniforms[k] * n), n - 1)    # cumulative weights are 1, 2, …
        elif k == 0 or n_candidates == 0:
            if not draw_rows(weight, NULL, n, uniforms + k, 1, cumulative, &row):
                return False
        else:
            row = draw_center(
                Z, stride, n, d, weight, nearest, uniforms + 1 + (k - 1) * n_candidates, n_candidates, cumulative)
            if row < 0:
                return False
        if k < K - 1 and n_candidates > 0:
            add_center(Z, stride, n, d, row, nearest)
        for j in range(d):
            centers[k * d + j] = Z[j * stride + row]
        if n_candidates == 0 and holds_twice(centers, k, d):
            return False

    forget(nearest, n, sums, K * (1 + d))
    for _ in range(most_iterations):
        move_rows(Z, stride, d, weight, centers, K, 0, n, nearest, sums)
        n_empty = move_centers(sums, 1, K, d, anew, centers, held, &steps)
        if n_empty != 0:
            return False
        anew = False
        if steps <= squared_step:
            break
    assign_rows(Z, stride, d, centers, K, 0, n, labels, NULL)

    # Means from sums about the first row, so that a large offset is not rounded n times; then sums about the means.
    for k in range(K):
        for j in range(d):
            about[k * d + j] = X[j]
    memset(slot, 0, width * sizeof(double))
    add_chunk(form, X, weight, labels, n, about, K, d, True, slot + width, slot)
    move_to_means(slot, 1, width, K, d, about)
    add_chunk(form, X, weight, labels, n, about, K, d, False, slot + width, slot)
    conclude(form, slot, 1, width, K, d, about, statistics)
    return True
