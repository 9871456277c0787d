# Lloyd's iteration: rows go to their nearest centres, centres to the means of their rows.
#
# From one iteration to the next, few rows change their centre, and sums change for these alone: 14 iterations for
# 1 000 × 4, K 3, take 40 µs. If each iteration sums all rows, they take 73 µs.

cdef void group_nearest(
    const double *z, Py_ssize_t stride, Py_ssize_t d,       # IN: of GROUP_VECTORS · LANES rows
    const double *centers, Py_ssize_t n_clusters,           # IN: (K, d)
    double *least, double *which,                           # OUT: D², and the first centre that has it
) noexcept nogil:
    """`block_nearest` for one group of rows, whose sums stay in registers"""
    cdef vec smallest[GROUP_VECTORS]
    cdef vec first[GROUP_VECTORS]
    cdef vec distance[GROUP_VECTORS]
    cdef vec a
    cdef wordvec closer
    cdef Py_ssize_t j, k
    cdef int v
    for v in range(GROUP_VECTORS):
        smallest[v], first[v] = vec_of(HUGE), vec_of(0)
    for k in range(n_clusters):
        for v in range(GROUP_VECTORS):
            distance[v] = vec_of(0)
        for j in range(d):
            for v in range(GROUP_VECTORS):
                a = load_unaligned(z + j * stride + v * LANES) - centers[j]
                distance[v] += a * a
        for v in range(GROUP_VECTORS):
            closer = vec_less(distance[v], smallest[v])
            smallest[v] = vec_select(closer, distance[v], smallest[v])
            first[v] = vec_select(closer, vec_of(k), first[v])
        centers += d
    for v in range(GROUP_VECTORS):
        a = smallest[v]
        memcpy(least + v * LANES, &a, sizeof(vec))
        a = first[v]
        memcpy(which + v * LANES, &a, sizeof(vec))


cdef void block_nearest(
    const double *z, Py_ssize_t stride, Py_ssize_t n_rows, Py_ssize_t d,    # IN
    const double *centers, Py_ssize_t n_clusters,                           # IN: (K, d)
    double *least, double *which,                                           # OUT: D², and the first centre that has it
) noexcept nogil:
    """least, which := min_k, argmin_k ‖z_i − c_k‖²"""
    cdef double a, distance
    cdef Py_ssize_t i = 0, j, k
    # The last group may share rows with the one before. Both give the same results for these rows.
    while i < n_rows and n_rows >= GROUP_VECTORS * LANES:
        i = min(i, n_rows - GROUP_VECTORS * LANES)
        group_nearest(z + i, stride, d, centers, n_clusters, least + i, which + i)
        i += GROUP_VECTORS * LANES
    while i < n_rows:
        least[i], which[i] = HUGE, 0
        for k in range(n_clusters):
            distance = 0
            for j in range(d):
                a = z[j * stride + i] - centers[k * d + j]
                distance += a * a
            if distance < least[i]:
                least[i], which[i] = distance, k
        i += 1


cdef void assign_rows(
    const double *Z, Py_ssize_t stride, Py_ssize_t d,           # IN: (d, n)
    const double *centers, Py_ssize_t n_clusters,               # IN: (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,                  # IN
    Py_ssize_t *labels, double *distances,                      # OUT: (n,); each may be NULL
) noexcept nogil:
    """labels, distances := nearest centres, the first of equals, and D², of rows [first_row, last_row)"""
    cdef Py_ssize_t start = first_row, n_rows, i
    cdef double least[BLOCK]
    cdef double which[BLOCK]
    while start < last_row:
        n_rows = min(last_row - start, BLOCK)
        block_nearest(Z + start, stride, n_rows, d, centers, n_clusters, least, which)
        if labels != NULL:
            for i in range(n_rows):
                labels[start + i] = <Py_ssize_t> which[i]
        if distances != NULL:
            for i in range(n_rows):
                distances[start + i] = least[i]
        start += BLOCK


cdef inline void add_row(
    const double *z, Py_ssize_t stride, Py_ssize_t d, double w,     # IN: z (d,)
    double *sums,                                                   # INOUT: (1 + d,)
) noexcept nogil:
    """sums += [w | w z]"""
    cdef Py_ssize_t j
    sums[0] += w
    for j in range(d):
        sums[1 + j] += w * z[j * stride]


cdef void move_rows(
    const double *Z, Py_ssize_t stride, Py_ssize_t d, const double *weight,     # IN: (d, n), (n,)
    const double *centers, Py_ssize_t n_clusters,                               # IN: (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,                                  # IN
    double *nearest, double *sums,                                              # INOUT: (n,), (K, 1 + d)
) noexcept nogil:
    """nearest := the rows' nearest centres (−1: none yet). Rows that change centre move to the sums of the new one."""
    cdef Py_ssize_t start = first_row, n_rows, first, last, n_moved, i
    cdef double least[BLOCK]
    cdef double which[BLOCK]
    cdef double *before
    cdef const double *z
    cdef double w
    while start < last_row:
        n_rows = min(last_row - start, BLOCK)
        before = nearest + start
        block_nearest(Z + start, stride, n_rows, d, centers, n_clusters, least, which)
        first = 0
        while first < n_rows:
            last = min(first + FEW, n_rows)
            n_moved = 0
            for i in range(first, last):
                n_moved += before[i] != which[i]
            if n_moved > 0:
                for i in range(first, last):
                    if before[i] == which[i]:
                        continue
                    z, w = Z + start + i, weight[start + i]
                    if before[i] >= 0:
                        add_row(z, stride, d, -w, sums + <Py_ssize_t> before[i] * (1 + d))
                    add_row(z, stride, d, w, sums + <Py_ssize_t> which[i] * (1 + d))
                    before[i] = which[i]
            first += FEW
        start += BLOCK


cdef Py_ssize_t move_centers(
    const double *sums, Py_ssize_t n_chunks, Py_ssize_t K, Py_ssize_t d,    # IN: [Σ w | Σ w z], (n_chunks, K, 1 + d)
    bint anew,                                                              # IN: no row has left a sum
    double *centers, double *held, double *steps,                           # OUT: (K, d), (K,)
) noexcept nogil:
    """centers, held, steps := Σ w z / Σ w, Σ w, Σ_k ‖step of c_k‖²; returns how many centres hold nothing: these stay.

    Returns −1 and moves nothing if the rounding errors that rows left behind in a sum could count.
    """
    cdef Py_ssize_t width = K * (1 + d), n_empty = 0, k, j, chunk
    cdef double total = 0, least = INFINITY
    for k in range(K):
        held[k] = 0
        for chunk in range(n_chunks):
            held[k] += sums[chunk * width + k * (1 + d)]
        total += held[k]
        least = min(least, held[k])
    if least < LEAST_SHARE * total and not anew:
        return -1
    steps[0] = 0
    for k in range(K):
        if held[k] == 0:
            n_empty += 1
            continue
        for j in range(d):
            total = 0
            for chunk in range(n_chunks):
                total += sums[chunk * width + k * (1 + d) + 1 + j]
            total /= held[k]
            steps[0] += (total - centers[k * d + j]) * (total - centers[k * d + j])
            centers[k * d + j] = total
    return n_empty


cdef void forget(double *nearest, Py_ssize_t n, double *sums, Py_ssize_t n_sums) noexcept nogil:
    """nearest, sums := −1, 0: no row has a centre, and `move_rows` takes the sums anew"""
    cdef Py_ssize_t i
    for i in range(n):
        nearest[i] = -1
    memset(sums, 0, n_sums * sizeof(double))


def assign(
    const double[:, :] Z, const double[:, ::1] centers,     # IN: (d, n), (K, d)
    Py_ssize_t first_row, Py_ssize_t last_row,              # IN
    Py_ssize_t[::1] labels, double[::1] distances,          # OUT: (n,); each may be None
    /,
):
    """labels, distances := nearest centres, the first of equals, and D², of rows [first_row, last_row)"""
    cdef Py_ssize_t n = Z.shape[1]
    check_features(Z)
    check_length("a centre", centers.shape[1], Z.shape[0])
    check_length("labels", n if labels is None else labels.shape[0], n)
    check_length("distances", n if distances is None else distances.shape[0], n)
    check_range(first_row, last_row, n)
    check_some("centres", centers.shape[0])
    with nogil:
        assign_rows(
            &Z[0, 0], Z.strides[0] // sizeof(double), Z.shape[0], &centers[0, 0], centers.shape[0], first_row, last_row,
            NULL if labels is None else &labels[0], NULL if distances is None else &distances[0])


cdef class Lloyd:
    """Lloyd's iteration: `add_up` each chunk of rows, then `move`.

    From one iteration to the next, few rows change their centre, and the sums change for these alone.
    """

    cdef const double[:, :] Z
    cdef const double[::1] weight
    cdef double[:, ::1] centers
    cdef double[:, :, ::1] sums
    cdef double[::1] held, nearest
    cdef bint anew

    def __cinit__(
        self, const double[:, :] Z, const double[::1] weight,   # IN: (d, n), (n,)
        double[:, ::1] centers,                                 # INOUT: (K, d)
        double[:, :, ::1] sums,                                 # overwritten: [Σ w | Σ w z], (n_chunks, K, 1 + d)
        double[::1] held, double[::1] nearest,                  # OUT: Σ w (K,), the rows' centres (n,)
        /,
    ):
        check_features(Z)
        check_length("weight", weight.shape[0], Z.shape[1])
        check_length("a centre", centers.shape[1], Z.shape[0])
        check_length("sums of a chunk", sums.shape[1] * sums.shape[2], centers.shape[0] * (1 + Z.shape[0]))
        check_length("sums of a centre", sums.shape[2], 1 + Z.shape[0])
        check_length("held", held.shape[0], centers.shape[0])
        check_length("nearest", nearest.shape[0], Z.shape[1])
        check_some("centres", centers.shape[0])
        check_some("chunks", sums.shape[0])
        self.Z, self.weight, self.centers, self.sums, self.held = Z, weight, centers, sums, held
        self.nearest = nearest
        self.forget()

    cdef void forget(self):
        self.anew = True
        with nogil:
            forget(
                &self.nearest[0], self.nearest.shape[0], &self.sums[0, 0, 0],
                self.sums.shape[0] * self.sums.shape[1] * self.sums.shape[2])

    def add_up(self, Py_ssize_t chunk, Py_ssize_t first_row, Py_ssize_t last_row, /):
        """sums of a chunk := [Σ w | Σ w z] for each centre, over those of the chunk's rows that are nearest to it"""
        check_range(first_row, last_row, self.Z.shape[1])
        check_number("chunk", chunk, 0, self.sums.shape[0] - 1)
        with nogil:
            move_rows(
                &self.Z[0, 0], self.Z.strides[0] // sizeof(double), self.Z.shape[0], &self.weight[0],
                &self.centers[0, 0], self.centers.shape[0], first_row, last_row,
                &self.nearest[0], &self.sums[chunk, 0, 0])

    def move(self):
        """centers := Σ w z / Σ w, the chunks' sums added in order; held := Σ w. A centre that holds nothing stays.

        Returns Σ_k ‖step of c_k‖² and the number of centres that hold nothing. That number is −1 if most rows have left
        a sum and rounding may spoil the rest: nothing is moved then, and all chunks must be added up once more.
        """
        cdef double steps = 0
        cdef Py_ssize_t n_empty
        with nogil:
            n_empty = move_centers(
                &self.sums[0, 0, 0], self.sums.shape[0], self.centers.shape[0], self.centers.shape[1], self.anew,
                &self.centers[0, 0], &self.held[0], &steps)
        self.anew = False
        if n_empty < 0:
            self.forget()
        return steps, n_empty
