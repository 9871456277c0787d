# Sums over rows that have labels, such as clusters.
#
# For scatter matrices that are not small, those of a chunk's rows that have the same label are taken together, up to
# GROUP at a time. Their sum is then a product of matrices, in tiles that stay in registers:
#
#     S += Σ_i z_i z_iᵀ,  z_i = √w_i (x_i − c)
#
# z is stored in panels of two vectors of features. A panel holds the numbers of one row after another. The bits do not
# depend on the number of threads: the chunks of a slot are added in order, by the one thread that has the slot, and the
# slots are added in order.

from libc.stdint cimport uintptr_t

include "label_rows.pxi"

# Measured at AVX2 and AVX-512, 65 536 rows, K 10 and 100: groups of 32 and 128 rows are as fast as those of 64. Without
# ROWS_AHEAD, d = 5 to 10 take 1.3 to 1.9 times as long, d ≥ 32 as long as with it. Groups take 1.1 to 1.4 times as long
# as a row at a time at d = 2 and 3, as long at d = 4 to 6 (0.95 to 1.2), 0.7 times at d = 8 and 0.4 times at d = 32.
cdef enum:
    GROUP = 64              # rows: a tile of S is loaded and stored once for them; their panel is at most 8 KiB
    MOST_ROWS = 8192        # rows of a chunk: their order takes 16 KiB of the stack
    LINES = 4               # lines of a tile, two vectors each: enough sums to hide the latency of one
    ALIGNMENT = 64          # bytes: the widest vector
    ROWS_AHEAD = 12         # a row is prefetched so many rows ahead: rows of a label lie scattered

most_rows = MOST_ROWS


cpdef Py_ssize_t label_workspace(Py_ssize_t n_labels, Py_ssize_t d) noexcept nogil:
    """Size of a slot's work memory, in numbers: its panels, and the places where each label's rows begin"""
    return (d + 2 * LANES) * GROUP + ALIGNMENT // sizeof(double) + n_labels + 1


cdef Py_ssize_t first_outside(const Py_ssize_t *labels, Py_ssize_t n, Py_ssize_t K) noexcept nogil:
    """The first i whose label is none of 0 to K − 1; n if there is none"""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 <= labels[i] < K:
            return i
    return n


cdef void gather(
    const double *X, const double *weight, Py_ssize_t d,                                # IN
    const unsigned short *rows, Py_ssize_t n_rows, Py_ssize_t n_left, const double *c,  # IN: rows (n_left,)
    double *root, double *z,                                                            # OUT
) noexcept nogil:
    """root, z := √w, √w (x − c) of rows; numbers of z behind the last feature do not change"""
    cdef Py_ssize_t i, j, first
    cdef const double *x
    cdef double *panel
    for i in range(n_rows):
        x = X + rows[min(i + ROWS_AHEAD, n_left - 1)] * d
        prefetch(<const char *> x)
        prefetch(<const char *> (x + d - 1))
        x = X + rows[i] * d
        root[i] = sqrt(weight[rows[i]])
        first, panel = 0, z + i * 2 * LANES
        while first + 2 * LANES <= d:
            for j in range(2 * LANES):
                panel[j] = root[i] * (x[first + j] - c[first + j])
            first += 2 * LANES
            panel += GROUP * 2 * LANES
        for j in range(d - first):
            panel[j] = root[i] * (x[first + j] - c[first + j])


cdef void add_shift(
    const double *root, const double *z, Py_ssize_t n_rows, Py_ssize_t d,   # IN
    double *shift,                                                          # INOUT
) noexcept nogil:
    """s += Σ √w z"""
    cdef vec first[2]
    cdef Py_ssize_t at = 0, i, j
    cdef int v
    while at < d:
        for v in range(2):
            first[v] = vec_of(0)
        for i in range(n_rows):
            for v in range(2):
                first[v] += root[i] * (<const vec *> z)[2 * i + v]
        for j in range(min(d - at, 2 * LANES)):
            shift[at + j] += (<double *> first)[j]
        at += 2 * LANES
        z += GROUP * 2 * LANES


cdef void add_tile(
    const double *z, const double *panel, Py_ssize_t line, Py_ssize_t n_rows,   # IN: all panels, the columns' panel
    Py_ssize_t n_lines, Py_ssize_t n_numbers, Py_ssize_t d,                     # IN: the part of the tile within S
    double *S,                                                      # INOUT, (d, d) from the tile's first number on
) noexcept nogil:
    """One tile of S += Σ z zᵀ: LINES lines from `line` on, and the columns of a panel"""
    cdef vec sums[LINES][2]
    cdef vec tile[LINES][2]
    cdef const double *left[LINES]
    cdef Py_ssize_t i, j
    cdef int a, v
    for a in range(LINES):
        j = line + (a if a < n_lines else 0)
        left[a] = z + j // (2 * LANES) * GROUP * 2 * LANES + j % (2 * LANES)
        for v in range(2):
            sums[a][v] = vec_of(0)
    for i in range(n_rows):
        for a in range(LINES):
            for v in range(2):
                sums[a][v] += left[a][i * 2 * LANES] * (<const vec *> panel)[2 * i + v]
    # A copy, whose address is taken below: the sums themselves have no address and stay in registers.
    for a in range(LINES):
        for v in range(2):
            tile[a][v] = sums[a][v]
    for a in range(n_lines):
        for j in range(n_numbers):
            S[a * d + j] += (<double *> tile[a])[j]


cdef void add_matrix(
    const double *z, Py_ssize_t n_rows, Py_ssize_t d,       # IN
    double *S,                                              # INOUT, (d, d)
) noexcept nogil:
    """S += Σ z zᵀ: the lower triangle, and the part of the upper triangle in the same tiles"""
    cdef Py_ssize_t line = 0, column
    while line < d:
        column = 0
        while column < min(line + LINES, d):
            add_tile(
                z, z + column * GROUP, line, n_rows, min(d - line, LINES), min(d - column, 2 * LANES), d,
                S + line * d + column)
            column += 2 * LANES
        line += LINES


cdef void add_groups(
    int form, const double *x, const double *weight, const Py_ssize_t *labels, Py_ssize_t n_rows,       # IN
    const double *centers, Py_ssize_t K, Py_ssize_t d,                                                  # IN
    double *work, double *sums,                                                         # overwritten; INOUT
) noexcept nogil:
    """sums += [N | s | S] of no more than MOST_ROWS rows, where S holds matrices, by groups of rows"""
    cdef Py_ssize_t n_group, i, k, at = 0
    cdef double *z = <double *> ((<uintptr_t> work + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    cdef Py_ssize_t *ends = <Py_ssize_t *> (z + (d + 2 * LANES) * GROUP)
    cdef double root[GROUP]
    cdef unsigned short rows[MOST_ROWS]
    memset(z, 0, (d + 2 * LANES) * GROUP * sizeof(double))
    # Sort rows by label, and keep their order within a label. At the end, ends[k] is the end of label k's rows.
    memset(ends, 0, (K + 1) * sizeof(Py_ssize_t))
    if labels == NULL:
        ends[0] = n_rows
        for i in range(n_rows):
            rows[i] = <unsigned short> i
    else:
        for i in range(n_rows):
            ends[labels[i] + 1] += 1
        for k in range(K):
            ends[k + 1] += ends[k]
        for i in range(n_rows):
            k = labels[i]
            rows[ends[k]] = <unsigned short> i
            ends[k] += 1
    for k in range(K):
        while at < ends[k]:
            n_group = min(ends[k] - at, GROUP)
            gather(x, weight, d, rows + at, n_group, n_rows - at, centers + k * d, root, z)
            for i in range(at, at + n_group):
                sums[k] += weight[rows[i]]
            add_shift(root, z, n_group, d, sums + K + k * d)
            add_matrix(z, n_group, d, sums + K * (1 + d) + k * spread_step(form, d))
            at += n_group


cdef void add_chunk(
    int form, const double *x, const double *weight, const Py_ssize_t *labels, Py_ssize_t n_rows,       # IN
    const double *centers, Py_ssize_t K, Py_ssize_t d, bint only_means,                                 # IN
    double *work, double *sums,                                                         # overwritten; INOUT
) noexcept nogil:
    """sums += [N | s | S] of no more than MOST_ROWS rows, or N and s alone"""
    if d <= NARROW and K <= FEW_LABELS and K < LANES:
        add_lanes_of_rows(
            x, weight, labels, n_rows, centers, K, d, sums, NULL if only_means else sums + K * (1 + d), form)
    elif not only_means and d > NARROW and (form == FULL or form == TIED):
        add_groups(form, x, weight, labels, n_rows, centers, K, d, work, sums)
    else:
        add_vectors(
            x, weight, labels, n_rows, centers, K, d, sums, NULL if only_means else sums + K * (1 + d), form)


cdef void move_to_means(
    double *slots, Py_ssize_t n_slots, Py_ssize_t width, Py_ssize_t K, Py_ssize_t d,    # INOUT: N and s become 0
    double *centers,                                                                    # INOUT: (K, d)
) noexcept nogil:
    """centers := the means, from sums about one centre for all, or the mean of all rows if a label holds nothing"""
    cdef Py_ssize_t k, j, slot
    cdef double total = 0, everywhere
    for slot in range(1, n_slots):
        for j in range(K * (1 + d)):
            slots[j] += slots[slot * width + j]
    for k in range(K):
        total += slots[k]
    for j in range(d):
        everywhere = 0
        for k in range(K):
            everywhere += slots[K + k * d + j]
        for k in range(K):
            if slots[k] > 0:
                centers[k * d + j] += slots[K + k * d + j] / slots[k]
            elif total > 0:
                centers[k * d + j] += everywhere / total
    for slot in range(n_slots):
        memset(slots + slot * width, 0, K * (1 + d) * sizeof(double))


cdef void conclude(
    int form, const double *slots, Py_ssize_t n_slots, Py_ssize_t width, Py_ssize_t K, Py_ssize_t d,        # IN
    const double *centers,                                                                                  # IN: (K, d)
    double *statistics,                                                                                     # OUT
) noexcept nogil:
    """statistics := [N | s | S | c], the slots added in order, both triangles of S"""
    cdef double *S = statistics + K * (1 + d)
    cdef Py_ssize_t slot, i, j, _
    memcpy(statistics, slots, width * sizeof(double))
    for slot in range(1, n_slots):
        for i in range(width):
            statistics[i] += slots[slot * width + i]
    if form == FULL or form == TIED:
        for _ in range(spread_size(form, K, d) // (d * d)):
            for i in range(d):
                for j in range(i):
                    S[j * d + i] = S[i * d + j]
            S += d * d
    memcpy(statistics + width, centers, K * d * sizeof(double))


cdef class LabelSums:
    """N = Σ w, s = Σ w (x − c) and S = Σ w (x − c)(x − c)ᵀ of each label's rows, about centres of the labels.

    Call `add_up` for every chunk of rows, then `finish`. To find centres before, call `add_means` for every chunk, then
    `center`.
    """

    cdef int form
    cdef const double[:, ::1] X
    cdef const double[::1] weight
    cdef const Py_ssize_t[::1] labels
    cdef double[:, ::1] centers, slots, work

    def __cinit__(
        self, int form, const double[:, ::1] X, const double[::1] weight,       # IN: (n, d), (n,)
        const Py_ssize_t[::1] labels,                                           # IN: (n,), or None: all have label 0
        double[:, ::1] centers,                                                 # INOUT: (n_labels, d)
        double[:, ::1] slots,                                   # INOUT, 0: (n_slots, …), [N | s | S] as in factors.pyx
        double[:, ::1] work,                                    # overwritten, (n_slots, label_workspace)
        /,
    ):
        cdef Py_ssize_t K = centers.shape[0], n = X.shape[0], d = X.shape[1], i
        check_some("rows", n)
        check_some("features", d)
        check_some("centres", K)
        check_some("slots", slots.shape[0])
        check_sizes(form, K, d)
        check_length("weight", weight.shape[0], n)
        check_length("a centre", centers.shape[1], d)
        check_length("a slot", slots.shape[1], K * (1 + d) + spread_size(form, K, d))
        check_length("work", work.shape[0] * work.shape[1], slots.shape[0] * label_workspace(K, d))
        check_length("work of a slot", work.shape[1], label_workspace(K, d))
        if labels is None:
            if K != 1:
                raise ValueError(f"there are {K} centres, expected 1 without labels")
        else:
            check_length("labels", labels.shape[0], n)
            with nogil:
                i = first_outside(&labels[0], n, K)
            if i < n:
                check_number(f"labels[{i}]", labels[i], 0, K - 1)
        self.form, self.X, self.weight, self.labels = form, X, weight, labels
        self.centers, self.slots, self.work = centers, slots, work

    def add_means(self, Py_ssize_t slot, Py_ssize_t first_row, Py_ssize_t last_row, /):
        """slot += only N and s of rows [first_row, last_row)"""
        self.add(slot, first_row, last_row, True)

    def add_up(self, Py_ssize_t slot, Py_ssize_t first_row, Py_ssize_t last_row, /):
        """slot += the sums of rows [first_row, last_row)"""
        self.add(slot, first_row, last_row, False)

    cdef int add(self, Py_ssize_t slot, Py_ssize_t first_row, Py_ssize_t last_row, bint only_means) except -1:
        cdef Py_ssize_t K = self.centers.shape[0], d = self.X.shape[1]
        cdef const double *x = &self.X[0, 0] + first_row * d
        cdef const double *weight = &self.weight[0] + first_row
        cdef const Py_ssize_t *labels = NULL
        cdef double *sums = &self.slots[0, 0] + slot * self.slots.shape[1]
        check_range(first_row, last_row, self.X.shape[0])
        check_number("the number of rows", last_row - first_row, 0, MOST_ROWS)
        check_number("slot", slot, 0, self.slots.shape[0] - 1)
        if self.labels is not None:
            labels = &self.labels[0] + first_row
        with nogil:
            add_chunk(
                self.form, x, weight, labels, last_row - first_row, &self.centers[0, 0], K, d, only_means,
                &self.work[slot, 0], sums)
        return 0

    def center(self):
        """centers := the means, from sums about one centre for all; N, s := 0

        A label that holds nothing gets the mean of all rows.
        """
        with nogil:
            move_to_means(
                &self.slots[0, 0], self.slots.shape[0], self.slots.shape[1], self.centers.shape[0],
                self.centers.shape[1], &self.centers[0, 0])

    def finish(self, double[::1] statistics, /):
        """statistics := [N | s | S | c], the slots added in order"""
        check_length("statistics", statistics.shape[0], self.slots.shape[1] + self.centers.shape[0] * self.X.shape[1])
        with nogil:
            conclude(
                self.form, &self.slots[0, 0], self.slots.shape[0], self.slots.shape[1], self.centers.shape[0],
                self.centers.shape[1], &self.centers[0, 0], &statistics[0])
