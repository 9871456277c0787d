# Steps of EM in which there is nothing to decide: E-step, M-step, E-step, …, without Python between them.
#
# In a fit of some hundred rows, Python's calls between two compiled steps take longer than these do, and hold its lock,
# so that fits in other threads wait. These are the same steps to the bit. They end before the first E-step after which
# anything else than the next M-step may have to be done; the caller takes that E-step again, and decides.


ctypedef double (*PassOverRows)(void *, void *) noexcept nogil     # (accumulator, rows): estep/accumulator.pxi


def advance(
    PassBuffers buffers not None, accumulator not None, rows not None, size_t address,  # IN: of `Accumulator.alone`
    int structure, double ridge, Columns columns not None,                              # IN: of the M-step
    double enough, double rounding, double weight,                                      # IN: of the stopping rule
    double[:, ::1] parameters,              # INOUT: (3, …), line 0 those of the next E-step
    double[:, ::1] statistics,              # INOUT: (2, …), line 0 those of the E-step before
    double before, double[::1] log_likelihoods,     # IN: that of the E-step before; OUT
):
    """Take E-steps, each followed by an M-step, while the log-likelihood rises by more than the rule calls enough.

    The rule is that of em/stopping.py: a rise of at most `enough`, or of `rounding` (|ℓ| + weight), may end a fit.
    Also a fall, a sum that is not finite, a component that shrank or sums that cancel (`judge`), and an M-step that
    fails are left to the caller.

    Returns (n, next, before, last): the number of E-steps taken, whose log-likelihoods are filled in; the line of the
    parameters of the next E-step, and that of the ones under which the last was taken; and the line of its statistics.
    """
    cdef Py_ssize_t K = buffers.K, d = buffers.d, n = 0, line = 0, under = 1, other
    cdef Py_ssize_t last = 0, most = log_likelihoods.shape[0]
    cdef int form = check_structure(structure, K, d)
    cdef ParametersLayout at = parameters_layout(form, K, d)
    cdef const double *limits = range_of(columns, d)
    cdef double epsilon = columns.epsilon, log_likelihood, rise, growth = 1
    cdef Search search
    cdef PassOverRows take = <PassOverRows> <void *> address
    cdef void *sums = <void *> accumulator
    cdef void *of_rows = <void *> rows
    if form != buffers.form or buffers.shared:
        raise ValueError(f"the buffers are of form {buffers.form}, expected {form}, with slots that are not shared")
    check_shape("parameters", parameters.shape[0], parameters.shape[1], 3, at.size)
    check_shape("statistics", statistics.shape[0], statistics.shape[1], 2, statistics_layout(form, K, d).size)
    if address == 0:
        raise ValueError("address is 0, expected that of `Accumulator.alone`")
    begin_search(&search, structure, K, d, MOST_SWEEPS, None)
    with nogil:
        while n < most:
            other = 1 - last
            buffers.prepare(&parameters[line, at.density], NULL, &statistics[last, 0], limits, False, False)
            take(sums, of_rows)
            log_likelihood = buffers.conclude(&statistics[other, 0], &growth)
            rise = log_likelihood - before
            # Comparisons with NaN are false.
            if not rise > max(enough, rounding * (fabs(log_likelihood) + weight)):
                break
            if has_shrunk(&statistics[last, 0], &statistics[other, 0], K, SHRUNK):
                break
            if cancels(form, K, d, MOST_LOST, MOST_EXACT * epsilon, &statistics[other, 0]):
                break
            # A line that holds neither the parameters of this E-step nor those of the one before is free. If the M-step
            # fails the lines are as they were.
            if search.room != NULL:  # a search begins at the parameters of this E-step
                search.covariances = &parameters[line, at.covariances]
                search.log_det = &parameters[line, at.density + density_layout(form, K, d).log_det]
            if maximize_part(
                    structure, K, d, ridge, epsilon, limits, &statistics[other, 0], &search,
                    &parameters[3 - line - under, 0], 0, K) >= 0:
                break
            log_likelihoods[n] = before = log_likelihood
            under, line, last = line, 3 - line - under, other
            n += 1
    free(search.room)
    return n, line, under, last
