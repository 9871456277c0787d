# Two components of a mixture alone: the rows that belong to them, and sums of random halves of these.
#
# Of few rows these steps take 10 to 50 µs. Python's lock is then kept: a thread that waits for it, as two climbs at
# once do, gets it 30 to 50 µs after it is free.

from libc.stdint cimport uint32_t

# Numbers that are read, and products that are added up, for which the lock is kept.
cdef Py_ssize_t FEW_NUMBERS = 65536, FEW_PRODUCTS = 100000


def rows_of_pair(
    const double[:, ::1] X, const double[::1] weight,                       # IN: (n, d), (n,) or None for ones
    const double[:, ::1] responsibilities, const double[::1] log_density,   # IN: (n, K), (n,)
    Py_ssize_t first, Py_ssize_t second, double pair_weight, double least,  # IN: the components, π_k + π_l, a share
    double[:, ::1] rows, double[::1] shares,                                # OUT: room for (n, d), (n,)
    double[:, ::1] extremes,                                                # OUT: (2, d), of the columns of these rows
    /,
):
    """rows, shares := the rows of which two components have more than the least share, and u = w (r_k + r_l)

    Returns the number of rows; Σ u, max u and Σ (u / max u)²; and Σ u log f, with f = p (r_k + r_l) / (π_k + π_l) the
    density of the two components alone, and p that of the whole mixture.
    """
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], K = responsibilities.shape[1], count = 0
    cdef const double *held = NULL
    cdef double sums[4]
    check_some("rows", n)
    check_some("features", d)
    check_number("a component", min(first, second), 0, K - 1)
    check_number("a component", max(first, second), 0, K - 1)
    check_length("responsibilities", responsibilities.shape[0], n)
    check_length("log-densities", log_density.shape[0], n)
    check_length("weight", n if weight is None else weight.shape[0], n)
    check_length("rows", rows.shape[0], n)
    check_length("a row", rows.shape[1], d)
    check_length("shares", shares.shape[0], n)
    check_length("extremes", extremes.shape[0], 2)
    check_length("a column's extremes", extremes.shape[1], d)
    if weight is not None:
        held = &weight[0]
    if n * (d + 4) <= FEW_NUMBERS:
        count = take_rows_of_pair(
            &X[0, 0], held, &responsibilities[0, 0], &log_density[0], n, d, K, first, second, pair_weight, least,
            &rows[0, 0], &shares[0], &extremes[0, 0], sums)
    else:
        with nogil:
            count = take_rows_of_pair(
                &X[0, 0], held, &responsibilities[0, 0], &log_density[0], n, d, K, first, second, pair_weight, least,
                &rows[0, 0], &shares[0], &extremes[0, 0], sums)
    return count, sums[0], sums[1], sums[2], sums[3]


cdef Py_ssize_t take_rows_of_pair(
    const double *X, const double *weight, const double *responsibilities, const double *log_density,       # IN
    Py_ssize_t n, Py_ssize_t d, Py_ssize_t K, Py_ssize_t first, Py_ssize_t second,                          # IN
    double pair_weight, double least,                                                                       # IN
    double *rows, double *shares, double *extremes, double *sums,                                           # OUT
) noexcept nogil:
    """Steps of `rows_of_pair`"""
    cdef Py_ssize_t i, j, count = 0
    cdef double share, total = 0, largest = 0, squared = 0, log_likelihood = 0, log_weight = log(pair_weight)
    cdef double *row = rows
    for j in range(d):
        extremes[j], extremes[d + j] = INFINITY, -INFINITY
    for i in range(n):
        share = responsibilities[i * K + first] + responsibilities[i * K + second]
        if share > least and (weight == NULL or weight[i] > 0):
            for j in range(d):
                row[j] = X[i * d + j]
                extremes[j] = min(extremes[j], row[j])
                extremes[d + j] = max(extremes[d + j], row[j])
            row += d
            shares[count] = share if weight == NULL else weight[i] * share
            total += shares[count]
            largest = max(largest, shares[count])
            log_likelihood += shares[count] * (log_density[i] + log(share) - log_weight)
            count += 1
    for i in range(count):
        squared += (shares[i] / largest) * (shares[i] / largest)
    sums[0], sums[1], sums[2], sums[3] = total, largest, squared, log_likelihood
    return count


def sums_of_halves(
    int form, const double[:, ::1] X, const double[::1] weight,     # IN: (n, d), (n,)
    const double[:, ::1] uniforms,                                  # IN: (n_sums, (n + 31) // 32) in [0, 1)
    double[:, ::1] statistics,                                      # OUT: (n_sums, …), each [N | s | S | c]
    /,
):
    """statistics := those of two labels, which the bits of uniform numbers give to the rows, about the labels' means"""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], n_sums = uniforms.shape[0]
    cdef Py_ssize_t width = 2 * (1 + d) + spread_size(form, 2, d)
    cdef double *work
    check_some("rows", n)
    check_some("features", d)
    check_sizes(form, 2, d)
    check_length("weight", weight.shape[0], n)
    check_length("uniforms", uniforms.shape[1], (n + 31) // 32)
    check_length("sums", statistics.shape[0], n_sums)
    check_length("statistics", statistics.shape[1], width + 2 * d)
    if n_sums == 0:
        return
    work = <double *> malloc(sizeof(double) * (n + 2 * d + width + label_workspace(2, d)))
    if work == NULL:
        raise MemoryError(f"there is no memory for sums of {n} rows")
    if n_sums * n * d * (d + 3) <= FEW_PRODUCTS:
        add_up_halves(form, &X[0, 0], &weight[0], &uniforms[0, 0], n_sums, n, d, work, &statistics[0, 0])
    else:
        with nogil:
            add_up_halves(form, &X[0, 0], &weight[0], &uniforms[0, 0], n_sums, n, d, work, &statistics[0, 0])
    free(work)


cdef void add_up_halves(
    int form, const double *X, const double *weight, const double *uniforms,                # IN
    Py_ssize_t n_sums, Py_ssize_t n, Py_ssize_t d,                                          # IN
    double *work,                                                                           # overwritten
    double *statistics,                                                                     # OUT
) noexcept nogil:
    """Steps of `sums_of_halves`, in given memory"""
    cdef Py_ssize_t width = 2 * (1 + d) + spread_size(form, 2, d), first, number, i, k, j
    cdef Py_ssize_t *labels = <Py_ssize_t *> work
    cdef double *about = work + n
    cdef double *slot = about + 2 * d
    cdef uint32_t bits = 0
    cdef bint only_means
    for number in range(n_sums):
        for i in range(n):
            if i % 32 == 0:
                bits = <uint32_t> (uniforms[i // 32] * 4294967296.0)
            labels[i] = bits >> (i % 32) & 1
        for k in range(2):
            for j in range(d):
                about[k * d + j] = X[j]
        memset(slot, 0, width * sizeof(double))
        for only_means in (True, False):
            first = 0
            while first < n:
                add_chunk(
                    form, X + first * d, weight + first, labels + first, min(n - first, MOST_ROWS), about, 2, d,
                    only_means, slot + width, slot)
                first += MOST_ROWS
            if only_means:
                move_to_means(slot, 1, width, 2, d, about)
        conclude(form, slot, 1, width, 2, d, about, statistics)
        uniforms += (n + 31) // 32
        statistics += width + 2 * d
