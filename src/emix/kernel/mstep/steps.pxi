# Passes of one thread over rows in memory, each in one call of compiled code, and steps of EM without Python between
# them.
#
# In a fit of some hundred rows, Python's calls between two compiled steps take longer than these do, and hold its lock,
# so that fits in other threads wait.

from cpython.pycapsule cimport PyCapsule_GetPointer

ctypedef double (*PassOverRows)(void *, void *) noexcept nogil     # (accumulator, rows): estep/accumulator.pxi


cdef struct Rule:
    # What steps of a fit do, and what ends them.
    int structure
    double ridge, epsilon
    const double *limits            # of the columns, or NULL
    double enough, rounding, weight     # of the stopping rule
    double goal, ahead              # of `Goal` in em/loop.py
    Py_ssize_t spared, first_plain, most


cdef struct Climb:
    # Steps of one fit. Three lines of parameters and two of sums: an M-step that fails leaves what was there before it.
    # A third line of sums, `further`, has those whose M-step gave the parameters of the next E-step.
    double *lines
    double *statistics
    double *further
    Py_ssize_t line, previous, last     # places of the next E-step's parameters, of the last one's, and of its sums
    Py_ssize_t n                        # E-steps taken
    double log_likelihood, total        # of the last E-step taken, and of one that was left
    bint is_closed, is_left, has_failed     # an E-step more was taken; one must be taken anew; the last M-step failed


cdef Climb begin_climb(Py_ssize_t n_parameters, Py_ssize_t n_sums) except *:
    """Return a climb before its first step, with memory to fill and to free"""
    cdef Climb climb
    memset(&climb, 0, sizeof(Climb))
    climb.lines = <double *> malloc(sizeof(double) * (3 * n_parameters + 3 * n_sums))
    if climb.lines == NULL:
        raise MemoryError(f"there is no memory for {3 * (n_parameters + n_sums)} numbers")
    climb.statistics = climb.lines + 3 * n_parameters
    climb.further = climb.statistics + 2 * n_sums
    climb.previous = 1
    return climb


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
        self, Search *search, const Rule *rule,                 # IN
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
        return maximize_part(
            rule.structure, K, d, rule.ridge, rule.epsilon, rule.limits, statistics, search, found, 0, K)

    cdef double pass_over(
        self, const double *parameters, const double *weight_before, const double *limits,      # IN
        double *statistics,                                                                     # OUT
    ) noexcept nogil:
        """statistics := the sums under packed parameters; returns the log-likelihood"""
        cdef double growth = 1
        cdef ParametersLayout at = parameters_layout(self.buffers.form, self.buffers.K, self.buffers.d)
        self.buffers.prepare(parameters + at.density, NULL, weight_before, limits, False, False)
        self.over_rows(<void *> self.accumulator, <void *> self.rows)
        return self.buffers.conclude(statistics, &growth)

    cdef void climb(
        self, const Rule *rule, Search *search,     # IN
        Climb *at,                                  # INOUT
        double *log_likelihoods,                    # OUT: of the E-steps taken, or NULL
    ) noexcept nogil:
        """Take steps until the rule ends them, or one goes wrong"""
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d, other
        cdef int form = self.buffers.form
        cdef Py_ssize_t size = parameters_layout(form, K, d).size, n_sums = statistics_layout(form, K, d).size
        cdef double rise, length = 1, longest = 1, least
        cdef double *before
        cdef double *after
        cdef double *free_line
        cdef bint goes_wrong, ends
        while at.n < rule.most:
            other = 1 - at.last
            before, after = at.statistics + at.last * n_sums, at.statistics + other * n_sums
            at.total = self.pass_over(at.lines + at.line * size, before, rule.limits, after)
            rise = at.total - at.log_likelihood
            goes_wrong = self.goes_wrong(rule, at.total, before, after)
            least = max(rule.enough, rule.rounding * (fabs(at.total) + rule.weight))
            ends = not rise > least or (at.n >= rule.spared and at.total + rule.ahead * rise < rule.goal)
            # The line that holds neither the parameters of this E-step nor those of the one before is free.
            free_line = at.lines + (3 - at.line - at.previous) * size
            if length > 1 and (goes_wrong or ends):
                # Take the step back: the M-step of the last sums, no further.
                memcpy(at.further, before, sizeof(double) * n_sums)
                length = longest = 1
                if self.follow(search, rule, at.lines + at.previous * size, at.further, free_line) >= 0:
                    at.has_failed = True
                    return
                at.line = 3 - at.line - at.previous
                continue
            if goes_wrong:
                at.is_left = True
                return
            if ends:
                at.is_closed = True
                return
            length = longest if 0 <= rule.first_plain <= at.n and at.n + 1 < rule.most else 1
            if length == 1 or not go_further(form, K, d, length, after, at.further) or self.follow(
                    search, rule, at.lines + at.line * size, at.further, free_line) >= 0:
                length = longest = 1
                memcpy(at.further, after, sizeof(double) * n_sums)
                if self.follow(search, rule, at.lines + at.line * size, at.further, free_line) >= 0:
                    return
            longest *= LONGER
            at.log_likelihood = at.total
            if log_likelihoods != NULL:
                log_likelihoods[at.n] = at.total
            at.previous, at.line, at.last = at.line, 3 - at.line - at.previous, other
            at.n += 1

    cdef void close(self, const Rule *rule, Climb *at) noexcept nogil:
        """Take one E-step more, unless sums have to be taken anew for it"""
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d
        cdef Py_ssize_t n_sums = statistics_layout(self.buffers.form, K, d).size
        cdef double *before = at.statistics + at.last * n_sums
        cdef double *after = at.statistics + (1 - at.last) * n_sums
        at.total = self.pass_over(
            at.lines + at.line * parameters_layout(self.buffers.form, K, d).size, before, rule.limits, after)
        at.is_left = self.goes_wrong(rule, at.total, before, after)
        at.is_closed = not at.is_left

    cdef bint goes_wrong(
        self, const Rule *rule, double total, const double *before, const double *after     # IN
    ) noexcept nogil:
        """True if an E-step has to be taken anew, or ends the fit with an error"""
        cdef Py_ssize_t K = self.buffers.K
        return not isfinite(total) or has_shrunk(before, after, K, SHRUNK) or cancels(
            self.buffers.form, K, self.buffers.d, MOST_LOST, MOST_EXACT * rule.epsilon, after)

    def advance(
        self, int structure, double ridge, Columns columns not None,        # IN: of the M-step
        double enough, double rounding, double weight,                      # IN: of the stopping rule
        const double[::1] parameters,       # IN: those of the next E-step
        PassOutcome before, double log_likelihood,      # IN: those of the E-step before; None and −∞ if there is none
        double[::1] log_likelihoods,        # OUT
        PassOutcome outcome not None,       # OUT: of the last E-step
        double[::1] under, double[::1] found,   # OUT: the parameters of the last E-step, and those after it
        PassOutcome closing not None,           # OUT: of the E-step after it, unless that needs other sums
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

        Returns the number of E-steps taken; whether `closing` has the one after them, which the caller otherwise takes;
        and whether EM's own M-step of the last sums failed, in the place of one that was taken back.
        """
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d, k
        cdef int form = self.form_of_rule(structure)
        cdef ParametersLayout at = parameters_layout(form, K, d)
        cdef Py_ssize_t n_sums = statistics_layout(form, K, d).size
        cdef Rule rule = Rule(
            structure, ridge, columns.epsilon, range_of(columns, d), enough, rounding, weight, goal, ahead, spared,
            first_plain, log_likelihoods.shape[0])
        cdef Search search
        cdef Climb climb
        check_length("parameters", parameters.shape[0], at.size)
        check_length("under", under.shape[0], at.size)
        check_length("found", found.shape[0], at.size)
        if before is not None:
            check_length("before", before.numbers.shape[0], n_sums)
        check_length("statistics", outcome.numbers.shape[0], n_sums)
        check_length("closing", closing.numbers.shape[0], n_sums)
        climb = begin_climb(at.size, n_sums)
        memcpy(climb.lines, &parameters[0], sizeof(double) * at.size)
        climb.log_likelihood = log_likelihood
        if before is None:
            for k in range(K):
                climb.statistics[k] = weight * parameters[k]
        else:
            memcpy(climb.statistics, &before.numbers[0], sizeof(double) * n_sums)
            memcpy(climb.further, climb.statistics, sizeof(double) * n_sums)
        try:
            begin_search(&search, structure, K, d, MOST_SWEEPS, None)
        except MemoryError:
            free(climb.lines)
            raise
        with nogil:
            self.climb(&rule, &search, &climb, &log_likelihoods[0] if rule.most > 0 else NULL)
            if climb.n > 0 and climb.n == rule.most:
                self.close(&rule, &climb)
            if climb.n > 0:
                memcpy(&under[0], climb.lines + climb.previous * at.size, sizeof(double) * at.size)
                memcpy(&found[0], climb.lines + climb.line * at.size, sizeof(double) * at.size)
                memcpy(&outcome.numbers[0], climb.statistics + climb.last * n_sums, sizeof(double) * n_sums)
                outcome.log_likelihood, outcome.growth = climb.log_likelihood, 1
            if climb.is_closed:
                memcpy(&closing.numbers[0], climb.statistics + (1 - climb.last) * n_sums, sizeof(double) * n_sums)
                closing.log_likelihood, closing.growth = climb.total, 1
        free(search.room)
        free(climb.lines)
        return climb.n, climb.is_closed, climb.has_failed

    def advance_each(
        self, int structure, double ridge, Columns columns not None,        # IN: as of `advance`
        double enough, double rounding, double weight,                      # IN
        const double[:, ::1] starts,            # IN: statistics from which each run begins, with an M-step
        double[:, ::1] found,                   # OUT: parameters to which each run came
        double[::1] log_likelihoods,            # OUT: of these; −∞ where an M-step failed, NaN where a run has to be
                                                # done with decisions: a component shrank, or sums cancel
        Py_ssize_t[::1] n_iter,                 # OUT: M-steps of each run after its first
        Py_ssize_t most,                        # IN: most E-steps of a run, and one to close it
        double goal=-INFINITY, double ahead=1, Py_ssize_t spared=0, Py_ssize_t first_plain=-1,      # IN
    ):
        """Take the steps of `advance` from each of several starts, until the rule ends them.

        Of structures whose components share nothing that an M-step looks for.
        """
        cdef Py_ssize_t K = self.buffers.K, d = self.buffers.d, n = starts.shape[0], i
        cdef int form = self.form_of_rule(structure)
        cdef Py_ssize_t size = parameters_layout(form, K, d).size, n_sums = statistics_layout(form, K, d).size
        cdef Rule rule = Rule(
            structure, ridge, columns.epsilon, range_of(columns, d), enough, rounding, weight, goal, ahead, spared,
            first_plain, most)
        cdef Search search
        cdef Climb climb
        if shares_a_part(structure):
            raise ValueError(f"components of structure {structure} share a part, expected one where they share none")
        check_length("starts", starts.shape[1], n_sums)
        check_length("found", found.shape[1], size)
        check_length("found", found.shape[0], n)
        check_length("log_likelihoods", log_likelihoods.shape[0], n)
        check_length("n_iter", n_iter.shape[0], n)
        climb = begin_climb(size, n_sums)
        # No structure that is admitted here needs room to search, so nothing is taken that could fail.
        begin_search(&search, structure, K, d, MOST_SWEEPS, None)
        with nogil:
            for i in range(n):
                climb.line, climb.previous, climb.last, climb.n = 0, 1, 0, 0
                climb.is_closed = climb.is_left = climb.has_failed = False
                climb.log_likelihood = -INFINITY
                memcpy(climb.statistics, &starts[i, 0], sizeof(double) * n_sums)
                memcpy(climb.further, climb.statistics, sizeof(double) * n_sums)
                log_likelihoods[i] = -INFINITY
                if self.follow(&search, &rule, climb.lines + size, climb.statistics, climb.lines) < 0:
                    self.climb(&rule, &search, &climb, NULL)
                    if climb.n == most:
                        self.close(&rule, &climb)
                    if climb.is_left:
                        log_likelihoods[i] = NAN
                    elif climb.is_closed:
                        log_likelihoods[i] = climb.total
                        memcpy(&found[i, 0], climb.lines + climb.line * size, sizeof(double) * size)
                n_iter[i] = climb.n
        free(climb.lines)

    cdef int form_of_rule(self, int structure) except -1:
        """Return the form of a structure, which must be that of the buffers."""
        cdef int form = check_structure(structure, self.buffers.K, self.buffers.d)
        if form != self.buffers.form:
            raise ValueError(f"the buffers are of form {self.buffers.form}, expected {form}")
        return form
