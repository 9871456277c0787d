# The steps of a start: standardized rows and k-means++. lloyd.pxi adds k-means, labels.pxi sums over clusters, and
# small_start.pxi all steps in one call. pairs.pxi has what two components alone begin with. merges.pxi and those after
# it agglomerate rows.
#
# Standardized rows are stored feature by feature, Z (d, n) with Z.strides[1] that of a number. So a vector holds one
# feature of several rows, and the compiler vectorizes loops over rows by itself. BLOCK rows at a time stay in the
# first-level cache. This source is compiled once for each instruction-set level.
#
#     D²_i = min_k ‖z_i − c_k‖²,  the least over the centres k
#
# Sums over rows are taken chunk by chunk, and the chunks are added in order. So sums do not depend on the number of
# threads. Only short calls, for very small starts and for pairs, hold Python's lock in their loops over rows, and only
# `small_start` and `sums_of_halves` allocate. Calls whose work grows faster than the rows' numbers take a range of
# rows. Their callers make the range short enough to look at signals between two calls.
# All arguments are positional: with names, a module would be larger by a fiftieth.

from libc.math cimport INFINITY, exp, log, sqrt
from libc.string cimport memcpy, memset

include "../shared/lanes.pxi"
include "../shared/layout.pxi"
include "../shared/checks.pxi"

cdef enum:
    BLOCK = 256     # rows: 20 KiB at d = 10
    MOST_CANDIDATES = 64    # callers ask for 2 + log K of them
    PARTS = 8       # partial sums, so that a sum can be done in vectors of any level
    GROUP_VECTORS = 4   # vectors of rows whose nearest centres are found together
    FEW = 32        # rows that are tested together for a change of centre

block_rows = BLOCK

cdef double HUGE = 1.7976931348623157e308

# Share of all weight. If a cluster holds less, rounding errors of rows that left it may count. In sums of standardized
# rows they are some eps of the whole for each row that moved.
cdef double LEAST_SHARE = 1e-6


cdef int check_some(str name, Py_ssize_t n) except -1:
    if n < 1:
        raise ValueError(f"there are no {name}, expected 1 or more")
    return 0


cdef int check_number(str name, Py_ssize_t found, Py_ssize_t least, Py_ssize_t most) except -1:
    if not least <= found <= most:
        raise ValueError(f"{name} is {found}, expected {least} to {most}")
    return 0


cdef int check_features(const double[:, :] Z) except -1:
    """ValueError unless there are rows, stored next to each other for each feature"""
    check_some("features", Z.shape[0])
    check_some("rows", Z.shape[1])
    if Z.shape[1] > 1 and Z.strides[1] != sizeof(double):
        raise ValueError(f"{Z.strides[1]} bytes are between the rows of Z, expected that they lie next to each other")
    return 0


cdef int check_columns(const double[:, ::1] X, const double[:, :] Z) except -1:
    """ValueError unless Z (d, n) has room for X (n, d)"""
    check_features(Z)
    check_length("a column of X", X.shape[0], Z.shape[1])
    check_length("a row of X", X.shape[1], Z.shape[0])
    return 0


cdef void squared_distances(
    const double *z, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t d,    # IN: z[j · stride + i], at the first row
    const double *center, Py_ssize_t step,                                  # IN: c[j] = center[j · step]
    double *distance,                                                       # OUT: (n_rows,)
) noexcept nogil:
    """distance_i := ‖z_i − c‖²"""
    cdef Py_ssize_t i, j = 0
    cdef double a, b, e, f, c0, c1, c2, c3
    cdef const double *x
    for i in range(n_rows):
        distance[i] = 0
    # Four features at a time: the sums are loaded and stored a quarter as often.
    while j + 4 <= d:
        x = z + j * stride
        c0, c1, c2, c3 = center[j * step], center[(j + 1) * step], center[(j + 2) * step], center[(j + 3) * step]
        for i in range(n_rows):
            a = x[i] - c0
            b = x[stride + i] - c1
            e = x[2 * stride + i] - c2
            f = x[3 * stride + i] - c3
            distance[i] += (a * a + b * b) + (e * e + f * f)
        j += 4
    while j < d:
        x = z + j * stride
        c0 = center[j * step]
        for i in range(n_rows):
            a = x[i] - c0
            distance[i] += a * a
        j += 1


cdef inline double weighted_sum(const double *w, const double *z, int power, Py_ssize_t n) noexcept nogil:
    """Σ w z^power. The power is 0, 1 or 2, a literal at every call; with 0, z may be NULL."""
    cdef double partial[PARTS]
    cdef double a
    cdef Py_ssize_t i = 0, l
    for l in range(PARTS):
        partial[l] = 0
    while i + PARTS <= n:
        for l in range(PARTS):
            a = 1
            if power > 0:
                a = z[i + l]
            partial[l] += w[i + l] * (a * a if power == 2 else a)
        i += PARTS
    while i < n:
        a = 1
        if power > 0:
            a = z[i]
        partial[0] += w[i] * (a * a if power == 2 else a)
        i += 1
    for l in range(1, PARTS):
        partial[0] += partial[l]
    return partial[0]


cdef void to_columns(
    const double *X, Py_ssize_t n, Py_ssize_t d,        # IN: (n, d)
    double *Z, Py_ssize_t stride,                       # OUT: (d, n)
) noexcept nogil:
    """Z := Xᵀ"""
    cdef Py_ssize_t start = 0, end, first, i, j
    cdef const double *x
    while start < n:
        end = min(start + BLOCK, n)
        j = 0
        while j + 4 <= d:
            i = start
            while i + 4 <= end:
                x = X + i * d + j
                transpose_four(
                    <const char *> x, <const char *> (x + d), <const char *> (x + 2 * d), <const char *> (x + 3 * d),
                    Z + j * stride + i, stride)
                i += 4
            while i < end:
                for first in range(j, j + 4):
                    Z[first * stride + i] = X[i * d + first]
                i += 1
            j += 4
        while j < d:
            for i in range(start, end):
                Z[j * stride + i] = X[i * d + j]
            j += 1
        start = end


def scale_columns(
    const double[:, ::1] X, const double[::1] center, const double[::1] scale,  # IN: (n, d), (d,), (d,)
    double[:, :] Z,                                                             # OUT: (d, n)
    /,
):
    """Z := (X − c) / s, feature by feature"""
    cdef Py_ssize_t d = X.shape[1]
    check_columns(X, Z)
    check_length("center", center.shape[0], d)
    check_length("scale", scale.shape[0], d)
    cdef Py_ssize_t stride = Z.strides[0] // sizeof(double), i, j
    cdef double *z
    with nogil:
        to_columns(&X[0, 0], X.shape[0], d, &Z[0, 0], stride)
        for j in range(d):
            z = &Z[0, 0] + j * stride
            for i in range(X.shape[0]):
                z[i] = (z[i] - center[j]) / scale[j]


cdef void standardize_columns(
    const double *X, Py_ssize_t n, Py_ssize_t d, const double *weight,  # IN: (n, d), (n,)
    double *Z, Py_ssize_t stride,                                       # OUT: (d, n)
) noexcept nogil:
    """Z := columns of X with mean 0 and variance 1; a constant column becomes 0"""
    cdef Py_ssize_t i, j
    cdef double total = weighted_sum(weight, NULL, 0, n), mean, deviation, first
    cdef double *z
    to_columns(X, n, d, Z, stride)
    for j in range(d):
        z = Z + j * stride
        # Sums are of differences from the first row, so that a large offset is not rounded n times.
        first = X[j]
        for i in range(n):
            z[i] -= first
        mean = weighted_sum(weight, z, 1, n) / total
        for i in range(n):
            z[i] -= mean
        deviation = sqrt(weighted_sum(weight, z, 2, n) / total)
        if deviation > 0:
            # The inverse is no larger than 5e161: the squares of smaller deviations are 0.
            deviation = 1 / deviation
            for i in range(n):
                z[i] *= deviation


def standardize(
    const double[:, ::1] X, const double[::1] weight,   # IN: (n, d), (n,)
    double[:, :] Z,                                     # OUT: (d, n)
    /,
):
    """Z := columns of X with mean 0 and variance 1; a constant column becomes 0"""
    check_columns(X, Z)
    check_length("weight", weight.shape[0], X.shape[0])
    with nogil:
        standardize_columns(
            &X[0, 0], X.shape[0], X.shape[1], &weight[0], &Z[0, 0], Z.strides[0] // sizeof(double))


cdef Py_ssize_t place(const double *cumulative, Py_ssize_t n, double target) noexcept nogil:
    """The first i with cumulative[i] > target; n if there is none"""
    cdef Py_ssize_t low = 0, high = n, middle
    while low < high:
        middle = (low + high) // 2
        if cumulative[middle] > target:
            high = middle
        else:
            low = middle + 1
    return low


cdef bint draw_rows(
    const double *weight, const double *distances, Py_ssize_t n,    # IN: (n,), (n,) or NULL
    const double *uniforms, Py_ssize_t n_draws,                     # IN
    double *cumulative, Py_ssize_t *rows,                           # OUT: (n,), (n_draws,)
) noexcept nogil:
    """Draw rows with probabilities proportional to w or w·D², by inverting cumulative sums. False if all are 0."""
    cdef Py_ssize_t i, last = -1
    cdef double total = 0, mass
    for i in range(n):
        mass = weight[i]
        if distances != NULL:
            mass *= distances[i]
        if mass > 0:
            last = i
        total += mass
        cumulative[i] = total
    if total > 0:
        for i in range(n_draws):
            # Rounding can lift u · total to the total itself.
            rows[i] = min(place(cumulative, n, uniforms[i] * total), last)
    return total > 0


def draw(
    const double[::1] weight, const double[::1] uniforms,       # IN: (n,)
    double[::1] cumulative,                                     # overwritten, (n,)
    Py_ssize_t[::1] rows,                                       # OUT: as many as there are uniforms
    /,
):
    """Draw rows with probabilities proportional to their weights. False if all are 0."""
    cdef bint found
    check_length("cumulative", cumulative.shape[0], weight.shape[0])
    check_length("rows", rows.shape[0], uniforms.shape[0])
    check_some("rows", weight.shape[0])
    check_some("draws", uniforms.shape[0])
    with nogil:
        found = draw_rows(
            &weight[0], NULL, weight.shape[0], &uniforms[0], uniforms.shape[0], &cumulative[0], &rows[0])
    return found


cdef Py_ssize_t draw_center(
    const double *Z, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t d, const double *weight,   # IN: (d, n), (n,)
    const double *nearest, const double *uniforms, Py_ssize_t n_candidates,                 # IN: D² (n,)
    double *cumulative,                                                                     # overwritten, (n,)
) noexcept nogil:
    """Draw a candidate by w·D² for each number; returns the one that leaves the least Σ w D²; −1 if D² is 0"""
    cdef Py_ssize_t candidates[MOST_CANDIDATES]
    cdef double potential[MOST_CANDIDATES]
    cdef double distance[BLOCK]
    cdef Py_ssize_t best = 0, start = 0, n_rows, i, k
    if not draw_rows(weight, nearest, n, uniforms, n_candidates, cumulative, candidates):
        return -1
    for k in range(n_candidates):
        potential[k] = 0
    while start < n:
        n_rows = min(n - start, BLOCK)
        for k in range(n_candidates):
            squared_distances(Z + start, stride, n_rows, d, Z + candidates[k], stride, distance)
            for i in range(n_rows):
                distance[i] = min(distance[i], nearest[start + i])
            potential[k] += weighted_sum(weight + start, distance, 1, n_rows)
        start += BLOCK
    for k in range(1, n_candidates):
        if potential[k] < potential[best]:
            best = k
    return candidates[best]


cdef void add_center(
    const double *Z, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t d, Py_ssize_t row,     # IN: (d, n)
    double *nearest,                                                                    # INOUT: (n,)
) noexcept nogil:
    """D² := min(D², ‖z − z_row‖²)"""
    cdef Py_ssize_t start = 0, n_rows, i
    cdef double distance[BLOCK]
    while start < n:
        n_rows = min(n - start, BLOCK)
        squared_distances(Z + start, stride, n_rows, d, Z + row, stride, distance)
        for i in range(n_rows):
            nearest[start + i] = min(nearest[start + i], distance[i])
        start += BLOCK
    nearest[row] = 0


cdef class PlusPlus:
    """Centres of k-means++, one by one."""

    cdef const double[:, :] Z
    cdef const double[::1] weight
    cdef double[::1] nearest, cumulative

    def __cinit__(
        self, const double[:, :] Z, const double[::1] weight,   # IN: (d, n), (n,)
        double[::1] nearest, double[::1] cumulative,            # overwritten: D² and cumulative sums, (n,)
        /,
    ):
        cdef Py_ssize_t i
        check_features(Z)
        check_length("weight", weight.shape[0], Z.shape[1])
        check_length("nearest", nearest.shape[0], Z.shape[1])
        check_length("cumulative", cumulative.shape[0], Z.shape[1])
        self.Z, self.weight, self.nearest, self.cumulative = Z, weight, nearest, cumulative
        with nogil:
            for i in range(nearest.shape[0]):
                nearest[i] = INFINITY

    def draw(self, const double[::1] uniforms, /):
        """Draw a candidate by w·D² for each number, and return the one that leaves the least Σ w D²; −1 if D² is 0."""
        cdef Py_ssize_t found
        check_number("the number of candidates", uniforms.shape[0], 1, MOST_CANDIDATES)
        with nogil:
            found = draw_center(
                &self.Z[0, 0], self.Z.strides[0] // sizeof(double), self.Z.shape[1], self.Z.shape[0], &self.weight[0],
                &self.nearest[0], &uniforms[0], uniforms.shape[0], &self.cumulative[0])
        return found

    def add(self, Py_ssize_t row, /):
        """Take a row as a centre: D² := min(D², ‖z − z_row‖²)"""
        check_number("row", row, 0, self.Z.shape[1] - 1)
        with nogil:
            add_center(
                &self.Z[0, 0], self.Z.strides[0] // sizeof(double), self.Z.shape[1], self.Z.shape[0], row,
                &self.nearest[0])


include "lloyd.pxi"
include "labels.pxi"
include "small_start.pxi"
include "pairs.pxi"
include "merges.pxi"
include "ward.pxi"
include "sphering.pxi"
include "determinants.pxi"
