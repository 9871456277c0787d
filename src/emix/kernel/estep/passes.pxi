# What Python calls: E-steps over ranges of rows.

cdef double LISTING = 2     # cycles that a row takes to be listed, or not

cdef enum:
    LARGE_SLOT = 1 << 15    # bytes: from here on super-blocks are visited slot by slot, so that a slot stays in cache

block_rows = SMALL_BLOCK
window_rows = WINDOW


cpdef Py_ssize_t super_block_rows(Py_ssize_t n_features) noexcept nogil:
    """Rows of a super-block. A block is no longer.

    With many features, long ones: what their few live rows add to a scatter is gathered from more rows at once, so
    that large scatters are gone through less often. An iteration, AVX-512: d = 32 3 % less, d = 50 5 %, d = 128 12 %;
    d = 20 the same, d = 10, whose block then leaves the first-level cache, 5 to 10 % more. With very many, short ones
    again: a pass looks at its stop flag between them, and one of 1024 rows would take a second for 512 components.
    """
    return LONG_SUPER_BLOCK if MANY_FEATURES <= n_features <= MOST_FEATURES else SUPER_BLOCK


cpdef Py_ssize_t group_rows(Py_ssize_t n_components) noexcept nogil:
    """Rows of a group that has bounds of its own, in 4 K bytes: 128 up to K = 128, 4 bytes a row, else a block."""
    return 128 if n_components <= 128 else 256


cdef inline double cost_of_log_density(double d) noexcept nogil:
    """Cycles for one of a full covariance"""
    return 1.06 * d * (d + 3) / (2 * LANES)


cdef inline double cost_of_listing(double d) noexcept nogil:
    """What one of a listed row (screen.pxi) takes more: to load it once more, and what fills up its vectors"""
    return 0.8 * d + 0.1 * cost_of_log_density(d)


cpdef double cost_of_first_look(Py_ssize_t n_features, double live_share) noexcept nogil:
    """What the log-densities of a pass with a first look cost, over that without (full); 2 where there is none

    `live_share`: of the responsibilities that are above 0. Fitted to times measured with AVX-512 for d from 24 to 128
    and shares from 0.04 to 0.35.
    """
    cdef double d = n_features, plain = cost_of_log_density(d)
    if not has_narrow():
        return 2
    return (1.1 * d * (d + 1) / (2 * NARROW_LANES) + 2.5 * d / LANES + 10) / plain + live_share * (
        1 + cost_of_listing(d) / plain)


cpdef Py_ssize_t workspace_size(Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    """Numbers that one thread's workspace holds."""
    cdef Py_ssize_t numbers = (4 * n_features + 2 * LANES + n_components + 6) * STRIDE
    numbers += n_features * n_features + (4 + n_features) * n_components
    return numbers + ALIGNMENT // sizeof(real)


cdef Mixture describe(
    int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
    Py_ssize_t n_rows=SMALL_BLOCK, bint packing=True,
):
    """The parameters in C, from one array [c (K, d) | b (K, d) | a (K,) | margin (K,) | W | m (d,)] of that length

    `n_rows`: of a block; `packing`: False sets the limits so that no row is packed
    """
    check_sizes(structure, n_components, n_features)
    cdef Mixture mixture
    cdef Py_ssize_t K = n_components, d = n_features
    cdef double width = whole_vectors(d, LANES) // LANES
    # What a row of a component costs, in cycles: dense, among vectors of rows (with its part of the sums over lanes
    # that end a block); packed, copied and added to the scatter by vectors of features. Fitted to cycles measured at
    # AVX-512, d = 10 to 128, and to measured shares of live rows at which both take the same time, d = 5 to 100,
    # AVX-512 and AVX2, both precisions.
    mixture.cost_dense = d * (d + 5.0) / (2 * LANES) + d * (d + 3.0) / n_rows
    mixture.cost_packed = 11 + 4 * width + 0.9 * d * (d + LANES) / (2 * LANES)
    mixture.packed_below = (5.0 * d / LANES - LISTING) / (8 * width)
    cdef double dense
    # At the origin no difference is left to take, and of tied no scatter to sum.
    dense = (d if structure == TIED else 2 * d if structure == DIAG else d + 1) * 1.25 / LANES
    mixture.packed_at_origin = (dense - 2.5) / (8 * width)
    if not packing:
        mixture.cost_packed, mixture.packed_below, mixture.packed_at_origin = INFINITY, 0, 0
    mixture.cost_listed = 1 + cost_of_listing(d) / cost_of_log_density(d)
    mixture.sketch = NULL
    mixture.structure = <Structure> structure
    mixture.n_components = K
    mixture.n_features = d
    mixture.scatter_size = spread_size(structure, K, d)
    mixture.scatter_step = spread_step(structure, d)
    if arguments.shape[0] != 2 * K * (d + 1) + mixture.scatter_size + d:
        raise ValueError(f"{arguments.shape[0]} numbers are not the parameters of {K} components in {d} dimensions")
    mixture.center = &arguments[0]
    mixture.offset = mixture.center + K * d
    mixture.log_constant = mixture.offset + K * d
    mixture.margin = mixture.log_constant + K
    mixture.whitening = mixture.margin + K
    mixture.origin = mixture.whitening + mixture.scatter_size
    return mixture


cdef Block whole(const real[:, :] X, const double[:] sample_weight):
    """All rows of X"""
    cdef Block block
    if X.shape[0] < 1 or X.shape[1] < 1:
        raise ValueError(f"X is {X.shape[0]} × {X.shape[1]}, expected one row and one feature at least")
    if sample_weight is not None and sample_weight.shape[0] != X.shape[0]:
        raise ValueError(f"{sample_weight.shape[0]} weights for {X.shape[0]} rows")
    block.rows = <const char *> &X[0, 0]
    block.row_stride = X.strides[0]
    block.feature_stride = X.strides[1]
    block.end = block.rows
    if block.row_stride >= 0 and block.feature_stride >= 0:
        block.end += (
            (X.shape[0] - 1) * block.row_stride + (X.shape[1] - 1) * block.feature_stride + <Py_ssize_t> sizeof(real))
    block.n_rows = X.shape[0]
    block.order = NULL
    block.weight = NULL
    block.weight_stride = 0
    if sample_weight is not None:
        block.weight = <const char *> &sample_weight[0]
        block.weight_stride = sample_weight.strides[0]
    return block


include "../shared/checks.pxi"


cdef int check_shape(
    str name, Py_ssize_t n_lines, Py_ssize_t n_columns, Py_ssize_t lines_expected, Py_ssize_t columns_expected
) except -1:
    if n_lines != lines_expected or n_columns != columns_expected:
        raise ValueError(f"{name} is {n_lines} × {n_columns}, expected {lines_expected} × {columns_expected}")
    return 0


cdef bint stopped(const int[::1] stop) noexcept nogil:
    return stop is not None and load_flag(&stop[0]) != 0


cdef Block part(Block *rows, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Rows [first, last)"""
    cdef Block block = rows[0]
    block.rows += first * rows.row_stride
    if rows.weight != NULL:
        block.weight += first * rows.weight_stride
    block.n_rows = last - first
    return block


cdef Block block_of(Rows rows, Py_ssize_t start, Py_ssize_t last, Bounds *bounds, Py_ssize_t base) noexcept nogil:
    """Rows [start, last), or places [start, last) in the order of the bounds, which lie in one window"""
    cdef Py_ssize_t first = start - rows.first_row, window = start // WINDOW * WINDOW
    cdef Block block
    if bounds == NULL:
        return part(&rows.block, first, first + last - start)
    first = window - rows.first_row
    block = part(&rows.block, first, first + last - start)
    block.order = bounds.order + start - base
    return block


cdef Py_ssize_t slot_width(Mixture *mixture) noexcept nogil:
    return mixture.n_components * (1 + mixture.n_features) + mixture.scatter_size + 1


cdef double add_block(
    Mixture *mixture, Block *block, Bounds *bounds, Workspace *work, double *slot
) noexcept nogil:
    """E-step of a block, added to a slot; how many responsibilities are above 0"""
    cdef Py_ssize_t n_vectors = load(block, mixture.n_features, work), a
    cdef double n_live = 0
    log_densities(mixture, block, bounds, work, n_vectors)
    exponentials(mixture, work, n_vectors)
    posterior(mixture, work, n_vectors)
    for a in range(work.n_active):
        n_live += work.live[work.active[a]]
    if bounds != NULL:
        mark_live(bounds, work)
    statistics(mixture, block, work, slot)
    slot[slot_width(mixture) - 1] += log_likelihood(
        work, mixture.n_components, block.weight != NULL, block.n_rows, n_vectors)
    return n_live


cdef void put_labels(Workspace *work, Py_ssize_t n_rows, unsigned short *labels) noexcept nogil:
    """labels := the component with the largest responsibility, the first of equals, or 0 where all are 0

    Call after `posterior`.
    """
    cdef Py_ssize_t a, i
    cdef const real *p
    for i in range(n_rows):
        labels[i] = 0
        work.best[i] = 0
    for a in range(work.n_active):
        p = work.p + work.active[a] * STRIDE
        for i in range(n_rows):
            if p[i] > work.best[i]:
                work.best[i] = p[i]
                labels[i] = <unsigned short> work.active[a]


cdef class Rows:
    """Rows that passes read, and their weights: a whole source, or a batch of one."""

    cdef Block block                            # all of them
    cdef Py_ssize_t first_row, n_features
    # Held for as long as there are pointers into them
    cdef const real[:, :] X
    cdef const double[:] sample_weight

    def __cinit__(self, const real[:, :] X not None, const double[:] sample_weight=None, Py_ssize_t first_row=0):
        """Take the rows, and a weight for each or None.

        `first_row`: the number of the first row in the whole source, a multiple of `super_block_rows`. Calls name rows
        by their numbers in the whole source.
        """
        self.block = whole(X, sample_weight)
        self.n_features = X.shape[1]
        check_multiple("first_row", first_row, super_block_rows(self.n_features))
        self.X, self.sample_weight, self.first_row = X, sample_weight, first_row


cdef int check_multiple(str name, Py_ssize_t row, Py_ssize_t super_block) except -1:
    if row < 0 or row % super_block:
        raise ValueError(f"{name} is {row}, expected a multiple of super_block_rows, {super_block}")
    return 0


cdef int check_region(Py_ssize_t first, Py_ssize_t last, Py_ssize_t start, Py_ssize_t n) except -1:
    """Rows [first, last) are among the n from `start` on"""
    if not start <= first <= last <= start + n:
        raise ValueError(f"rows {first} to {last} are asked for, of the {n} from row {start} on")
    return 0


cdef class Accumulator:
    """E-steps of one fit. What they read and write is asked for once and held: a pass is a mere call.

    Several threads may accumulate at once, each under its own number, which has a workspace and slots of its own.

    Super-block i is rows [b i, b (i + 1)) of the whole source, b = super_block_rows. It is added to slot i mod n_slots.
    So batches of the rows, visited in their order, have the sums of one pass over all of them, to the bit.
    """

    cdef Mixture mixture
    cdef Py_ssize_t super_block, block_rows     # rows
    # Held for as long as there are pointers into them
    cdef const real[::1] arguments
    cdef const float[::1] sketch
    cdef real[:, ::1] workspaces
    cdef double[:, ::1] slots

    def __cinit__(
        self, int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
        real[:, ::1] workspaces, double[:, ::1] slots, const float[::1] sketch=None,
        bint packing=True,
    ):
        """Take the arrays from which parameters will be read (before each pass), and to which sums be added.

        `arguments` are [c | b | a | margin | W | m] as in `describe`; `workspaces` has a line of workspace_size numbers
        for each thread; `slots` has a line for each slot. Where components of tied have m for their centre no scatter
        is summed: see origin.pxi. `packing`: False sums over all rows of a block, however few are live; sums then
        differ by rounding.
        """
        self.super_block = super_block_rows(n_features)
        self.block_rows = SMALL_BLOCK if self.super_block == SUPER_BLOCK else BLOCK
        self.mixture = describe(structure, n_components, n_features, arguments, self.block_rows, packing)
        if workspaces.shape[1] < workspace_size(n_components, n_features):
            raise ValueError(f"a workspace has {workspaces.shape[1]} numbers, fewer than workspace_size tells")
        if slots.shape[0] < 1 or slots.shape[1] != slot_width(&self.mixture):
            raise ValueError(
                f"slots are {slots.shape[0]} × {slots.shape[1]}, expected a width of {slot_width(&self.mixture)}")
        if sketch is not None:
            if structure != FULL or sketch.shape[0] != n_components * (1 + n_features + panels_size(n_features)):
                raise ValueError(f"{sketch.shape[0]} numbers are not the sketch of {n_components} full components")
            self.mixture.sketch = &sketch[0]
        self.arguments, self.sketch, self.workspaces, self.slots = arguments, sketch, workspaces, slots

    def accumulate(
        self, Rows rows not None, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row, const int[::1] stop
    ):
        """Add the statistics of rows [first_row, last_row) to the slots that this thread has.

        `first_row` is a multiple of `super_block_rows`; slot s belongs to thread s mod the number of workspaces.
        Returns how many responsibilities are above 0; early, with slots half filled, once stop[0] is not 0 (None:
        never).
        """
        return self.sweep(rows, thread, first_row, last_row, NULL, 0, NULL, stop)

    def accumulate_labelled(
        self, Rows rows not None, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row,
        Py_ssize_t base, unsigned short[::1] labels, const int[::1] stop,
    ):
        """`accumulate`, and labels[i] := the best component of row base + i"""
        check_multiple("base", base, self.super_block)
        check_region(first_row, last_row, base, labels.shape[0])
        return self.sweep(rows, thread, first_row, last_row, NULL, base, &labels[0], stop)

    def accumulate_bounded(
        self, Rows rows not None, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row,
        Py_ssize_t base, const unsigned short[::1] order,
        float[:, ::1] near, const float[::1] shrink, const float[::1] moved,
        unsigned short[::1] labels, const int[::1] stop,
    ):
        """`accumulate` with bounds: see bounds.pxi. Returns how many log-densities of a group and component were
        computed, those begun and left as quarters.

        Rows are visited in `order`, which begins at row `base`, as do `near` and `labels`: place i is row order[i] of
        the window of window_rows rows in which row base + i lies. `near` (groups, K) is kept from pass to pass; rows of
        a group are those of one line of `near`, group_rows(K) of them. `labels`, if given, gets the best component of
        each row.
        """
        cdef Bounds bounds
        cdef Py_ssize_t K = self.mixture.n_components, n = order.shape[0], group = group_rows(K)
        check_multiple("base", base, self.super_block)
        check_region(first_row, last_row, base, n)
        check_shape("near", near.shape[0], near.shape[1], (n + group - 1) // group, K)
        check_length("shrink", shrink.shape[0], K)
        check_length("moved", moved.shape[0], K)
        if labels is not None:
            check_length("labels", labels.shape[0], n)
        bounds.order = &order[0]
        bounds.all_near = &near[0, 0]
        bounds.shrink = &shrink[0]
        bounds.moved = &moved[0]
        bounds.n_computed = 0
        self.sweep(rows, thread, first_row, last_row, &bounds, base, NULL if labels is None else &labels[0], stop)
        return 0.25 * bounds.n_computed

    cdef double sweep(
        self, Rows rows, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row,
        Bounds *bounds, Py_ssize_t base, unsigned short *labels, const int[::1] stop,
    ) except -1:
        """A pass over rows [first_row, last_row); how many responsibilities are above 0"""
        cdef Workspace work = self.workspace(thread)
        cdef Py_ssize_t n_slots = self.slots.shape[0], n_threads = self.workspaces.shape[0]
        # Rounds of super-blocks, one for each slot, that have rows of this pass
        cdef Py_ssize_t first_round = first_row // (self.super_block * n_slots)
        cdef Py_ssize_t n_rounds = (last_row - 1) // (self.super_block * n_slots) + 1 - first_round
        cdef Py_ssize_t n_shares = (n_slots - thread + n_threads - 1) // n_threads
        cdef bint slot_by_slot = self.slots.shape[1] * sizeof(double) > LARGE_SLOT
        cdef Py_ssize_t step, slot, turn, next_slot = 0, start = -1, next_start
        cdef double n_live = 0
        if rows.n_features != self.mixture.n_features:
            raise ValueError(f"rows have {rows.n_features} features, expected {self.mixture.n_features}")
        check_multiple("first_row", first_row, self.super_block)
        check_region(first_row, last_row, rows.first_row, rows.block.n_rows)
        with nogil:
            for step in range(n_shares * n_rounds + 1):
                if stopped(stop):
                    break
                # The super-block of this step is done in the next one, when it is known what follows; −1: none
                slot, next_start = next_slot, -1
                if step < n_shares * n_rounds:
                    next_slot = thread + n_threads * (step // n_rounds if slot_by_slot else step % n_shares)
                    turn = step % n_rounds if slot_by_slot else step // n_shares
                    next_start = ((first_round + turn) * n_slots + next_slot) * self.super_block
                    if not first_row <= next_start < last_row:
                        next_start = -1
                if start >= 0:
                    n_live += self.add_super_block(
                        rows, start, last_row, next_start, bounds, base, labels, &work, &self.slots[slot, 0])
                start = next_start
        return n_live

    cdef double add_super_block(
        self, Rows rows, Py_ssize_t start, Py_ssize_t last_row, Py_ssize_t next_start,      # IN
        Bounds *bounds, Py_ssize_t base, unsigned short *labels,                # INOUT, or NULL; OUT, or NULL
        Workspace *work, double *slot,                                          # INOUT
    ) noexcept nogil:
        """E-step of the super-block at `start`, added to a slot; how many responsibilities are above 0

        `next_start` is where the one that follows begins, −1 for none.
        """
        cdef Py_ssize_t K = self.mixture.n_components, step = self.block_rows if bounds == NULL else group_rows(K)
        cdef Py_ssize_t i, first
        cdef Py_ssize_t last = min(start + self.super_block, last_row)
        cdef Block block
        cdef unsigned short found[BLOCK]
        cdef double n_live = 0
        while start < last:
            first = start
            block = block_of(rows, start, min(start + step, last), bounds, base)
            work.ahead.n_rows = 0
            if start + step < last:
                work.ahead = block_of(rows, start + step, min(start + 2 * step, last), bounds, base)
            elif next_start >= 0:
                work.ahead = block_of(rows, next_start, min(next_start + step, last_row), bounds, base)
            if bounds != NULL:
                first = start // WINDOW * WINDOW
                bounds.near = bounds.all_near + (start - base) // step * K
            n_live += add_block(&self.mixture, &block, bounds, work, slot)
            if labels != NULL:
                put_labels(work, block.n_rows, found)
                for i in range(block.n_rows):
                    labels[first + place(&block, i) - base] = found[i]
            start += step
        return n_live

    cdef Workspace workspace(self, Py_ssize_t thread):
        if not 0 <= thread < self.workspaces.shape[0]:
            raise ValueError(f"thread {thread} has no workspace: there are {self.workspaces.shape[0]}")
        return layout(&self.workspaces[thread, 0], &self.mixture)
