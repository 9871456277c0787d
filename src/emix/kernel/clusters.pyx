# What a start needs: standardized rows, k-means++ and k-means, random numbers and the sample of rows.
#
# Standardized rows come feature by feature, Z (d, n) with Z.strides[1] that of a number, so that a vector holds one
# feature of several rows and loops over rows become vectors by themselves. BLOCK rows at a time stay in the first-level
# cache. This source is compiled once for each instruction-set level.
#
#     D²_i = min_k ‖z_i − c_k‖²,  the least over the centres k
#
# Sums over rows are taken over chunks of them and these added in order: they do not depend on the number of threads.
# Nothing here holds the lock or allocates; every call is short enough for signals to be looked at between two.

from libc.math cimport sqrt
from libc.stdint cimport uint64_t

cdef enum:
    BLOCK = 256     # rows: 20 KiB at d = 10
    LANES = 8       # partial sums of a reduction, so that it can be done in vectors of any level

cdef double HUGE = 1.7976931348623157e308


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
    cdef double partial[LANES]
    cdef Py_ssize_t i = 0, l
    for l in range(LANES):
        partial[l] = 0
    while i + LANES <= n:
        for l in range(LANES):
            partial[l] += w[i + l] * (z[i + l] * z[i + l] if squares else z[i + l])
        i += LANES
    while i < n:
        partial[0] += w[i] * (z[i] * z[i] if squares else z[i])
        i += 1
    for l in range(1, LANES):
        partial[0] += partial[l]
    return partial[0]


def standardize(
    const double[:, :] X, const double[::1] weight,     # IN: (n, d), (n,)
    double[:, :] Z,                                   # OUT: (d, n)
):
    """Z := columns of X with mean 0 and variance 1; a constant column becomes 0"""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], start = 0, i, j
    cdef double total = 0, mean, deviation
    cdef double *z
    with nogil:
        for i in range(n):
            total += weight[i]
        while start < n:
            for j in range(d):
                z = &Z[j, 0]
                # About the first row, so that a large offset is not rounded n times.
                for i in range(start, min(start + BLOCK, n)):
                    z[i] = X[i, j] - X[0, j]
            start += BLOCK
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


def draw(
    const double[::1] weight, const double[::1] distances,      # IN: (n,), (n,) or None
    const double[::1] uniforms,                                 # IN
    double[::1] cumulative,                                     # overwritten, (n,)
    Py_ssize_t[::1] rows,                                       # OUT: as many as there are uniforms
):
    """Draw rows with probabilities proportional to w, or w·D², by inverting the cumulative sums. False if all are 0."""
    cdef Py_ssize_t n = weight.shape[0], i, last = -1
    cdef double total = 0, mass
    with nogil:
        for i in range(n):
            mass = weight[i]
            if distances is not None:
                mass *= distances[i]
            if mass > 0:
                last = i
            total += mass
            cumulative[i] = total
        if total > 0:
            for i in range(rows.shape[0]):
                # Rounding can lift u · total to the total itself.
                rows[i] = min(place(&cumulative[0], n, uniforms[i] * total), last)
    return total > 0


def potentials(
    const double[:, :] Z, const double[::1] weight, const double[::1] nearest,    # IN: (d, n), (n,), D² so far
    const Py_ssize_t[::1] candidates,                                               # IN: rows
    double[::1] potential,                                                          # OUT, for each of them
):
    """potential := Σ w min(D², ‖z − z_c‖²), for each candidate c"""
    cdef Py_ssize_t n = Z.shape[1], d = Z.shape[0], stride = Z.strides[0] // sizeof(double), start = 0, n_rows, i, k
    cdef double distance[BLOCK]
    with nogil:
        for k in range(candidates.shape[0]):
            potential[k] = 0
        while start < n:
            n_rows = min(n - start, BLOCK)
            for k in range(candidates.shape[0]):
                squared_distances(&Z[0, start], stride, n_rows, d, &Z[0, candidates[k]], stride, distance)
                for i in range(n_rows):
                    distance[i] = min(distance[i], nearest[start + i])
                potential[k] += weighted_sum(&weight[start], distance, n_rows, False)
            start += BLOCK


def add_center(
    const double[:, :] Z, Py_ssize_t row,     # IN: (d, n)
    double[::1] nearest,                        # INOUT: (n,)
):
    """D² := min(D², ‖z − z_row‖²)"""
    cdef Py_ssize_t n = Z.shape[1], d = Z.shape[0], stride = Z.strides[0] // sizeof(double), start = 0, n_rows, i
    cdef double distance[BLOCK]
    with nogil:
        while start < n:
            n_rows = min(n - start, BLOCK)
            squared_distances(&Z[0, start], stride, n_rows, d, &Z[0, row], stride, distance)
            for i in range(n_rows):
                nearest[start + i] = min(nearest[start + i], distance[i])
            start += BLOCK
        nearest[row] = 0


def assign(
    const double[:, :] Z, const double[::1] weight, const double[:, ::1] centers,     # IN: (d, n), (n,), (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,                                          # IN
    Py_ssize_t[::1] labels, double[::1] distances,                                      # OUT: (n,), each or None
    double[:, ::1] sums,                                                                # OUT: (K, 1 + d) or None
):
    """Give rows [first_row, last_row) to their nearest centres, the first of equals.

    labels: the centre; distances: D²; sums: [Σ w | Σ w z] of each centre's rows.
    """
    cdef Py_ssize_t n_clusters = centers.shape[0], d = centers.shape[1], stride = Z.strides[0] // sizeof(double)
    cdef Py_ssize_t start = first_row, n_rows, i, j
    cdef double least[BLOCK]
    cdef double which[BLOCK]
    cdef const double *z
    cdef double *total
    cdef double w
    with nogil:
        if sums is not None:
            for i in range(n_clusters):
                for j in range(1 + d):
                    sums[i, j] = 0
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
            if sums is not None:
                for i in range(n_rows):
                    total = &sums[<Py_ssize_t> which[i], 0]
                    w = weight[start + i]
                    total[0] += w
                    for j in range(d):
                        total[1 + j] += w * z[j * stride + i]
            start += BLOCK


def move(const double[:, :, ::1] sums, double[:, ::1] centers, double[::1] held):
    """centers := Σ w z / Σ w, the sums of the chunks (n_chunks, K, 1 + d) added in order; held := Σ w.

    A centre that holds nothing stays. Returns Σ_k ‖step of c_k‖² and how many hold nothing.
    """
    cdef Py_ssize_t k, j, chunk, n_empty = 0
    cdef double total, steps = 0
    with nogil:
        for k in range(centers.shape[0]):
            held[k] = 0
            for chunk in range(sums.shape[0]):
                held[k] += sums[chunk, k, 0]
            if held[k] == 0:
                n_empty += 1
                continue
            for j in range(centers.shape[1]):
                total = 0
                for chunk in range(sums.shape[0]):
                    total += sums[chunk, k, 1 + j]
                total /= held[k]
                steps += (total - centers[k, j]) * (total - centers[k, j])
                centers[k, j] = total
    return steps, n_empty


def means(
    const double[:, :] X, const double[::1] weight, const Py_ssize_t[::1] labels,   # IN: (n, d), (n,), (n,)
    double[::1] held, double[:, ::1] center,                                        # OUT: (K,), (K, d)
):
    """held, center := Σ w, Σ w x / Σ w of each label's rows; an empty one's centre is the mean of all"""
    cdef Py_ssize_t n = X.shape[0], d = X.shape[1], K = center.shape[0], i, j, k
    cdef double total = 0, everywhere
    with nogil:
        for k in range(K):
            held[k] = 0
            for j in range(d):
                center[k, j] = 0
        for i in range(n):
            k = labels[i]
            held[k] += weight[i]
            # About the first row, so that a large offset is not rounded n times.
            for j in range(d):
                center[k, j] += weight[i] * (X[i, j] - X[0, j])
        for k in range(K):
            total += held[k]
        for j in range(d):
            everywhere = 0
            for k in range(K):
                everywhere += center[k, j]
            for k in range(K):
                center[k, j] = X[0, j] + (center[k, j] / held[k] if held[k] > 0 else everywhere / total)


def moments(
    int structure,                                                                  # IN: as in factors.pyx
    const double[:, :] X, const double[::1] weight, const Py_ssize_t[::1] labels,   # IN: (n, d), (n,), (n,)
    const double[:, ::1] center,                                                    # IN: (K, d)
    double[::1] z,                                                                  # overwritten, (d,)
    double[:, ::1] shift, double[::1] scatter,                                      # OUT
):
    """shift, scatter := Σ w (x − c), Σ w (x − c)(x − c)ᵀ of each label's rows, the latter in the structure's form"""
    cdef Py_ssize_t d = X.shape[1], i, a, b, k, _
    cdef bint matrices = structure <= 1
    cdef Py_ssize_t step = 0 if structure == 1 else d * d if structure == 0 else d if structure == 2 else 1
    cdef Py_ssize_t next_variance = 1 if structure == 2 else 0
    cdef double *S
    cdef double wz
    with nogil:
        for i in range(scatter.shape[0]):
            scatter[i] = 0
        for k in range(shift.shape[0]):
            for a in range(d):
                shift[k, a] = 0
        for i in range(X.shape[0]):
            k = labels[i]
            S = &scatter[k * step]
            for a in range(d):
                z[a] = X[i, a] - center[k, a]
            for a in range(d):
                wz = weight[i] * z[a]
                shift[k, a] += wz
                if matrices:
                    for b in range(a + 1):
                        S[a * d + b] += wz * z[b]
                else:
                    S[a * next_variance] += wz * z[a]
        if matrices:
            S = &scatter[0]
            for _ in range(scatter.shape[0] // (d * d)):
                for a in range(d):
                    for b in range(a):
                        S[b * d + a] = S[a * d + b]
                S += d * d


cdef inline uint64_t high_product(uint64_t a, uint64_t b) noexcept nogil:
    """The upper 64 bits of a · b, by halves"""
    cdef uint64_t low = 0xFFFFFFFF, middle, other
    middle = (a >> 32) * (b & low) + ((a & low) * (b & low) >> 32)
    other = (a & low) * (b >> 32) + (middle & low)
    return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)


def uniforms(uint64_t seed, uint64_t restart, uint64_t stream, uint64_t first, double[::1] out):
    """out := numbers first, first + 1, … in [0, 1) of a stream

    Philox 4x64-10 (Salmon and others, 2011, Parallel random numbers: as easy as 1, 2, 3, SC11) with the key (seed,
    restart): those of numpy.random.Generator(numpy.random.Philox(key=[seed, restart], counter=[0, 0, 0, stream])).
    """
    cdef uint64_t c0, c1, c2, c3, key0, key1, high0, high1, low0, low1
    cdef uint64_t four[4]
    cdef uint64_t number = first, last = first + <uint64_t> out.shape[0]
    cdef int _
    with nogil:
        while number < last:
            c0, c1, c2, c3 = number // 4 + 1, 0, 0, stream
            key0, key1 = seed, restart
            for _ in range(10):
                high0, low0 = high_product(<uint64_t> 0xD2E7470EE14C6C93, c0), <uint64_t> 0xD2E7470EE14C6C93 * c0
                high1, low1 = high_product(<uint64_t> 0xCA5A826395121157, c2), <uint64_t> 0xCA5A826395121157 * c2
                c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
                key0 += <uint64_t> 0x9E3779B97F4A7C15
                key1 += <uint64_t> 0xBB67AE8584CAA73B
            four[0], four[1], four[2], four[3] = c0, c1, c2, c3
            while True:
                out[number - first] = (four[number % 4] >> 11) * (1.0 / 9007199254740992.0)
                number += 1
                if number == last or number % 4 == 0:
                    break


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, 2014, OOPSLA)"""
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


def rows_with_small_keys(
    Py_ssize_t first_row, Py_ssize_t last_row, uint64_t seed, uint64_t highest,     # IN
    const double[::1] sample_weight,                                                # IN: (n,) or None
    Py_ssize_t[::1] rows, uint64_t[::1] keys,                                       # OUT
):
    """List the rows in [first_row, last_row), of weight above 0, whose keys are no larger than `highest`.

    A key is SplitMix64 of the row, started where the seed says: a bijection of 64-bit words, so that no two rows have
    the same key. Returns how many there are; `rows` and `keys` have room for all rows of the range.
    """
    cdef Py_ssize_t i, count = 0
    cdef uint64_t start = mixed(seed), key
    with nogil:
        for i in range(first_row, last_row):
            key = mixed(<uint64_t> (i + 1) * <uint64_t> 0x9E3779B97F4A7C15 + start)
            rows[count] = i
            keys[count] = key
            # Without a branch: which rows pass is as random as the keys.
            count += key <= highest and (sample_weight is None or sample_weight[i] > 0)
    return count
