# What Python calls: passes over ranges of rows.

from libc.stdlib cimport free, malloc

block_rows = BLOCK
super_block_rows = SUPER_BLOCK
window_rows = WINDOW


cpdef Py_ssize_t group_rows(Py_ssize_t n_components) noexcept nogil:
    """Rows of a group that has bounds of its own: 4 K bytes for 128 rows, or for more if that would be over 4 a row."""
    return BLOCK // 2 if n_components <= 128 else BLOCK


cpdef Py_ssize_t workspace_size(Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    """Numbers that one thread's workspace holds."""
    cdef Py_ssize_t numbers = (3 * n_features + 2 * LANES + n_components + 6) * STRIDE
    numbers += n_features * n_features + 2 * n_components
    return numbers + ALIGNMENT // sizeof(real)


cdef Mixture describe(int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments):
    """The parameters in C, from one array [c (K, d) | b (K, d) | a (K,) | margin (K,) | W], whose length is checked"""
    cdef Mixture mixture
    cdef Py_ssize_t K = n_components, d = n_features
    # What a row of a component costs, in cycles (a model of measurements on Zen 4): among vectors of rows, and packed,
    # where it is listed and, if live, copied and added to the scatter by vectors of features.
    cdef double width = (d + LANES - 1) // LANES
    cdef bint matrices = structure == FULL or structure == TIED
    cdef double dense = (d * (d + 5) / 2.0 * 1.3 if matrices else 5.0 * d) / LANES
    cdef double packed = (2 * width * (d + LANES) / 4 * 0.65 if matrices else 0) + 8 * width
    mixture.packed_below = (dense - 2.5) / packed
    mixture.structure = <Structure> structure
    mixture.n_components = K
    mixture.n_features = d
    mixture.scatter_size = (
        K * d * d if structure == FULL else d * d if structure == TIED else K * d if structure == DIAG else K)
    mixture.scatter_step = d * d if structure == FULL else 0 if structure == TIED else d if structure == DIAG else 1
    if K < 1 or d < 1 or arguments.shape[0] != 2 * K * (d + 1) + mixture.scatter_size:
        raise ValueError(f"{arguments.shape[0]} numbers are not the parameters of {K} components in {d} dimensions")
    mixture.center = &arguments[0]
    mixture.offset = mixture.center + K * d
    mixture.log_constant = mixture.offset + K * d
    mixture.margin = mixture.log_constant + K
    mixture.whitening = mixture.margin + K
    return mixture


cdef Block whole(const real[:, :] X, const double[:] sample_weight, Mixture *mixture):
    """All rows of X; that they fit the parameters is checked here"""
    cdef Block block
    if X.shape[0] < 1 or X.shape[1] != mixture.n_features:
        raise ValueError(f"X is {X.shape[0]} × {X.shape[1]}, expected rows of {mixture.n_features} features")
    if sample_weight is not None and sample_weight.shape[0] != X.shape[0]:
        raise ValueError(f"{sample_weight.shape[0]} weights for {X.shape[0]} rows")
    block.rows = <const char *> &X[0, 0]
    block.row_stride = X.strides[0]
    block.feature_stride = X.strides[1]
    block.n_rows = X.shape[0]
    block.order = NULL
    block.weight = NULL
    block.weight_stride = 0
    if sample_weight is not None:
        block.weight = <const char *> &sample_weight[0]
        block.weight_stride = sample_weight.strides[0]
    return block


cdef int check_range(Py_ssize_t first_row, Py_ssize_t last_row, Py_ssize_t n_rows) except -1:
    """A pass stays within the rows"""
    if not 0 <= first_row <= last_row <= n_rows:
        raise ValueError(f"rows {first_row} to {last_row} are asked for, of {n_rows}")
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


cdef Py_ssize_t slot_width(Mixture *mixture) noexcept nogil:
    return mixture.n_components * (1 + mixture.n_features) + mixture.scatter_size + 1


cdef void add_block(
    Mixture *mixture, Block *block, Bounds *bounds, Workspace *work, double *slot
) noexcept nogil:
    """E-step of a block, added to a slot"""
    cdef Py_ssize_t n_vectors = load(block, mixture.n_features, work)
    log_densities(mixture, bounds, work, n_vectors)
    exponentials(mixture, work, n_vectors)
    posterior(mixture, work, n_vectors)
    if bounds != NULL:
        mark_live(bounds, work)
    statistics(mixture, block, work, slot)
    slot[slot_width(mixture) - 1] += log_likelihood(
        work, mixture.n_components, block.weight != NULL, block.n_rows, n_vectors)


cdef void put_labels(Workspace *work, Py_ssize_t n_rows, unsigned short *labels) noexcept nogil:
    """labels := the component with the largest responsibility, the first of equals; call after `posterior`"""
    cdef Py_ssize_t a, i
    cdef const real *p
    for i in range(n_rows):
        labels[i] = 0
        work.best[i] = -1
    for a in range(work.n_active):
        p = work.p + work.active[a] * STRIDE
        for i in range(n_rows):
            if p[i] > work.best[i]:
                work.best[i] = p[i]
                labels[i] = <unsigned short> work.active[a]


cdef class Accumulator:
    """E-steps over the rows of one fit. What they read and write is asked for once and held: a pass is a mere call.

    Several threads may accumulate at once, each under its own number, which has a workspace and slots of its own.
    """

    cdef Mixture mixture
    cdef Block rows
    # Held for as long as there are pointers into them
    cdef const real[::1] arguments
    cdef const real[:, :] X
    cdef const double[:] sample_weight
    cdef real[:, ::1] workspaces
    cdef double[:, ::1] slots

    def __cinit__(
        self, int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
        const real[:, :] X, const double[:] sample_weight, real[:, ::1] workspaces, double[:, ::1] slots,
    ):
        """Take the rows, and where parameters will be read (before each pass) and sums be added.

        `arguments` are [c | b | a | margin | W] as in `describe`; `workspaces` has a line of workspace_size numbers for
        each thread; super-block i is added to line i mod n_slots of `slots`.
        """
        self.mixture = describe(structure, n_components, n_features, arguments)
        self.rows = whole(X, sample_weight, &self.mixture)
        if workspaces.shape[1] < workspace_size(n_components, n_features):
            raise ValueError(f"a workspace has {workspaces.shape[1]} numbers, fewer than workspace_size tells")
        if slots.shape[0] < 1 or slots.shape[1] != slot_width(&self.mixture):
            raise ValueError(
                f"slots are {slots.shape[0]} × {slots.shape[1]}, expected a width of {slot_width(&self.mixture)}")
        self.arguments, self.X, self.sample_weight = arguments, X, sample_weight
        self.workspaces, self.slots = workspaces, slots

    def accumulate(self, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row, const int[::1] stop):
        """Add the statistics of rows [first_row, last_row) to the slots that this thread has.

        `first_row` is a multiple of super_block_rows; slot s belongs to thread s mod the number of workspaces. Returns
        early, with slots half filled, once stop[0] is not 0; None where nothing stops it.
        """
        cdef Workspace work = self.workspace(thread)
        cdef Block block
        cdef Py_ssize_t start = first_row, last, slot
        check_range(first_row, last_row, self.rows.n_rows)
        with nogil:
            while start < last_row and not stopped(stop):
                slot = start // SUPER_BLOCK % self.slots.shape[0]
                last = min(start + SUPER_BLOCK, last_row)
                if slot % self.workspaces.shape[0] != thread:
                    start = last
                while start < last:
                    block = part(&self.rows, start, min(start + BLOCK, last))
                    add_block(&self.mixture, &block, NULL, &work, &self.slots[slot, 0])
                    start += BLOCK
                start = last

    def accumulate_bounded(
        self, Py_ssize_t thread, Py_ssize_t first_row, Py_ssize_t last_row,
        const unsigned short[::1] order, float[:, ::1] near, const float[::1] shrink, const float[::1] moved,
        unsigned short[::1] labels, const int[::1] stop,
    ):
        """`accumulate` with bounds: see bounds.pxi. Returns how many log-densities of a group and component were
        computed, those begun and left as quarters.

        Rows are visited in `order`: row i of the order is row order[i] of its window of window_rows rows. `near`
        (groups, K) is kept from pass to pass; rows of a group are those of one line of `near`, group_rows(K) of them.
        `labels`, if given, gets the best component of each row of X.
        """
        cdef Workspace work = self.workspace(thread)
        cdef Block block
        cdef Bounds bounds
        cdef Py_ssize_t start = first_row, last, slot, window, i, group = group_rows(self.mixture.n_components)
        cdef unsigned short found[BLOCK]
        check_range(first_row, last_row, self.rows.n_rows)
        bounds.shrink = &shrink[0]
        bounds.moved = &moved[0]
        bounds.n_computed = 0
        with nogil:
            while start < last_row and not stopped(stop):
                slot = start // SUPER_BLOCK % self.slots.shape[0]
                last = min(start + SUPER_BLOCK, last_row)
                if slot % self.workspaces.shape[0] != thread:
                    start = last
                while start < last:
                    window = start // WINDOW * WINDOW
                    block = part(&self.rows, window, window + min(group, last - start))
                    block.order = &order[start]
                    bounds.near = &near[start // group, 0]
                    add_block(&self.mixture, &block, &bounds, &work, &self.slots[slot, 0])
                    if labels is not None:
                        put_labels(&work, block.n_rows, found)
                        for i in range(block.n_rows):
                            labels[window + block.order[i]] = found[i]
                    start += group
                start = last
        return 0.25 * bounds.n_computed

    cdef Workspace workspace(self, Py_ssize_t thread):
        if not 0 <= thread < self.workspaces.shape[0]:
            raise ValueError(f"thread {thread} has no workspace: there are {self.workspaces.shape[0]}")
        return layout(&self.workspaces[thread, 0], &self.mixture)


cdef class Scorer:
    """Scores under parameters that stay as they are. Any number of threads may use one at once."""

    cdef Mixture mixture
    cdef const real[::1] arguments      # held for as long as there are pointers into it

    def __cinit__(self, int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments):
        """Take the parameters, [c | b | a | margin | W] as in `describe`."""
        self.mixture = describe(structure, n_components, n_features, arguments)
        self.arguments = arguments

    def score(
        self, const real[:, :] X, Py_ssize_t first_row, Py_ssize_t last_row,
        real[::1] log_density, real[:, ::1] responsibilities, real[:, ::1] joint, Py_ssize_t[::1] labels,
        const int[::1] stop,
    ):
        """Write what is asked for (None: not asked) of rows [first_row, last_row) of X.

        log_density: ℓ; responsibilities: exp(log p_k − ℓ); joint: log p_k; labels: the best k, the first of equals.
        Returns the number of rows in which no component has a finite log-density; their responsibilities are 0.
        """
        cdef Mixture mixture = self.mixture
        cdef Block rows = whole(X, None, &mixture), block
        cdef Py_ssize_t K = mixture.n_components, start = first_row, i, k, n_vectors, n_far = 0
        cdef Workspace work
        check_range(first_row, last_row, rows.n_rows)
        # Of its own: other threads may score at the same time. In C, as an array of NumPy's takes longer to make than
        # a row to score.
        cdef real *buffer = <real *> malloc(workspace_size(K, mixture.n_features) * sizeof(real))
        if buffer == NULL:
            raise MemoryError(f"no memory for a workspace of {workspace_size(K, mixture.n_features)} numbers")
        with nogil:
            work = layout(buffer, &mixture)
            while start < last_row and not stopped(stop):
                block = part(&rows, start, min(start + BLOCK, last_row))
                n_vectors = load(&block, mixture.n_features, &work)
                log_densities(&mixture, NULL, &work, n_vectors)
                for i in range(block.n_rows):
                    n_far += work.best[i] == -REAL_MAX
                if labels is not None:
                    for i in range(block.n_rows):
                        labels[start + i] = K
                    for k in range(K - 1, -1, -1):
                        for i in range(block.n_rows):
                            if not (work.p + k * STRIDE)[i] < work.best[i]:
                                labels[start + i] = k
                if joint is not None:
                    for k in range(K):
                        for i in range(block.n_rows):
                            joint[start + i, k] = (work.p + k * STRIDE)[i]
                if log_density is not None or responsibilities is not None:
                    exponentials(&mixture, &work, n_vectors)
                if log_density is not None:
                    log_sums(&work, n_vectors)
                    for i in range(block.n_rows):
                        log_density[start + i] = work.log_sum[i]
                if responsibilities is not None:
                    posterior(&mixture, &work, n_vectors)
                    for k in range(K):
                        for i in range(block.n_rows):
                            responsibilities[start + i, k] = (work.p + k * STRIDE)[i]
                start += BLOCK
            free(buffer)
        return n_far
