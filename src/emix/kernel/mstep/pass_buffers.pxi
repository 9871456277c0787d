# Buffers of one fit: the arguments of a pass, and its sums.

# Slots of so many bytes in all are emptied and added up by all threads of a pass: one would take a millisecond, which
# for 100 000 × 50, K = 20, is a thirtieth of the pass.
cdef size_t LARGE_SLOTS = 8 << 20


cdef void add_lower(
    const double[:, ::1] slots, Py_ssize_t weight, Py_ssize_t place, Py_ssize_t d,  # IN
    double *total,                                                                  # OUT
) noexcept nogil:
    """total (d, d) := the matrices at a place of each slot, added in their order, from lower triangles

    `weight`: where a slot has the matrix's N; −1 if it has none of its own. Where N is 0 no row was added, and the
    matrix is skipped.
    """
    cdef Py_ssize_t slot, i, j
    cdef const double *matrix
    memset(total, 0, d * d * sizeof(double))
    for slot in range(slots.shape[0]):
        if weight >= 0 and slots[slot, weight] == 0:
            continue
        matrix = &slots[slot, place]
        for i in range(d):
            for j in range(i * d, i * d + i + 1):
                total[j] += matrix[j]
    for i in range(d):
        for j in range(i):
            total[j * d + i] = total[i * d + j]


cdef void add_numbers(
    const double[:, ::1] slots, Py_ssize_t place, Py_ssize_t n,     # IN
    double *total,                                                  # OUT
) noexcept nogil:
    """total (n,) := the numbers at a place of each slot, added in their order"""
    cdef Py_ssize_t slot, i
    for i in range(n):
        total[i] = slots[0, place + i]
    for slot in range(1, slots.shape[0]):
        for i in range(n):
            total[i] += slots[slot, place + i]


# A sum of squares may lose six bits at most: a covariance may need the others, where one of its own eigenvalues is 1e12
# times another. Means that move so far, eight of their new standard deviations in one step, are rare: 2 in 10 000
# passes over iris, wine, breast_cancer and diabetes. And no mean of rows is more exact than 16 eps of its column.
cdef double MOST_LOST = 1.0 / 64, MOST_EXACT = 16


cdef bint has_shrunk(const double *before, const double *after, Py_ssize_t K, double factor) noexcept nogil:
    """True if some `after` times the factor is below `before`"""
    cdef Py_ssize_t k
    for k in range(K):
        if after[k] * factor < before[k]:
            return True
    return False


cdef bint cancels(
    int form, Py_ssize_t K, Py_ssize_t d, double limit, double rounding,    # IN
    const double *statistics,                                               # IN
) noexcept nogil:
    """True if the M-step would leave less than `limit` of a diagonal of S: S[j, j] − N δ_j² < limit · S[j, j].

    Spherical: of the trace; tied: of Σ_k S_k. A |δ_j| of no more than `rounding` · |c_j| does not count: other centres
    would be no better.
    """
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef const double *weight = statistics + at.weight
    cdef const double *shift = statistics + at.shift
    cdef const double *scatter = statistics + at.scatter
    cdef const double *center = statistics + at.center
    cdef Py_ssize_t step = spread_step(form, d), k, j
    cdef double square = 0, delta, moment
    cdef bint far = False
    if form == TIED:
        for j in range(d):
            square, far = 0, False
            for k in range(K):
                if weight[k] > 0:
                    delta = shift[k * d + j] / weight[k]
                    square += shift[k * d + j] * delta
                    far = far or fabs(delta) > rounding * fabs(center[k * d + j])
            moment = scatter[j * (d + 1)]
            if far and moment - square < limit * moment:
                return True
        return False
    for k in range(K):
        if not weight[k] > 0:
            continue
        square, far = 0, False
        for j in range(d):
            delta = shift[k * d + j] / weight[k]
            square += shift[k * d + j] * delta
            far = far or fabs(delta) > rounding * fabs(center[k * d + j])
            if form == SPHERICAL and j < d - 1:
                continue
            moment = scatter[k * step + (j * (d + 1) if form == FULL else j if form == DIAG else 0)]
            if far and moment - square < limit * moment:
                return True
            square, far = 0, False
    return False


cdef class PassBuffers:
    """Buffers of one fit. Before a pass they take a density to the kernel's arguments, after it slots to statistics.

    They are asked for once and held.
    """

    cdef int form
    cdef Py_ssize_t K, d
    cdef SlotLayout slot                # places in a slot, and in statistics up to the centres
    # Slots are large enough for threads to share them: each empties its own, and adds up some matrices.
    cdef readonly bint shared
    cdef double negligible
    cdef double[::1] arguments
    cdef float[::1] rounded
    cdef float[::1] sketch
    cdef double[:, ::1] slots
    # About an origin: the largest reach², for the ratio the ridge of the M-step, the centres that components would have
    # otherwise, and for tied where it is, and the scatter of all rows about it.
    cdef double reach
    cdef const double[::1] least_ridge
    cdef double[::1] own_centers
    cdef const double[::1] fixed
    cdef const double[::1] scatter
    cdef readonly Py_ssize_t n_moved    # components of this pass that are at the origin

    def __cinit__(
        self, int form, Py_ssize_t n_components, Py_ssize_t n_features, double negligible,
        double[::1] arguments, float[::1] rounded, double[:, ::1] slots, float[::1] sketch=None,
    ):
        """Take the arrays between the steps.

        `negligible`: a margin, see `prepare_arguments`; `rounded`: `arguments` in single precision, or None; `slots`
        are 0; `sketch` (full): room for what a first look needs (screen.pxi), or None for passes without.
        """
        check_sizes(form, n_components, n_features)
        self.slot = slot_layout(form, n_components, n_features)
        check_length("arguments", arguments.shape[0], arguments_layout(form, n_components, n_features).size)
        check_length("a slot", slots.shape[1], self.slot.size)
        check_at_least("slots", slots.shape[0], 1)
        if rounded is not None:
            check_length("rounded", rounded.shape[0], arguments.shape[0])
        self.form, self.K, self.d = form, n_components, n_features
        self.negligible = negligible
        self.shared = form == FULL and slots.shape[0] * slots.shape[1] * sizeof(double) >= LARGE_SLOTS
        if sketch is not None:
            check_length("sketch", sketch.shape[0], sketch_size(n_components, n_features) if form == FULL else 0)
            sketch[:n_components] = 0
        self.arguments, self.rounded, self.slots = arguments, rounded, slots
        self.sketch = sketch
        self.own_centers, self.least_ridge, self.fixed, self.scatter = None, None, None, None
        self.n_moved = 0

    def allow_origin(
        self, double limit, const double[::1] least_ridge, double[::1] own_centers,
        const double[::1] fixed, const double[::1] scatter,
    ):
        """Take what passes about an origin need; without it there are none.

        `limit`: see `move_to_origin`; `least_ridge` (d,): the M-step adds as much to the variances, or more;
        `own_centers` (K d): overwritten; tied: `fixed` (d,), the origin, and the
        `scatter` (d d) of all rows about it, of which the lower triangle is read. Others have None for them.
        """
        check_length("least_ridge", least_ridge.shape[0], self.d)
        check_length("own_centers", own_centers.shape[0], self.K * self.d)
        if self.form == TIED:
            check_length("fixed", fixed.shape[0], self.d)
            check_length("scatter", scatter.shape[0], self.d * self.d)
        self.reach, self.least_ridge, self.own_centers = limit, least_ridge, own_centers
        self.fixed, self.scatter = fixed, scatter

    def begin(
        self, KernelDensity density not None, PassOutcome before, const double[:, ::1] center,
        Columns columns not None, bint about_origin=False, bint screened=False,
    ):
        """Fill the arguments, and empty the slots, for a pass under a density.

        `before`: the pass before, whose N say what is negligible; None leaves nothing out. `center`: the
        centres of the sums, or None for the means. `columns`: of all rows. `about_origin`: move components to one where
        that is exact enough, after `allow_origin`. `screened`: fill the sketch; else it tells nothing of any component.
        """
        cdef Py_ssize_t K = self.K, d = self.d
        cdef const double *centers = NULL
        cdef const double *weight_before = NULL
        if density.form != self.form or density.n_components != K or density.n_features != d:
            raise ValueError(
                f"the density has {density.n_components} components in {density.n_features} dimensions, form "
                f"{density.form}, expected {K}, {d} and {self.form}")
        if before is not None:
            check_at_least("before", before.numbers.shape[0], K)
            weight_before = &before.numbers[0]
        cdef const double *limits = range_of(columns, d)
        if center is not None:
            check_length("center", center.shape[0] * center.shape[1], K * d)
            centers = &center[0, 0]
        if self.slots.shape[0] * self.slots.shape[1] <= SHORT:
            self.prepare(density.start, centers, weight_before, limits, about_origin, screened)
        else:
            with nogil:
                self.prepare(density.start, centers, weight_before, limits, about_origin, screened)

    cdef void prepare(
        self, const double *density, const double *centers, const double *weight_before, const double *limits,
        bint about_origin, bint screened,
    ) noexcept nogil:
        """`begin`, without its checks"""
        cdef ArgumentsLayout at = arguments_layout(self.form, self.K, self.d)
        cdef Py_ssize_t i
        prepare_arguments(
            self.form, self.K, self.d, self.rounded is not None, self.negligible, density,
            centers, limits, limits + self.d, weight_before, &self.arguments[0])
        self.n_moved = 0
        if about_origin and self.own_centers is not None and centers == NULL:
            self.n_moved = move_to_origin(
                self.form, self.K, self.d, self.rounded is not None, self.reach, density,
                &self.fixed[0] if self.form == TIED else NULL, &self.arguments[0], &self.own_centers[0])
        if self.rounded is not None:
            for i in range(self.rounded.shape[0]):
                self.rounded[i] = <float> self.arguments[i]
        if self.sketch is not None:
            if screened:
                put_sketch(
                    self.K, self.d, density, &self.arguments[at.offset], &self.arguments[at.margin], &self.sketch[0])
            else:
                memset(&self.sketch[0], 0, self.K * sizeof(float))
        if not self.shared:
            memset(&self.slots[0, 0], 0, self.slots.shape[0] * self.slots.shape[1] * sizeof(double))

    def empty(self, Py_ssize_t thread, Py_ssize_t n_threads):
        """Empty the slots of a thread, if they are `shared`: `begin` does not.

        Matrices of components that had no row in a slot are 0 still. Where few components are alive most are: for
        100 000 × 32, K = 64, separate, to empty and to add them too is a tenth of a pass.
        """
        cdef Py_ssize_t slot = thread, head = self.slot.scatter, size = self.d * self.d, k
        self.check_share(thread, n_threads)
        with nogil:
            while slot < self.slots.shape[0]:
                for k in range(self.K):
                    if self.slots[slot, k] != 0:
                        memset(&self.slots[slot, head + k * size], 0, size * sizeof(double))
                memset(&self.slots[slot, 0], 0, head * sizeof(double))
                self.slots[slot, self.slot.log_likelihood] = 0
                slot += n_threads

    def add(self, Py_ssize_t thread, Py_ssize_t n_threads, double[::1] statistics):
        """A thread's share of the slots' sum, if they are `shared`: of the matrices of every n_threads-th component."""
        cdef Py_ssize_t k = thread
        self.check_share(thread, n_threads)
        check_length("statistics", statistics.shape[0], self.slot.log_likelihood + self.K * self.d)
        with nogil:
            while k < self.K:
                self.add_matrix(k, &statistics[0])
                k += n_threads

    cdef int check_share(self, Py_ssize_t thread, Py_ssize_t n_threads) except -1:
        """The slots are shared, and the thread is one of those that share them"""
        if not self.shared:
            raise ValueError("the slots are not shared: `begin` empties them, and `end` adds them up")
        return check_range(thread, thread + 1, n_threads, "threads")

    cdef void add_matrix(self, Py_ssize_t k, double *statistics) noexcept nogil:
        cdef Py_ssize_t place = self.slot.scatter + k * self.d * self.d
        add_lower(self.slots, k if self.form == FULL else -1, place, self.d, statistics + place)

    def end(self, PassOutcome outcome not None):
        """outcome := the slots' sum, the centres, the log-likelihood and the growth of roundings (`leave_origin`).

        Of `shared` slots the matrices are left to `add`, before this.
        """
        outcome.growth = 1
        check_length("statistics", outcome.numbers.shape[0], self.slot.log_likelihood + self.K * self.d)
        if self.slots.shape[0] * self.slots.shape[1] <= SHORT:
            outcome.log_likelihood = self.conclude(&outcome.numbers[0], &outcome.growth)
        else:
            with nogil:
                outcome.log_likelihood = self.conclude(&outcome.numbers[0], &outcome.growth)

    cdef double conclude(self, double *statistics, double *growth) noexcept nogil:
        """`end`, without its checks; the log-likelihood"""
        cdef Py_ssize_t K = self.K, d = self.d, head = self.slot.scatter, width = self.slot.log_likelihood, i
        cdef double log_likelihood
        add_numbers(self.slots, 0, head, statistics)
        add_numbers(self.slots, width, 1, &log_likelihood)
        if self.form == TIED:
            self.add_matrix(0, statistics)
        elif self.form != FULL:
            add_numbers(self.slots, head, width - head, statistics + head)
        elif not self.shared:
            for i in range(K):
                self.add_matrix(i, statistics)
        for i in range(K * d):
            statistics[width + i] = self.own_centers[i] if self.n_moved else self.arguments[i]
        if self.n_moved:
            growth[0] = leave_origin(
                self.form, K, d, &self.least_ridge[0], &self.arguments[0],
                &self.scatter[0] if self.form == TIED else NULL, statistics)
        return log_likelihood


def judge(
    KernelDensity density not None, PassOutcome before, Columns columns not None, PassOutcome total not None,   # IN
):
    """Return two flags about the sums over all rows: (shrunk, cancels).

    Shrunk: some N times SHRUNK is less than it was `before` (None: no), so that what was negligible for the component
    may not be. Cancels: the M-step would find nothing but rounding in the sums about these centres.
    """
    cdef Py_ssize_t K = density.n_components, d = density.n_features
    check_length("statistics", total.numbers.shape[0], statistics_layout(density.form, K, d).size)
    cdef bint shrunk = False
    if before is not None:
        check_at_least("before", before.numbers.shape[0], K)
        shrunk = has_shrunk(&before.numbers[0], &total.numbers[0], K, SHRUNK)
    return shrunk, cancels(density.form, K, d, MOST_LOST, MOST_EXACT * columns.epsilon, &total.numbers[0])
