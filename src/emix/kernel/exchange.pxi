# Between the passes of a fit.

cdef class Exchange:
    """What a fit's passes take and give: before one, parameters → arguments; after it, slots → statistics.

    The buffers of a fit are asked for once and held.
    """

    cdef int structure
    cdef Py_ssize_t K, d
    cdef double negligible, unit, limit, rounding
    cdef const double[:, ::1] column_range
    cdef double[::1] arguments
    cdef float[::1] rounded
    cdef double[:, ::1] slots
    # About an origin: the largest reach², for the ratio the ridge of the M-step, the centres that components would have
    # otherwise, and for tied where it is, and the scatter of all rows about it.
    cdef double reach, reg_covar
    cdef double[::1] own_centers
    cdef const double[::1] fixed
    cdef const double[::1] scatter
    cdef readonly Py_ssize_t n_moved    # components of this pass that are at the origin

    def __cinit__(
        self, int structure, Py_ssize_t n_components, Py_ssize_t n_features,
        double negligible, double epsilon, double unit, const double[:, ::1] column_range,
        double[::1] arguments, float[::1] rounded, double[:, ::1] slots,
    ):
        """Take the arrays between the steps.

        `negligible`: a margin, see `prepare_arguments`; `epsilon`: of the rows' precision; `unit`: of their weights;
        `column_range`: (2, d) least and greatest values; `rounded`: `arguments` in single precision, or None.
        """
        cdef Py_ssize_t spread = spread_size(structure, n_components, n_features)
        check_length(column_range.shape[0] * column_range.shape[1], 2 * n_features)
        check_length(arguments.shape[0], arguments_size(structure, n_components, n_features))
        check_length(slots.shape[1], n_components * (1 + n_features) + spread + 1)
        if rounded is not None:
            check_length(rounded.shape[0], arguments.shape[0])
        self.structure, self.K, self.d = structure, n_components, n_features
        self.negligible, self.unit = negligible, unit
        # Of a sum of squares half of the digits must be left; and no mean of rows is more exact.
        self.limit, self.rounding = sqrt(epsilon), 16 * epsilon
        self.column_range, self.arguments, self.rounded, self.slots = column_range, arguments, rounded, slots
        self.own_centers = self.fixed = self.scatter = None
        self.n_moved = 0

    def allow_origin(
        self, double limit, double reg_covar, double[::1] own_centers,
        const double[::1] fixed, const double[::1] scatter,
    ):
        """Take what passes about an origin need; without it there are none.

        `limit`: see `move_to_origin`; `own_centers` (K d): overwritten; tied: `fixed` (d,), the origin, and the
        `scatter` (d d) of all rows about it, of which the lower triangle is read. Others have None for them.
        """
        check_length(own_centers.shape[0], self.K * self.d)
        if self.structure == TIED:
            check_length(fixed.shape[0], self.d)
            check_length(scatter.shape[0], self.d * self.d)
        self.reach, self.reg_covar, self.own_centers = limit, reg_covar, own_centers
        self.fixed, self.scatter = fixed, scatter

    def begin(
        self, const double[::1] parameters, const double[::1] before, const double[:, ::1] center,
        bint about_origin=False,
    ):
        """Fill the arguments, and empty the slots, for a pass under these parameters.

        `before`: statistics of the pass before, whose N say what is negligible; None leaves nothing out. `center`: to
        take sums about instead of the means, or None. `about_origin`: move components to one where that is exact
        enough, after `allow_origin`.
        """
        cdef Py_ssize_t K = self.K, d = self.d, i
        cdef const double *centers = NULL
        cdef const double *weight_before = NULL
        check_length(parameters.shape[0], K * (2 + d) + 2 * spread_size(self.structure, K, d))
        if before is not None:
            check_length(before.shape[0], K * (1 + 2 * d) + spread_size(self.structure, K, d))
            weight_before = &before[0]
        if center is not None:
            check_length(center.shape[0] * center.shape[1], K * d)
            centers = &center[0, 0]
        with nogil:
            prepare_arguments(
                self.structure, K, d, self.rounded is not None, self.negligible, &parameters[0],
                centers, &self.column_range[0, 0], &self.column_range[1, 0], weight_before, &self.arguments[0])
            self.n_moved = 0
            if about_origin and self.own_centers is not None and center is None:
                self.n_moved = move_to_origin(
                    self.structure, K, d, self.rounded is not None, self.reach, &parameters[0],
                    &self.fixed[0] if self.structure == TIED else NULL, &self.arguments[0], &self.own_centers[0])
            if self.rounded is not None:
                for i in range(self.rounded.shape[0]):
                    self.rounded[i] = <float> self.arguments[i]
            memset(&self.slots[0, 0], 0, self.slots.shape[0] * self.slots.shape[1] * sizeof(double))

    def end(self, const double[::1] before, double[::1] statistics):
        """statistics := the slots' sum and the centres. Returns the log-likelihood, and what a further pass is for:

        whether a component has shrunk twentyfold since `before`, so that what was negligible for it may not be; whether
        the M-step would find nothing but rounding in the sums about these centres (`cancels`); by which factor
        roundings have grown in sums that were taken about an origin (`leave_origin`), 1 if they were not.
        """
        cdef Py_ssize_t K = self.K, d = self.d, width = self.slots.shape[1] - 1, i
        cdef double log_likelihood, growth = 1
        cdef bint shrunk, useless
        cdef const double *centers = &self.own_centers[0] if self.n_moved else &self.arguments[0]
        check_length(statistics.shape[0], width + K * d)
        if before is not None:
            check_length(before.shape[0], width + K * d)
        with nogil:
            log_likelihood = add_slots(self.structure, K, d, self.slots, self.unit, &statistics[0])
            for i in range(K * d):
                statistics[width + i] = centers[i]
            if self.n_moved:
                growth = leave_origin(
                    self.structure, K, d, self.reg_covar, &self.arguments[0],
                    &self.scatter[0] if self.structure == TIED else NULL, &statistics[0])
            shrunk = before is not None and has_shrunk(&before[0], &statistics[0], K, 20)
            useless = cancels(self.structure, K, d, self.limit, self.rounding, &statistics[0])
        return log_likelihood, shrunk, useless, growth
