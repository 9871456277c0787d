# A density that a pass evaluates, and the outcome of a pass. Both ask for their buffer once and hold it: the calls of a
# small pass would take a tenth longer with arrays in their places.


cdef class KernelDensity:
    """The mixture density that a pass evaluates: log-weights, means, whitening, log-determinants and deviations.

    Those of a fit are part of its parameters. A variational M-step would make others of its own.
    """

    cdef readonly int form
    cdef readonly Py_ssize_t n_components, n_features
    cdef object array
    cdef Py_ssize_t first
    cdef const double[::1] numbers
    cdef const double *start

    def __cinit__(
        self, int form, Py_ssize_t n_components, Py_ssize_t n_features, packed, bint of_parameters=False
    ):
        """Take a packed density, not copied; with `of_parameters`, packed parameters, of which it is the last part."""
        cdef Py_ssize_t size = density_layout(form, n_components, n_features).size
        check_sizes(form, n_components, n_features)
        self.numbers, self.first = packed, 0
        if of_parameters:
            self.first = parameters_layout(form, n_components, n_features).density
        check_length("density", self.numbers.shape[0] - self.first, size)
        self.form, self.n_components, self.n_features, self.array = form, n_components, n_features, packed
        self.start = &self.numbers[self.first]

    def __reduce__(self):
        return KernelDensity, (self.form, self.n_components, self.n_features, self.packed.copy())

    @property
    def packed(self):
        """The density's numbers: a view of the array."""
        return self.array[self.first :]


cdef class PassOutcome:
    """The sums of a pass: packed statistics, and the log-likelihood, total, nats.

    `counts`: of what shortcuts ask for, or None. `growth`: the factor by which roundings have grown in sums about a
    common origin; 1 for others.
    """

    cdef readonly object packed
    cdef double[::1] numbers
    cdef readonly double log_likelihood, growth
    cdef public object counts

    def __cinit__(self, packed, double log_likelihood=0, counts=None, double growth=1):
        """Take an array, not copied: statistics, or their first numbers, N."""
        self.packed, self.numbers = packed, packed
        self.log_likelihood, self.counts, self.growth = log_likelihood, counts, growth

    def __reduce__(self):
        return _received, (self.packed, self.log_likelihood, self.counts, self.growth)

    def plus(self, PassOutcome other not None, KernelDensity density not None):
        """The outcome of both sets of rows together, of passes under this density about equal centres."""
        cdef StatisticsLayout at = statistics_layout(density.form, density.n_components, density.n_features)
        cdef Py_ssize_t i
        check_length("statistics", self.numbers.shape[0], at.size)
        check_length("statistics", other.numbers.shape[0], at.size)
        for i in range(at.center, at.size):
            if self.numbers[i] != other.numbers[i]:
                raise ValueError("outcomes about different centres cannot be added: take both passes by one request")
        packed = self.packed + other.packed
        packed[at.center:] = self.packed[at.center:]
        counts = self.counts if other.counts is None else other.counts if self.counts is None else (
            self.counts.plus(other.counts))
        return PassOutcome(
            packed, self.log_likelihood + other.log_likelihood, counts, max(self.growth, other.growth))


def _received(packed, double log_likelihood, counts, double growth):
    """An outcome from another process, whose array may be read-only there"""
    return PassOutcome(packed if packed.flags.writeable else packed.copy(), log_likelihood, counts, growth)
