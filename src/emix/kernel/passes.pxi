# What Python calls: one pass over a range of rows.

block_rows = BLOCK
super_block_rows = SUPER_BLOCK
window_rows = WINDOW


cpdef Py_ssize_t group_rows(Py_ssize_t n_components) noexcept nogil:
    """Rows of a group that has bounds of its own: 4 K bytes for 128 rows, or for more if that would be over 4 a row."""
    return BLOCK // 2 if n_components <= 128 else BLOCK


cpdef Py_ssize_t workspace_size(Py_ssize_t n_components, Py_ssize_t n_features) noexcept nogil:
    """Numbers that one thread's workspace holds."""
    cdef Py_ssize_t numbers = (4 * n_features + 2 * LANES + n_components + 6) * STRIDE
    numbers += n_features * n_features + (4 + n_features) * n_components
    return numbers + ALIGNMENT // sizeof(real)


cdef Mixture describe(
    int structure,
    const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin, const real[::1] origin,
):
    """The parameters in C; their shapes are checked here, once for each pass"""
    cdef Mixture mixture
    cdef Py_ssize_t K = center.shape[0], d = center.shape[1]
    # What a row of a component costs, in cycles (a model of measurements on Zen 4): among vectors of rows, and packed,
    # where it is listed and, if live, copied and added to the scatter by vectors of features.
    cdef double width = (d + LANES - 1) // LANES
    cdef bint matrices = structure == FULL or structure == TIED
    cdef double dense = (d * (d + 5) / 2.0 * 1.3 if matrices else 5.0 * d) / LANES
    cdef double packed = (2 * width * (d + LANES) / 4 * 0.65 if matrices else 0) + 8 * width
    mixture.packed_below = (dense - 2.5) / packed
    dense = (d if structure == TIED else 2 * d if structure == DIAG else d + 1) * 1.25 / LANES
    mixture.packed_at_origin = (dense - 2.5) / (8 * width)
    mixture.structure = <Structure> structure
    mixture.n_components = K
    mixture.n_features = d
    mixture.scatter_size = (
        K * d * d if structure == FULL else d * d if structure == TIED else K * d if structure == DIAG else K)
    if not (
        offset.shape[0] == log_constant.shape[0] == margin.shape[0] == K and offset.shape[1] == d
        and whitening.shape[0] == mixture.scatter_size and (origin is None or origin.shape[0] == d)
    ):
        raise ValueError("the parameters' arrays do not belong together")
    mixture.scatter_step = d * d if structure == FULL else 0 if structure == TIED else d if structure == DIAG else 1
    mixture.center = &center[0, 0]
    mixture.offset = &offset[0, 0]
    mixture.whitening = &whitening[0]
    mixture.log_constant = &log_constant[0]
    mixture.margin = &margin[0]
    mixture.origin = NULL
    if origin is not None:
        mixture.origin = &origin[0]
    return mixture


cdef Block whole(const real[:, :] X, const double[:] sample_weight, Mixture *mixture, Py_ssize_t last_row):
    """All rows of X; that a pass stays within them, and fits the parameters, is checked here"""
    cdef Block block
    if X.shape[1] != mixture.n_features or last_row > X.shape[0]:
        raise ValueError(
            f"X is {X.shape[0]} × {X.shape[1]}, the pass goes to row {last_row} of {mixture.n_features} features")
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


cdef Workspace divide(real[::1] workspace, Mixture *mixture):
    """The workspace in parts, if it is large enough"""
    if workspace.shape[0] < workspace_size(mixture.n_components, mixture.n_features):
        raise ValueError(f"the workspace has {workspace.shape[0]} numbers, fewer than workspace_size tells")
    cdef Workspace work = layout(&workspace[0], mixture)
    find_at_origin(mixture, &work)
    return work


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
    Mixture *mixture, Block *block, bint hard, Bounds *bounds, Workspace *work, double *slot
) noexcept nogil:
    """E-step of a block, added to a slot"""
    cdef Py_ssize_t n_vectors = load(block, mixture.n_features, work)
    move_to_origin(mixture, work, n_vectors)
    log_densities(mixture, bounds, work, n_vectors)
    if hard:
        nearest(mixture, work, n_vectors)
    else:
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


def accumulate(
    const real[:, :] X, const double[:] sample_weight, Py_ssize_t first_row, Py_ssize_t last_row,
    Py_ssize_t thread, Py_ssize_t n_threads, bint hard,
    int structure, const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin,
    real[::1] workspace, double[:, ::1] slots, int[::1] stop, const real[::1] origin=None,
):
    """Add the statistics of rows [first_row, last_row) of X to the slots that this thread has.

    `first_row` is a multiple of super_block_rows; slot s belongs to thread s mod n_threads. Returns early, with slots
    half filled, once stop[0] is not 0. `hard` gives each row whole to its best component (k-means).
    Components with `origin` as their centre are treated together: see origin.pxi. If tied's are, no scatter is summed.
    """
    cdef Mixture mixture = describe(structure, center, offset, whitening, log_constant, margin, origin)
    cdef Workspace work = divide(workspace, &mixture)
    cdef Block rows = whole(X, sample_weight, &mixture, last_row), block
    cdef Py_ssize_t start = first_row, last, slot
    if slots.shape[1] != slot_width(&mixture):
        raise ValueError(f"slots are {slots.shape[1]} wide, expected {slot_width(&mixture)} for this structure")
    with nogil:
        while start < last_row and not load_flag(&stop[0]):
            slot = start // SUPER_BLOCK % slots.shape[0]
            last = min(start + SUPER_BLOCK, last_row)
            if slot % n_threads != thread:
                start = last
            while start < last:
                block = part(&rows, start, min(start + BLOCK, last))
                add_block(&mixture, &block, hard, NULL, &work, &slots[slot, 0])
                start += BLOCK
            start = last


def accumulate_bounded(
    const real[:, :] X, const double[:] sample_weight, Py_ssize_t first_row, Py_ssize_t last_row,
    Py_ssize_t thread, Py_ssize_t n_threads,
    int structure, const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin,
    const unsigned short[::1] order, float[:, ::1] near, const float[::1] shrink, const float[::1] moved,
    unsigned short[::1] labels,
    real[::1] workspace, double[:, ::1] slots, int[::1] stop, const real[::1] origin=None,
):
    """`accumulate` with bounds: see bounds.pxi. Returns how many log-densities of a group and component were computed,
    those begun and left as quarters.

    Rows are visited in `order`: row i of the order is row order[i] of its window of window_rows rows. `near`
    (groups, K) is kept from pass to pass; rows of a group are those of one line of `near`, group_rows(K) of them.
    `labels`, if given, gets the best component of each row of X.
    """
    cdef Mixture mixture = describe(structure, center, offset, whitening, log_constant, margin, origin)
    cdef Workspace work = divide(workspace, &mixture)
    cdef Block rows = whole(X, sample_weight, &mixture, last_row), block
    cdef Bounds bounds
    cdef Py_ssize_t start = first_row, last, slot, window, i, group = group_rows(mixture.n_components)
    cdef unsigned short found[BLOCK]
    bounds.shrink = &shrink[0]
    bounds.moved = &moved[0]
    bounds.n_computed = 0
    if slots.shape[1] != slot_width(&mixture):
        raise ValueError(f"slots are {slots.shape[1]} wide, expected {slot_width(&mixture)} for this structure")
    with nogil:
        while start < last_row and not load_flag(&stop[0]):
            slot = start // SUPER_BLOCK % slots.shape[0]
            last = min(start + SUPER_BLOCK, last_row)
            if slot % n_threads != thread:
                start = last
            while start < last:
                window = start // WINDOW * WINDOW
                block = part(&rows, window, window + min(group, last - start))
                block.order = &order[start]
                bounds.near = &near[start // group, 0]
                add_block(&mixture, &block, False, &bounds, &work, &slots[slot, 0])
                if labels is not None:
                    put_labels(&work, block.n_rows, found)
                    for i in range(block.n_rows):
                        labels[window + block.order[i]] = found[i]
                start += group
            start = last
    return 0.25 * bounds.n_computed


def accumulate_scatter(
    const real[:, :] X, const double[:] sample_weight, Py_ssize_t first_row, Py_ssize_t last_row,
    Py_ssize_t thread, Py_ssize_t n_threads, const real[::1] center,
    real[::1] workspace, double[:, ::1] slots, int[::1] stop,
):
    """Add Σ w, Σ w z and Σ w z zᵀ (its lower triangle) of rows [first_row, last_row), z = x − center; cf. `accumulate`.

    Slots are 1 + d + d² wide. The workspace is that of one component.
    """
    cdef Mixture mixture
    cdef Workspace work
    cdef Block rows, block
    cdef Py_ssize_t d = center.shape[0], start = first_row, last, slot, n_vectors
    mixture.structure, mixture.n_components, mixture.n_features, mixture.origin = TIED, 1, d, NULL
    work = divide(workspace, &mixture)
    rows = whole(X, sample_weight, &mixture, last_row)
    if slots.shape[1] != 1 + d + d * d:
        raise ValueError(f"slots are {slots.shape[1]} wide, expected {1 + d + d * d}")
    with nogil:
        while start < last_row and not load_flag(&stop[0]):
            slot = start // SUPER_BLOCK % slots.shape[0]
            last = min(start + SUPER_BLOCK, last_row)
            if slot % n_threads != thread:
                start = last
            while start < last:
                block = part(&rows, start, min(start + BLOCK, last))
                n_vectors = load(&block, d, &work)
                add_scatter(&work, &center[0], d, n_vectors, &slots[slot, 0])
                start += BLOCK
            start = last


def score(
    const real[:, :] X, Py_ssize_t first_row, Py_ssize_t last_row,
    int structure, const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin, real[::1] workspace,
    real[::1] log_density, real[:, ::1] responsibilities, real[:, ::1] joint, Py_ssize_t[::1] labels, int[::1] stop,
    const real[::1] origin=None,
):
    """Write what is asked for (None: not asked) of rows [first_row, last_row) of X.

    log_density: ℓ; responsibilities: exp(log p_k − ℓ); joint: log p_k; labels: the best k, the first of equals.
    Returns the number of rows in which no component has a finite log-density; their responsibilities are 0.
    """
    cdef Mixture mixture = describe(structure, center, offset, whitening, log_constant, margin, origin)
    cdef Workspace work = divide(workspace, &mixture)
    cdef Block rows = whole(X, None, &mixture, last_row), block
    cdef Py_ssize_t K = mixture.n_components, start = first_row, i, k, n_vectors, n_far = 0
    with nogil:
        while start < last_row and not load_flag(&stop[0]):
            block = part(&rows, start, min(start + BLOCK, last_row))
            n_vectors = load(&block, mixture.n_features, &work)
            move_to_origin(&mixture, &work, n_vectors)
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
    return n_far
