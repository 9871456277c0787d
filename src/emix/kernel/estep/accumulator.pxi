# The Accumulator, which Python calls in a fit: E-steps over ranges of rows, added to slots.

from cpython.pycapsule cimport PyCapsule_New


cdef enum:
    LARGE_SLOT = 1 << 15    # bytes: from here on super-blocks are visited slot by slot, so that a slot stays in cache


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
        self, int form, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
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
        self.mixture = describe(form, n_components, n_features, arguments, self.block_rows, packing)
        if workspaces.shape[1] < workspace_size(n_components, n_features):
            raise ValueError(f"a workspace has {workspaces.shape[1]} numbers, fewer than workspace_size tells")
        if slots.shape[0] < 1 or slots.shape[1] != self.mixture.slot.size:
            raise ValueError(
                f"slots are {slots.shape[0]} × {slots.shape[1]}, expected a width of {self.mixture.slot.size}")
        if sketch is not None:
            if form != FULL or sketch.shape[0] != n_components * (1 + n_features + panels_size(n_features)):
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

    def alone(self, Rows rows not None):
        """A capsule of `sweep_alone`, for these rows: the caller holds both objects while it calls it."""
        if self.workspaces.shape[0] != 1:
            raise ValueError(f"there are {self.workspaces.shape[0]} workspaces, expected one: that of a lone thread")
        if rows.n_features != self.mixture.n_features:
            raise ValueError(f"rows have {rows.n_features} features, expected {self.mixture.n_features}")
        return PyCapsule_New(<void *> sweep_alone, "emix.PassOverRows", NULL)

    cdef double sweep(
        self, Rows rows, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row,
        Bounds *bounds, Py_ssize_t base, unsigned short *labels, const int[::1] stop,
    ) except -1:
        """A pass over rows [first_row, last_row); how many responsibilities are above 0"""
        cdef Workspace work
        cdef Py_ssize_t n_slots = self.slots.shape[0], n_threads = self.workspaces.shape[0]
        if not 0 <= thread < n_threads:
            raise ValueError(f"thread {thread} has no workspace: there are {n_threads}")
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
        lay_out(&self.workspaces[thread, 0], &self.mixture, &work)
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


cdef double sweep_alone(Accumulator accumulator, Rows rows) noexcept nogil:
    """`accumulate` of all rows by thread 0 of one, for compiled code of other modules; it has checked the sizes

    Super-blocks go to their slots in the same order, so that the sums have the same bits.
    """
    cdef Workspace work
    cdef Py_ssize_t step = accumulator.super_block, n_slots = accumulator.slots.shape[0]
    cdef Py_ssize_t last_row = rows.first_row + rows.block.n_rows, start = rows.first_row, next_start
    cdef double n_live = 0
    lay_out(&accumulator.workspaces[0, 0], &accumulator.mixture, &work)
    while start < last_row:
        next_start = start + step if start + step < last_row else -1
        n_live += accumulator.add_super_block(
            rows, start, last_row, next_start, NULL, 0, NULL, &work, &accumulator.slots[start // step % n_slots, 0])
        start += step
    return n_live
