# What is asked of rows before a fit: are all values finite, and how far does each column reach. NumPy's reductions are
# as fast along long rows; they take microseconds to start, and ten times as long across short rows.

from cython cimport floating
from libc.math cimport INFINITY


cdef bint rows_within(const floating[:, :] X, floating limit) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            # NaN is within nothing.
            if not (-limit <= X[i, j] <= limit):
                return False
    return True


cdef void reach(const floating[:, :] X, const double[:] weight, double *least, double *greatest) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef double value
    for j in range(X.shape[1]):
        least[j] = INFINITY
        greatest[j] = -INFINITY
    for i in range(X.shape[0]):
        if weight is not None and not weight[i] > 0:
            continue
        for j in range(X.shape[1]):
            value = X[i, j]
            least[j] = value if value < least[j] else least[j]
            greatest[j] = value if value > greatest[j] else greatest[j]


def within(X, bint single, double limit):
    """Are the absolute values of X (n, d), float32 if `single` else float64, at most `limit`?"""
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


def column_range(X, const double[:] weight, bint single, double[:, ::1] extremes):
    """extremes (2, d) := the least and the greatest value of each column of X (n, d), over rows of weight above zero"""
    cdef const double[:, :] rows
    cdef const float[:, :] single_rows
    if single:
        single_rows = X
        with nogil:
            reach(single_rows, weight, &extremes[0, 0], &extremes[1, 0])
    else:
        rows = X
        with nogil:
            reach(rows, weight, &extremes[0, 0], &extremes[1, 0])
