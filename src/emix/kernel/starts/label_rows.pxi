# Sums over rows that have labels, if a row adds few numbers: row by row, or by lanes of rows.

cdef enum:
    NARROW = 4              # most features for which matrices are summed here, not by groups of rows (labels.pxi)
    NARROW_SUMS = 1 + NARROW + NARROW * (NARROW + 1) // 2
    # Most labels for which lanes of rows are taken, if vectors have more lanes than labels. Measured for 1 000 rows,
    # d = 1 to 4, full: at AVX-512 (AVX2) 0.45 (0.5) times as long as row by row with 2 labels, 0.6 (0.7) with 3, 0.95
    # (0.85) with 4; at SSE2, with two lanes, 0.7 with one label and 1.2 with 2.
    FEW_LABELS = 4
    LANE_ROWS = 64          # rows of a panel


cdef void add_vectors(
    const double *x, const double *weight, const Py_ssize_t *labels, Py_ssize_t n_rows,     # IN
    const double *centers, Py_ssize_t K, Py_ssize_t d,                                  # IN
    double *sums, double *squares, int form,                                            # INOUT: squares may be NULL
) noexcept nogil:
    """[N | s] += Σ w, Σ w (x − c) of each label's rows;  squares += Σ w (x − c)(x − c)ᵀ in the form

    If labels is NULL, all rows have the label 0.
    """
    cdef Py_ssize_t step = spread_step(form, d), i, j, l, k = 0
    cdef double w, product, difference, trace
    cdef const double *c
    cdef double *shift
    cdef double *square
    for i in range(n_rows):
        if labels != NULL:
            k = labels[i]
        w, c, shift = weight[i], centers + k * d, sums + K + k * d
        sums[k] += w
        if squares == NULL:
            for j in range(d):
                shift[j] += w * (x[j] - c[j])
            x += d
            continue
        square = squares + k * step
        if form == DIAG:
            for j in range(d):
                difference = x[j] - c[j]
                product = w * difference
                shift[j] += product
                square[j] += product * difference
        elif form == SPHERICAL:
            # Two loops, so that one has no stores. In a loop with stores, the addresses of the arrays would decide
            # which version of the loop runs, fused or not, and so the bits.
            for j in range(d):
                shift[j] += w * (x[j] - c[j])
            trace = 0
            for j in range(d):
                difference = x[j] - c[j]
                trace += w * difference * difference
            square[0] += trace
        else:
            for j in range(d):
                product = w * (x[j] - c[j])
                shift[j] += product
                for l in range(j + 1):
                    square[j * d + l] += product * (x[l] - c[l])
        x += d


cdef void add_lanes_of_rows(
    const double *x, const double *weight, const Py_ssize_t *labels, Py_ssize_t n_rows,     # IN
    const double *centers, Py_ssize_t K, Py_ssize_t d,                                      # IN
    double *sums, double *squares, int form,                                                # INOUT
) noexcept nogil:
    """`add_vectors` for few features and labels, by lanes of rows. For each label, rows of the others weigh nothing."""
    cdef double panel[NARROW * LANE_ROWS]
    cdef double held[FEW_LABELS * LANE_ROWS]
    cdef vec totals[FEW_LABELS * NARROW_SUMS]
    cdef vec z[NARROW]
    cdef vec w, product
    cdef double one
    cdef bint matrices = form == FULL or form == TIED
    cdef Py_ssize_t step = spread_step(form, d), start = 0, n_group, i, j, l, k, at
    cdef vec *total
    for i in range(K * NARROW_SUMS):
        totals[i] = vec_of(0)
    while start < n_rows:
        n_group = min(n_rows - start, LANE_ROWS)
        to_columns(x, n_group, d, panel, LANE_ROWS)
        for j in range(d):
            for i in range(n_group, LANE_ROWS):
                panel[j * LANE_ROWS + i] = x[j]
        for k in range(K):
            if labels == NULL:
                memcpy(held, weight + start, n_group * sizeof(double))
            else:
                for i in range(n_group):
                    one = weight[start + i]
                    held[k * LANE_ROWS + i] = one if labels[start + i] == k else 0
            for i in range(n_group, LANE_ROWS):
                held[k * LANE_ROWS + i] = 0
        i = 0
        while i < n_group:
            # Label by label, so that no sum waits for its own last addition.
            for k in range(K):
                total = totals + k * NARROW_SUMS
                w = load_unaligned(held + k * LANE_ROWS + i)
                total[0] += w
                at = 1 + d
                for j in range(d):
                    z[j] = load_unaligned(panel + j * LANE_ROWS + i) - centers[k * d + j]
                    product = w * z[j]
                    total[1 + j] += product
                    if squares != NULL:
                        for l in range(0 if matrices else j, j + 1):
                            total[at] += product * z[l]
                            at += 1
            i += LANES
        x += LANE_ROWS * d
        start += LANE_ROWS
    for k in range(K):
        total = totals + k * NARROW_SUMS
        sums[k] += vec_sum(total[0])
        at = 1 + d
        for j in range(d):
            sums[K + k * d + j] += vec_sum(total[1 + j])
            if squares != NULL:
                for l in range(0 if matrices else j, j + 1):
                    i = j * d + l if matrices else j if form == DIAG else 0
                    squares[k * step + i] += vec_sum(total[at])
                    at += 1
