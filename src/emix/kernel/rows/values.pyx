# A look at rows before a fit: are all values finite, and what is each column's range? random.pxi adds the choice of
# rows for a start. NumPy's reductions take microseconds to start, and ten times as long across short rows.

from cython cimport floating
from libc.math cimport INFINITY, fabs

include "../shared/limits.pxi"

largest_double = LARGEST_DOUBLE
largest_single = LARGEST_SINGLE
least_weight = LEAST_WEIGHT
most_weight = MOST_WEIGHT
most_weight_all_features = MOST_WEIGHT_ALL_FEATURES
single_block = SINGLE_BLOCK


cdef enum:
    LANES = 8       # partial results, so that a loop can be done in vectors
    BLOCK = 256     # rows that are read column by column: they stay in the cache


cdef bint all_within(const floating *x, Py_ssize_t n, floating limit) noexcept nogil:
    cdef floating largest[LANES]
    cdef floating nothing[LANES]    # NaN once a value is not finite: 0 · x
    cdef floating value, before
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        largest[l], nothing[l] = 0, 0
    while i < n:
        for l in range(min(LANES, n - i)):
            nothing[l] += x[i + l] * 0
        for l in range(min(LANES, n - i)):
            value, before = fabs(x[i + l]), largest[l]
            largest[l] = value if value > before else before
        i += LANES
    for l in range(LANES):
        if not (largest[l] <= limit and nothing[l] == 0):
            return False
    return True


cdef bint rows_within(const floating[:, :] X, floating limit) noexcept nogil:
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], number = sizeof(floating), i, j
    cdef Py_ssize_t along_rows = X.strides[1], along_columns = X.strides[0]
    if along_rows == number and along_columns == d * number or along_columns == number and along_rows == n * number:
        return all_within(&X[0, 0], n * d, limit)
    for i in range(n):
        for j in range(d):
            if not (-limit <= X[i, j] <= limit):
                return False
    return True


cdef void column_reach(
    const char *x, Py_ssize_t stride, Py_ssize_t n_rows, double *least, double *greatest, floating sample
) noexcept nogil:
    """least, greatest := min(least, values of a column), max(greatest, values of a column)"""
    cdef double low[4]
    cdef double high[4]
    cdef double value
    cdef Py_ssize_t i = 0, l
    for l in range(4):
        low[l], high[l] = least[0], greatest[0]
    # Four rows at a time, whose comparisons do not wait for each other.
    while i + 4 <= n_rows:
        for l in range(4):
            value = (<const floating *> (x + (i + l) * stride))[0]
            low[l] = value if value < low[l] else low[l]
            high[l] = value if value > high[l] else high[l]
        i += 4
    while i < n_rows:
        value = (<const floating *> (x + i * stride))[0]
        low[0] = value if value < low[0] else low[0]
        high[0] = value if value > high[0] else high[0]
        i += 1
    least[0] = min(min(low[0], low[1]), min(low[2], low[3]))
    greatest[0] = max(max(high[0], high[1]), max(high[2], high[3]))


cdef void reach(const floating[:, :] X, const double[:] weight, double *least, double *greatest) noexcept nogil:
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], start = 0, i, j
    cdef double value
    for j in range(d):
        least[j] = INFINITY
        greatest[j] = -INFINITY
    if weight is None:
        while start < n:
            for j in range(d):
                column_reach[floating](
                    <const char *> &X[start, j], X.strides[0], min(BLOCK, n - start), &least[j], &greatest[j], 0)
            start += BLOCK
        return
    for i in range(n):
        if not weight[i] > 0:
            continue
        for j in range(d):
            value = X[i, j]
            least[j] = value if value < least[j] else least[j]
            greatest[j] = value if value > greatest[j] else greatest[j]


def within(X, bint single, double limit):
    """True if the absolute values of X (n, d), float32 if `single` else float64, are at most `limit`"""
    cdef const double[:, :] rows
    cdef const float[:, :] single_rows
    cdef bint found
    if single:
        single_rows = X
        with nogil:
            found = rows_within(single_rows, <float> limit)
    else:
        rows = X
        with nogil:
            found = rows_within(rows, limit)
    return found


cdef int check_room(
    Py_ssize_t n_rows, Py_ssize_t d, const double[:] weight, const double[:, ::1] extremes
) except -1:
    """ValueError unless each row has a weight, if there are weights, and each column its extremes"""
    if weight is not None and weight.shape[0] != n_rows:
        raise ValueError(f"weight has {weight.shape[0]} numbers, expected {n_rows}")
    if d < 1 or extremes.shape[0] != 2 or extremes.shape[1] != d:
        raise ValueError(f"extremes are {extremes.shape[0]} × {extremes.shape[1]}, expected 2 × {d}, with columns")
    return 0


def column_range(X, const double[:] weight, bint single, double[:, ::1] extremes):
    """extremes (2, d) := the least and the greatest value of each column of X (n, d), over rows of weight above zero"""
    cdef const double[:, :] rows
    cdef const float[:, :] single_rows
    if single:
        single_rows = X
        check_room(single_rows.shape[0], single_rows.shape[1], weight, extremes)
        with nogil:
            reach(single_rows, weight, &extremes[0, 0], &extremes[1, 0])
    else:
        rows = X
        check_room(rows.shape[0], rows.shape[1], weight, extremes)
        with nogil:
            reach(rows, weight, &extremes[0, 0], &extremes[1, 0])


include "../shared/random.pxi"
