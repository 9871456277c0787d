# What Python calls: one pass over a range of rows.

block_rows = BLOCK
super_block_rows = SUPER_BLOCK


def workspace_size(Py_ssize_t n_components, Py_ssize_t n_features):
    """Numbers that one thread's workspace holds."""
    return (3 * n_features + n_components + 5) * STRIDE + n_features * n_features + ALIGNMENT // sizeof(real)


cdef Mixture describe(
    int structure,
    const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin,
) noexcept nogil:
    cdef Mixture mixture
    cdef Py_ssize_t K = center.shape[0], d = center.shape[1]
    mixture.structure = <Structure> structure
    mixture.n_components = K
    mixture.n_features = d
    mixture.scatter_size = K * d * d if structure == FULL else d * d if structure == TIED else K * d if structure == DIAG else K
    mixture.center = &center[0, 0]
    mixture.offset = &offset[0, 0]
    mixture.whitening = &whitening[0]
    mixture.log_constant = &log_constant[0]
    mixture.margin = &margin[0]
    return mixture


def accumulate(
    const real[:, :] X, const double[:] sample_weight, Py_ssize_t first_row, Py_ssize_t last_row,
    Py_ssize_t thread, Py_ssize_t n_threads, bint hard,
    int structure, const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin,
    real[::1] workspace, double[:, ::1] slots, int[::1] stop,
):
    """Add the statistics of rows [first_row, last_row) of X to the slots that this thread has.

    `first_row` is a multiple of super_block_rows; slot s belongs to thread s mod n_threads. Returns early, with slots
    half filled, once stop[0] is not 0. `hard` gives each row whole to its best component (k-means).
    """
    cdef Mixture mixture = describe(structure, center, offset, whitening, log_constant, margin)
    cdef Workspace work = layout(&workspace[0], &mixture)
    cdef Py_ssize_t n_slots = slots.shape[0], width = slots.shape[1]
    cdef Py_ssize_t start = first_row, i, n_rows, n_vectors, slot
    cdef const char *weight = NULL
    cdef Py_ssize_t weight_stride = 0
    cdef int *stopped = &stop[0]
    if width != mixture.n_components * (1 + mixture.n_features) + mixture.scatter_size + 1:
        raise ValueError(f"slots are {width} wide, not as the structure asks")
    if sample_weight is not None:
        weight = <const char *> &sample_weight[0]
        weight_stride = sample_weight.strides[0]
    with nogil:
        while start < last_row and not (<volatile int *> stopped)[0]:
            slot = start // SUPER_BLOCK % n_slots
            if slot % n_threads == thread:
                i = start
                while i < min(start + SUPER_BLOCK, last_row):
                    n_rows = min(<Py_ssize_t> BLOCK, last_row - i)
                    n_vectors = load(
                        <const char *> &X[0, 0] + i * X.strides[0], X.strides[0], X.strides[1],
                        <const double *> (weight + i * weight_stride) if weight != NULL else NULL, weight_stride,
                        n_rows, mixture.n_features, &work)
                    log_densities(&mixture, &work, n_vectors)
                    find_best(&mixture, &work, n_vectors)
                    if hard:
                        nearest(&mixture, &work, n_vectors)
                    else:
                        posterior(&mixture, &work, n_vectors)
                    statistics(&mixture, &work, n_rows, &slots[slot, 0])
                    slots[slot, width - 1] += log_likelihood(&work, n_rows)
                    i += BLOCK
            start += SUPER_BLOCK


def score(
    const real[:, :] X, Py_ssize_t first_row, Py_ssize_t last_row,
    int structure, const real[:, ::1] center, const real[:, ::1] offset, const real[::1] whitening,
    const real[::1] log_constant, const real[::1] margin, real[::1] workspace,
    real[::1] log_density, real[:, ::1] responsibilities, real[:, ::1] joint, Py_ssize_t[::1] labels, int[::1] stop,
):
    """Write what is asked for (None: not asked) of rows [first_row, last_row) of X.

    log_density: ℓ; responsibilities: exp(log p_k − ℓ); joint: log p_k; labels: the best k, the first of equals.
    Returns the number of rows in which no component has a finite log-density; their responsibilities are 0.
    """
    cdef Mixture mixture = describe(structure, center, offset, whitening, log_constant, margin)
    cdef Workspace work = layout(&workspace[0], &mixture)
    cdef Py_ssize_t K = mixture.n_components, start = first_row, i, k, n_rows, n_vectors, n_far = 0
    cdef int *stopped = &stop[0]
    with nogil:
        while start < last_row and not (<volatile int *> stopped)[0]:
            n_rows = min(<Py_ssize_t> BLOCK, last_row - start)
            n_vectors = load(
                <const char *> &X[0, 0] + start * X.strides[0], X.strides[0], X.strides[1], NULL, 0,
                n_rows, mixture.n_features, &work)
            # A row of weight 0 only fills the last vector; what is written below stops before it.
            log_densities(&mixture, &work, n_vectors)
            find_best(&mixture, &work, n_vectors)
            for i in range(n_rows):
                n_far += work.best[i] == -REAL_MAX
            if labels is not None:
                for i in range(n_rows):
                    labels[start + i] = K
                for k in range(K - 1, -1, -1):
                    for i in range(n_rows):
                        if not (work.p + k * STRIDE)[i] < work.best[i]:
                            labels[start + i] = k
            if joint is not None:
                for k in range(K):
                    for i in range(n_rows):
                        joint[start + i, k] = (work.p + k * STRIDE)[i]
            if log_density is not None or responsibilities is not None:
                posterior(&mixture, &work, n_vectors)
            if log_density is not None:
                for i in range(n_rows):
                    log_density[start + i] = work.log_sum[i]
            if responsibilities is not None:
                for k in range(K):
                    for i in range(n_rows):
                        responsibilities[start + i, k] = (work.p + k * STRIDE)[i]
            start += BLOCK
    return n_far
