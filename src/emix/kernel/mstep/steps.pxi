# Passes of one thread over rows in memory, each in one call of compiled code, and steps of EM without Python between
# them.
#
# In a fit of some hundred rows, Python's calls between two compiled steps take longer than these do, and hold its lock,
# so that fits in other threads wait.

from cpython.pycapsule cimport PyCapsule_GetPointer

ctypedef double (*PassOverRows)(void *, void *) noexcept nogil     # (accumulator, rows): estep/accumulator.pxi


cdef class LonePass:
    """Passes of one fit by one thread over all its rows. They have the bits of `begin`, `accumulate` and `end`.

    It holds the buffers, and the accumulator and rows of the kernel, which is another module.
    """

    cdef PassBuffers buffers
    cdef object accumulator, rows, step
    cdef PassOverRows over_rows

    def __cinit__(self, PassBuffers buffers not None, accumulator not None, rows not None):
        """Take the buffers of a fit, and an accumulator that reads their arguments and adds to their slots."""
        if buffers.shared:
            raise ValueError("the slots are shared by threads, expected those of one")
        self.step = accumulator.alone(rows)
        self.over_rows = <PassOverRows> PyCapsule_GetPointer(self.step, "emix.PassOverRows")
        self.buffers, self.accumulator, self.rows = buffers, accumulator, rows

    def take(
        self, const double[::1] parameters, PassOutcome before, Columns columns not None,   # IN
        PassOutcome outcome not None,                                                       # OUT
    ):
        """outcome := the sums under packed parameters; return (shrunk, cancels), the verdict of `judge`

        `before`: the outcome of the pass before, or None.
        """
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d
        cdef int form = self.buffers.form
        cdef ParametersLayout at = parameters_layout(form, K, d)
        cdef const double *limits = range_of(columns, d)
        cdef const double *weight_before = NULL
        cdef void *sums = <void *> self.accumulator
        cdef void *of_rows = <void *> self.rows
        cdef bint shrunk = False, far
        check_length("parameters", parameters.shape[0], at.size)
        check_length("statistics", outcome.numbers.shape[0], statistics_layout(form, K, d).size)
        if before is not None:
            check_at_least("before", before.numbers.shape[0], K)
            weight_before = &before.numbers[0]
        outcome.growth = 1
        with nogil:
            self.buffers.prepare(&parameters[at.density], NULL, weight_before, limits, False, False)
            self.over_rows(sums, of_rows)
            outcome.log_likelihood = self.buffers.conclude(&outcome.numbers[0], &outcome.growth)
            if weight_before != NULL:
                shrunk = has_shrunk(weight_before, &outcome.numbers[0], K, SHRUNK)
            far = cancels(form, K, d, MOST_LOST, MOST_EXACT * columns.epsilon, &outcome.numbers[0])
        return shrunk, far

    cdef Py_ssize_t follow(
        self, Search *search, int structure, double ridge, double epsilon, const double *limits,    # IN
        const double *parameters, const double *statistics,     # IN: a search begins at these parameters
        double *found,                                          # OUT
    ) noexcept nogil:
        """The M-step after an E-step: found := the parameters for these sums

        Returns the first component whose covariance is not positive definite, or −1.
        """
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d
        cdef ParametersLayout at = parameters_layout(self.buffers.form, K, d)
        if search.room != NULL:
            search.covariances = parameters + at.covariances
            search.log_det = parameters + at.density + density_layout(self.buffers.form, K, d).log_det
        return maximize_part(structure, K, d, ridge, epsilon, limits, statistics, search, found, 0, K)

    def advance(
        self, int structure, double ridge, Columns columns not None,        # IN: of the M-step
        double enough, double rounding, double weight,                      # IN: of the stopping rule
        const double[::1] parameters,       # IN: those of the next E-step
        PassOutcome before not None, double log_likelihood,     # IN: those of the E-step before
        double[::1] log_likelihoods,        # OUT
        PassOutcome outcome not None,       # OUT: of the last E-step
        double[::1] under, double[::1] found,   # OUT: the parameters of the last E-step, and those after it
        PassOutcome closing not None,           # OUT: of the E-step after it, where that needs no other sums
        double goal=-INFINITY, double ahead=1, Py_ssize_t spared=0,     # IN: of `Goal` in em/loop.py
        Py_ssize_t first_plain=-1,      # IN: M-steps before those that may go further (relaxation.pxi); −1: none may
    ):
        """Take E-steps, each followed by an M-step, while the log-likelihood rises by more than the rule calls enough.

        The rule is that of em/stopping.py: a rise of at most `enough`, or of `rounding` (|ℓ| + weight), may end a fit.
        Also a fall, a sum that is not finite, a component that shrank or sums that cancel (`judge`), and an M-step that
        fails are left to the caller. So is, after the first `spared` E-steps, one from which `ahead` more that gain as
        much would not reach the log-likelihood `goal`.

        A step that went further is taken back, and not counted, where after it the log-likelihood falls, or rises so
        little that the steps would end: only EM's own step tells that. The M-step of E-step number `most` is EM's too,
        since callers judge by the rise after it.

        Returns the number of E-steps taken; whether `closing` has the one that was left, which the caller otherwise
        takes again; and whether EM's own M-step of the last sums failed, in the place of one that was taken back.
        """
        cdef PassBuffers buffers = self.buffers
        cdef Py_ssize_t K = buffers.K, d = buffers.d, n = 0, line = 0, previous = 1, last = 0, other
        cdef Py_ssize_t most = log_likelihoods.shape[0]
        cdef int form = check_structure(structure, K, d)
        cdef ParametersLayout at = parameters_layout(form, K, d)
        cdef Py_ssize_t n_sums = statistics_layout(form, K, d).size
        cdef const double *limits = range_of(columns, d)
        cdef double epsilon = columns.epsilon, total, rise, growth = 1, length = 1, longest = 1, least
        cdef double *lines
        cdef double *statistics
        cdef double *further
        cdef Search search
        cdef bint is_closed = False, has_failed = False, goes_wrong, ends
        cdef void *sums = <void *> self.accumulator
        cdef void *of_rows = <void *> self.rows
        if form != buffers.form:
            raise ValueError(f"the buffers are of form {buffers.form}, expected {form}")
        check_length("parameters", parameters.shape[0], at.size)
        check_length("under", under.shape[0], at.size)
        check_length("found", found.shape[0], at.size)
        check_length("before", before.numbers.shape[0], n_sums)
        check_length("statistics", outcome.numbers.shape[0], n_sums)
        check_length("closing", closing.numbers.shape[0], n_sums)
        # Three lines of parameters and two of sums: an M-step that fails leaves what was there before it. A third line
        # of sums, `further`, has those whose M-step gave the parameters of the next E-step.
        lines = <double *> malloc(sizeof(double) * (3 * at.size + 3 * n_sums))
        if lines == NULL:
            raise MemoryError(f"there is no memory for parameters of {K} components in {d} dimensions")
        statistics = lines + 3 * at.size
        further = statistics + 2 * n_sums
        memcpy(lines, &parameters[0], sizeof(double) * at.size)
        memcpy(statistics, &before.numbers[0], sizeof(double) * n_sums)
        memcpy(further, statistics, sizeof(double) * n_sums)
        try:
            begin_search(&search, structure, K, d, MOST_SWEEPS, None)
        except MemoryError:
            free(lines)
            raise
        with nogil:
            while n < most:
                other = 1 - last
                buffers.prepare(
                    lines + line * at.size + at.density, NULL, statistics + last * n_sums, limits, False, False)
                self.over_rows(sums, of_rows)
                total = buffers.conclude(statistics + other * n_sums, &growth)
                rise = total - log_likelihood
                goes_wrong = not isfinite(total) or has_shrunk(
                    statistics + last * n_sums, statistics + other * n_sums, K, SHRUNK) or cancels(
                    form, K, d, MOST_LOST, MOST_EXACT * epsilon, statistics + other * n_sums)
                least = max(enough, rounding * (fabs(total) + weight))
                ends = not rise > least or (n >= spared and total + ahead * rise < goal)
                if length > 1 and (goes_wrong or ends):
                    # Take the step back: the M-step of the last sums, no further.
                    memcpy(further, statistics + last * n_sums, sizeof(double) * n_sums)
                    length = longest = 1
                    if self.follow(
                            &search, structure, ridge, epsilon, limits, lines + previous * at.size, further,
                            lines + (3 - line - previous) * at.size) >= 0:
                        has_failed = True
                        break
                    line = 3 - line - previous
                    continue
                if goes_wrong:
                    break
                if ends:
                    is_closed = True
                    break
                # The line that holds neither the parameters of this E-step nor those of the one before is free.
                length = longest if 0 <= first_plain <= n and n + 1 < most else 1
                if length == 1 or not go_further(
                        form, K, d, length, statistics + other * n_sums, further) or self.follow(
                        &search, structure, ridge, epsilon, limits, lines + line * at.size, further,
                        lines + (3 - line - previous) * at.size) >= 0:
                    length = longest = 1
                    memcpy(further, statistics + other * n_sums, sizeof(double) * n_sums)
                    if self.follow(
                            &search, structure, ridge, epsilon, limits, lines + line * at.size, further,
                            lines + (3 - line - previous) * at.size) >= 0:
                        break
                longest *= LONGER
                log_likelihoods[n] = log_likelihood = total
                previous, line, last = line, 3 - line - previous, other
                n += 1
            if n > 0:
                memcpy(&under[0], lines + previous * at.size, sizeof(double) * at.size)
                memcpy(&found[0], lines + line * at.size, sizeof(double) * at.size)
                memcpy(&outcome.numbers[0], statistics + last * n_sums, sizeof(double) * n_sums)
                outcome.log_likelihood, outcome.growth = log_likelihood, 1
            if is_closed:
                memcpy(&closing.numbers[0], statistics + other * n_sums, sizeof(double) * n_sums)
                closing.log_likelihood, closing.growth = total, 1
        free(search.room)
        free(lines)
        return n, is_closed, has_failed
