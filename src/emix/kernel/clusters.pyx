# What a start needs: standardized rows, k-means++ and k-means; from labels.pxi sums over clusters.
#
# Standardized rows come feature by feature, Z (d, n) with Z.strides[1] that of a number, so that a vector holds one
# feature of several rows and loops over rows become vectors by themselves. BLOCK rows at a time stay in the first-level
# cache. This source is compiled once for each instruction-set level.
#
#     D²_i = min_k ‖z_i − c_k‖²,  the least over the centres k
#
# Sums over rows are taken over chunks of them and these added in order: they do not depend on the number of threads.
# No loop over rows holds the lock, and nothing here allocates. Calls whose work grows faster than the rows' numbers
# take a range of rows: their callers make it short enough for signals to be looked at between two.

from libc.math cimport INFINITY, sqrt
from libc.string cimport memset

include "lanes.pxi"
include "structure.pxi"
include "checks.pxi"

cdef enum:
    BLOCK = 256     # rows: 20 KiB at d = 10
    MOST_CANDIDATES = 64    # 2 + log K of them are asked for
    PARTS = 8       # of a sum, so that it can be done in vectors of any level

block_rows = BLOCK

cdef double HUGE = 1.7976931348623157e308


cdef int check_some(str name, Py_ssize_t n) except -1:
    if n < 1:
        raise ValueError(f"there are no {name}, expected 1 or more")
    return 0


cdef int check_number(str name, Py_ssize_t found, Py_ssize_t least, Py_ssize_t most) except -1:
    if not least <= found <= most:
        raise ValueError(f"{name} is {found}, expected {least} to {most}")
    return 0


cdef int check_features(const double[:, :] Z) except -1:
    """Are there rows, and does each feature of them lie as the loops take it?"""
    check_some("features", Z.shape[0])
    check_some("rows", Z.shape[1])
    if Z.shape[1] > 1 and Z.strides[1] != sizeof(double):
        raise ValueError(f"{Z.strides[1]} bytes are between the rows of Z, expected that they lie next to each other")
    return 0


cdef int check_columns(const double[:, ::1] X, const double[:, :] Z) except -1:
    """Has Z (d, n) room for X (n, d)?"""
    check_features(Z)
    check_length("a column of X", X.shape[0], Z.shape[1])
    check_length("a row of X", X.shape[1], Z.shape[0])
    return 0


cdef inline void squared_distances(
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


cdef void block_nearest(
    const double *z, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t d,    # IN
    const double *centers, Py_ssize_t n_clusters,                           # IN: (K, d)
    double *least, double *which,                                           # OUT: D² and the first centre of it
) noexcept nogil:
    """least, which := min_k, argmin_k ‖z_i − c_k‖²"""
    cdef double distance[BLOCK]
    cdef double before, now
    cdef Py_ssize_t i, k
    for i in range(n_rows):
        least[i] = HUGE
        which[i] = 0
    for k in range(n_clusters):
        squared_distances(z, stride, n_rows, d, centers + k * d, 1, distance)
        # One choice a loop, between values that are loaded already: so these become vectors.
        for i in range(n_rows):
            before, now = which[i], k
            which[i] = now if distance[i] < least[i] else before
        for i in range(n_rows):
            before, now = least[i], distance[i]
            least[i] = now if now < before else before


cdef double weighted_sum(const double *w, const double *z, Py_ssize_t n, bint squares) noexcept nogil:
    """Σ w z, or Σ w z²"""
    cdef double partial[PARTS]
    cdef Py_ssize_t i = 0, l
    for l in range(PARTS):
        partial[l] = 0
    while i + PARTS <= n:
        for l in range(PARTS):
            partial[l] += w[i + l] * (z[i + l] * z[i + l] if squares else z[i + l])
        i += PARTS
    while i < n:
        partial[0] += w[i] * (z[i] * z[i] if squares else z[i])
        i += 1
    for l in range(1, PARTS):
        partial[0] += partial[l]
    return partial[0]


cdef void write_columns(
    const double[:, ::1] X, const double *center, const double *scale,  # IN: (n, d), (d,), (d,) or NULL
    double[:, :] Z,                                                     # OUT: (d, n)
) noexcept nogil:
    """z_ij := (x_ij − c_j) / s_j"""
    cdef Py_ssize_t n = X.shape[0], start = 0, i, j
    cdef double *z
    while start < n:
        for j in range(X.shape[1]):
            z = &Z[j, 0]
            for i in range(start, min(start + BLOCK, n)):
                z[i] = X[i, j] - center[j]
            if scale != NULL:
                for i in range(start, min(start + BLOCK, n)):
                    z[i] /= scale[j]
        start += BLOCK


def scale_columns(
    const double[:, ::1] X, const double[::1] center, const double[::1] scale,  # IN: (n, d), (d,), (d,)
    double[:, :] Z,                                                             # OUT: (d, n)
):
    """Z := (X − c) / s, feature by feature"""
    cdef Py_ssize_t d = X.shape[1]
    check_columns(X, Z)
    check_length("center", center.shape[0], d)
    check_length("scale", scale.shape[0], d)
    with nogil:
        write_columns(X, &center[0], &scale[0], Z)


def standardize(
    const double[:, ::1] X, const double[::1] weight,   # IN: (n, d), (n,)
    double[:, :] Z,                                     # OUT: (d, n)
):
    """Z := columns of X with mean 0 and variance 1; a constant column becomes 0"""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], i, j
    check_columns(X, Z)
    check_length("weight", weight.shape[0], n)
    cdef double total = 0, mean, deviation
    cdef double *z
    with nogil:
        for i in range(n):
            total += weight[i]
        # About the first row, so that a large offset is not rounded n times.
        write_columns(X, &X[0, 0], NULL, Z)
        for j in range(d):
            z = &Z[j, 0]
            mean = weighted_sum(&weight[0], z, n, False) / total
            for i in range(n):
                z[i] -= mean
            deviation = sqrt(weighted_sum(&weight[0], z, n, True) / total)
            if deviation > 0:
                for i in range(n):
                    z[i] /= deviation


cdef Py_ssize_t place(const double *cumulative, Py_ssize_t n, double target) noexcept nogil:
    """The first i with cumulative[i] > target, n if there is none"""
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
    """Draw rows with probabilities proportional to w, or w·D², by inverting the cumulative sums. False if all are 0."""
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


cdef class PlusPlus:
    """Centres of k-means++, one by one."""

    cdef const double[:, :] Z
    cdef const double[::1] weight
    cdef double[::1] nearest, cumulative

    def __cinit__(
        self, const double[:, :] Z, const double[::1] weight,   # IN: (d, n), (n,)
        double[::1] nearest, double[::1] cumulative,            # D² and cumulative sums will be here: (n,)
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

    def draw(self, const double[::1] uniforms):
        """Draw a candidate by w·D² for each number, and return the one that leaves the least Σ w D²; −1 if D² is 0."""
        cdef Py_ssize_t candidates[MOST_CANDIDATES]
        cdef double potential[MOST_CANDIDATES]
        cdef double distance[BLOCK]
        cdef Py_ssize_t n = self.Z.shape[1], d = self.Z.shape[0], stride = self.Z.strides[0] // sizeof(double)
        cdef Py_ssize_t n_candidates = uniforms.shape[0], best = 0, start = 0, n_rows, i, k
        check_number("the number of candidates", n_candidates, 1, MOST_CANDIDATES)
        cdef bint found
        with nogil:
            found = draw_rows(
                &self.weight[0], &self.nearest[0], n, &uniforms[0], n_candidates, &self.cumulative[0], candidates)
        if not found:
            return -1
        with nogil:
            for k in range(n_candidates):
                potential[k] = 0
            while start < n:
                n_rows = min(n - start, BLOCK)
                for k in range(n_candidates):
                    squared_distances(
                        &self.Z[0, start], stride, n_rows, d, &self.Z[0, candidates[k]], stride, distance)
                    for i in range(n_rows):
                        distance[i] = min(distance[i], self.nearest[start + i])
                    potential[k] += weighted_sum(&self.weight[start], distance, n_rows, False)
                start += BLOCK
            for k in range(1, n_candidates):
                if potential[k] < potential[best]:
                    best = k
        return candidates[best]

    def add(self, Py_ssize_t row):
        """Take a row as a centre: D² := min(D², ‖z − z_row‖²)"""
        cdef Py_ssize_t n = self.Z.shape[1], d = self.Z.shape[0], stride = self.Z.strides[0] // sizeof(double)
        cdef Py_ssize_t start = 0, n_rows, i
        cdef double distance[BLOCK]
        check_number("row", row, 0, n - 1)
        with nogil:
            while start < n:
                n_rows = min(n - start, BLOCK)
                squared_distances(&self.Z[0, start], stride, n_rows, d, &self.Z[0, row], stride, distance)
                for i in range(n_rows):
                    self.nearest[start + i] = min(self.nearest[start + i], distance[i])
                start += BLOCK
            self.nearest[row] = 0


cdef void assign_rows(
    const double[:, :] Z, const double[::1] weight, const double[:, ::1] centers,   # IN: (d, n), (n,), (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,                                      # IN
    Py_ssize_t[::1] labels, double[::1] distances,                                  # OUT: (n,), each or None
    double *sums,                                                                   # INOUT: (K, 1 + d) or NULL
) noexcept nogil:
    cdef Py_ssize_t n_clusters = centers.shape[0], d = centers.shape[1], stride = Z.strides[0] // sizeof(double)
    cdef Py_ssize_t start = first_row, n_rows, i, j
    cdef double least[BLOCK]
    cdef double which[BLOCK]
    cdef const double *z
    cdef double *total
    cdef double w
    while start < last_row:
        n_rows = min(last_row - start, BLOCK)
        z = &Z[0, start]
        block_nearest(z, stride, n_rows, d, &centers[0, 0], n_clusters, least, which)
        if labels is not None:
            for i in range(n_rows):
                labels[start + i] = <Py_ssize_t> which[i]
        if distances is not None:
            for i in range(n_rows):
                distances[start + i] = least[i]
        if sums != NULL:
            for i in range(n_rows):
                total = sums + <Py_ssize_t> which[i] * (1 + d)
                w = weight[start + i]
                total[0] += w
                for j in range(d):
                    total[1 + j] += w * z[j * stride + i]
        start += BLOCK


def assign(
    const double[:, :] Z, const double[:, ::1] centers,     # IN: (d, n), (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,              # IN
    Py_ssize_t[::1] labels, double[::1] distances,          # OUT: (n,), each or None
):
    """Give rows [first_row, last_row) to their nearest centres, the first of equals: the centre, and D²"""
    cdef Py_ssize_t n = Z.shape[1]
    check_features(Z)
    check_length("a centre", centers.shape[1], Z.shape[0])
    check_length("labels", n if labels is None else labels.shape[0], n)
    check_length("distances", n if distances is None else distances.shape[0], n)
    check_range(first_row, last_row, n)
    check_some("centres", centers.shape[0])
    with nogil:
        assign_rows(Z, None, centers, first_row, last_row, labels, distances, NULL)


cdef class Lloyd:
    """Lloyd's iteration: `add_up` each chunk of rows, then `move`."""

    cdef const double[:, :] Z
    cdef const double[::1] weight
    cdef double[:, ::1] centers
    cdef double[:, :, ::1] sums
    cdef double[::1] held

    def __cinit__(
        self, const double[:, :] Z, const double[::1] weight,   # IN: (d, n), (n,)
        double[:, ::1] centers,                                 # INOUT: (K, d)
        double[:, :, ::1] sums,                                 # INOUT, 0: [Σ w | Σ w z], (n_chunks, K, 1 + d)
        double[::1] held,                                       # OUT: Σ w (K,)
    ):
        check_features(Z)
        check_length("weight", weight.shape[0], Z.shape[1])
        check_length("a centre", centers.shape[1], Z.shape[0])
        check_length("sums of a chunk", sums.shape[1] * sums.shape[2], centers.shape[0] * (1 + Z.shape[0]))
        check_length("sums of a centre", sums.shape[2], 1 + Z.shape[0])
        check_length("held", held.shape[0], centers.shape[0])
        check_some("centres", centers.shape[0])
        check_some("chunks", sums.shape[0])
        self.Z, self.weight, self.centers, self.sums, self.held = Z, weight, centers, sums, held

    def add_up(self, Py_ssize_t chunk, Py_ssize_t first_row, Py_ssize_t last_row):
        """Sums of a chunk += [Σ w | Σ w z] over those of its rows that a centre is nearest to"""
        check_range(first_row, last_row, self.Z.shape[1])
        check_number("chunk", chunk, 0, self.sums.shape[0] - 1)
        with nogil:
            assign_rows(
                self.Z, self.weight, self.centers, first_row, last_row, None, None, &self.sums[chunk, 0, 0])

    def move(self):
        """centers := Σ w z / Σ w, the sums of the chunks added in order; held := Σ w. The sums are emptied.

        A centre that holds nothing stays. Returns Σ_k ‖step of c_k‖² and how many hold nothing.
        """
        cdef Py_ssize_t k, j, chunk, n_empty = 0
        cdef double total, steps = 0
        with nogil:
            for k in range(self.centers.shape[0]):
                self.held[k] = 0
                for chunk in range(self.sums.shape[0]):
                    self.held[k] += self.sums[chunk, k, 0]
                if self.held[k] == 0:
                    n_empty += 1
                    continue
                for j in range(self.centers.shape[1]):
                    total = 0
                    for chunk in range(self.sums.shape[0]):
                        total += self.sums[chunk, k, 1 + j]
                    total /= self.held[k]
                    steps += (total - self.centers[k, j]) * (total - self.centers[k, j])
                    self.centers[k, j] = total
            memset(
                &self.sums[0, 0, 0], 0,
                self.sums.shape[0] * self.sums.shape[1] * self.sums.shape[2] * sizeof(double))
        return steps, n_empty


include "labels.pxi"
