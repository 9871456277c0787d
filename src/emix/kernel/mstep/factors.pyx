# The small steps of an iteration: slots → statistics → parameters → arguments of the kernel.
#
# Packed arrays are laid out as shared/layout.pxi says. W is the whitening of whitening.pxi. All loops run along rows,
# so that the compiler turns them into vectors without reordering a sum.

from libc.math cimport INFINITY, NAN, exp, fabs, isnan, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef double LOG_TWO_PI = 1.8378770664093453

include "../shared/layout.pxi"
include "../shared/checks.pxi"
include "../shared/limits.pxi"

negligible = NEGLIGIBLE
most_shrunk = SHRUNK

# Work on no more numbers than this, some microseconds, does not release Python's lock. To get the lock back from
# another thread takes longer.
cdef Py_ssize_t SHORT = 4096


include "whitening.pxi"
include "columns.pxi"
include "ridge.pxi"
include "eigenvectors.pxi"
include "shared_parts.pxi"
include "orientation.pxi"
include "structures.pxi"
include "origin.pxi"


def whiten(
    int form, Py_ssize_t n_features, const double[::1] covariances,     # IN
    double[::1] whitening, double[::1] log_det,                         # OUT, log_det (K,)
):
    """whitening, log_det := W, log det W of each covariance; only the lower triangles of matrices are read

    Returns the first component whose covariance is not positive definite, or −1.
    """
    cdef Py_ssize_t failed, spread = spread_size(form, log_det.shape[0], n_features)
    check_sizes(form, log_det.shape[0], n_features)
    check_length("covariances", covariances.shape[0], spread)
    check_length("whitening", whitening.shape[0], spread)
    with nogil:
        failed = whiten_spread(
            form, log_det.shape[0], n_features, &covariances[0], &whitening[0], &log_det[0])
    return failed


def complete(
    int form, Py_ssize_t K, Py_ssize_t d,   # IN
    double[::1] parameters,                 # INOUT
):
    """Fill in the numbers of packed parameters that follow from π and Σ alone: log π, and √diag Σ of matrices"""
    check_sizes(form, K, d)
    check_length("parameters", parameters.shape[0], parameters_layout(form, K, d).size)
    complete_density(form, K, d, 0, K, &parameters[0])


def parameters_size(int form, Py_ssize_t K, Py_ssize_t d):
    """Numbers of packed parameters; in a fourth of the time of kernel/layout.py, which each M-step would ask"""
    check_sizes(form, K, d)
    return parameters_layout(form, K, d).size


def sizes_of_pass(int form, Py_ssize_t K, Py_ssize_t d):
    """Numbers of a slot, of packed statistics and of the kernel's arguments"""
    check_sizes(form, K, d)
    return slot_layout(form, K, d).size, statistics_layout(form, K, d).size, arguments_layout(form, K, d).size


def layouts(int form, Py_ssize_t K, Py_ssize_t d):
    """Offsets and sizes of the packed arrays, by name, for the test that compares them with kernel/layout.py"""
    check_sizes(form, K, d)
    return {
        "slot": slot_layout(form, K, d),
        "statistics": statistics_layout(form, K, d),
        "density": density_layout(form, K, d),
        "parameters": parameters_layout(form, K, d),
        "arguments": arguments_layout(form, K, d),
    }


def precisions(
    Py_ssize_t n_features, const double[::1] whitening,     # IN: of matrices (…, d, d)
    double[::1] found,                                      # OUT
):
    """found := Wᵀ W of each matrix; in a fit of 200 × 2 7 µs less than NumPy's product, up to d = 256 about as long"""
    cdef Py_ssize_t k, size = n_features * n_features
    check_length("found", found.shape[0], whitening.shape[0])
    if n_features < 1 or whitening.shape[0] % size:
        raise ValueError(f"{whitening.shape[0]} numbers are not matrices of {n_features} features")
    with nogil:
        for k in range(whitening.shape[0] // size):
            product_of_whitening(&whitening[k * size], n_features, &found[k * size])


def all_below(const double[::1] numbers, Py_ssize_t first, Py_ssize_t last, double limit):
    """True if the absolute values of numbers [first, last) are below the limit; NaN is not."""
    cdef Py_ssize_t i
    cdef bint found = True
    for i in range(max(first, 0), min(last, numbers.shape[0])):
        found = found and fabs(numbers[i]) < limit
    return found


def maximize(
    int structure, Py_ssize_t K, Py_ssize_t d,                              # IN
    double ridge, Columns columns, const double[::1] statistics,            # IN: see `find_ridge`
    double[::1] parameters,                                                 # OUT
    Py_ssize_t first=0, Py_ssize_t last=-1,                                 # IN
    const double[::1] previous=None,                                        # IN: parameters
):
    """π_k = N_k / Σ N,  μ_k = c_k + δ_k,  Σ of the structure (structures.pxi);  W and log det W of Σ

    Returns the first component whose covariance is not positive definite, or −1.

    For VVV, components [first, last) alone may be asked for: others stay as they are. −1 is K. `previous`: where a
    search for Σ begins, if the structure needs one; None for the pooled covariance.
    """
    cdef Py_ssize_t failed
    cdef Search search
    cdef int form = check_structure(structure, K, d)
    cdef const double *limits = range_of(columns, d)
    cdef double epsilon = epsilon_of(columns)
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    check_length("parameters", parameters.shape[0], parameters_layout(form, K, d).size)
    last = K if last < 0 else last
    if not 0 <= first <= last <= K or structure != VVV and last - first < K:
        raise ValueError(f"components {first} to {last} are asked for, of {K}")
    if first == last:
        return -1
    begin_search(&search, structure, K, d, MOST_SWEEPS, previous)
    if slot_layout(form, K, d).size <= SHORT:
        failed = maximize_part(
            structure, K, d, ridge, epsilon, limits, &statistics[0], &search, &parameters[0], first, last)
    else:
        with nogil:
            failed = maximize_part(
                structure, K, d, ridge, epsilon, limits, &statistics[0], &search, &parameters[0], first, last)
    free(search.room)
    return failed


cdef int begin_search(
    Search *search,                                                                                     # OUT
    int structure, Py_ssize_t K, Py_ssize_t d, int most_sweeps, const double[::1] previous,             # IN
) except -1:
    """A search from the covariances of packed parameters, or from the pooled covariance; its room has to be freed

    A structure that shares no part of its covariances needs none, and gets no room.
    """
    cdef int form = form_of(structure)
    cdef ParametersLayout at
    search.room = NULL
    if not shares_a_part(structure):
        return 0
    at = parameters_layout(form, K, d)
    search.covariances = search.log_det = NULL
    search.most_sweeps, search.gain = most_sweeps, 0
    if previous is not None:
        check_length("previous", previous.shape[0], at.size)
        search.covariances = &previous[at.covariances]
        search.log_det = &previous[at.density + density_layout(form, K, d).log_det]
    search.room = <double *> malloc(sizeof(double) * room_of(structure, K, d))
    if search.room == NULL:
        raise MemoryError(f"there is no memory for covariances of {K} components in {d} dimensions")
    return 0


def gain_left(
    int structure, Py_ssize_t K, Py_ssize_t d,                              # IN
    double ridge, Columns columns, const double[::1] statistics,            # IN: see `find_ridge`
    const double[::1] parameters,                                           # IN: of an M-step with these statistics
):
    """Return what one more sweep after an M-step would add to Q of the scatter with R; nats, weights in their unit"""
    cdef Search search
    cdef int form = check_structure(structure, K, d)
    cdef const double *limits = range_of(columns, d)
    cdef double epsilon = epsilon_of(columns), total = 0
    cdef double *found
    cdef Py_ssize_t k
    check_length("statistics", statistics.shape[0], statistics_layout(form, K, d).size)
    if not shares_a_part(structure):
        return 0.0
    begin_search(&search, structure, K, d, 1, parameters)
    found = <double *> malloc(sizeof(double) * parameters_layout(form, K, d).size)
    if found == NULL:
        free(search.room)
        raise MemoryError(f"there is no memory for parameters of {K} components in {d} dimensions")
    with nogil:
        maximize_part(structure, K, d, ridge, epsilon, limits, &statistics[0], &search, found, 0, K)
    free(search.room)
    free(found)
    for k in range(K):
        total += statistics[k]
    return total * search.gain


def project(
    int structure, Py_ssize_t d, const double[::1] weights,     # IN: (K,)
    double[::1] covariances,                                    # INOUT: of a structure that shares a part
):
    """covariances := those of the structure that maximize Q for components of these weights and covariances"""
    cdef Search search
    cdef Py_ssize_t K = weights.shape[0]
    cdef int form = check_structure(structure, K, d)
    check_length("covariances", covariances.shape[0], spread_size(form, K, d))
    if not shares_a_part(structure):
        raise ValueError(f"the structure {structure} shares no part of its covariances")
    begin_search(&search, structure, K, d, MANY_SWEEPS, None)
    with nogil:
        share_a_part(structure, K, d, &weights[0], &search, &covariances[0])
    free(search.room)


cdef Py_ssize_t maximize_part(
    int structure, Py_ssize_t K, Py_ssize_t d, double ridge, double epsilon, const double *column_range,    # IN
    const double *statistics,                                                                               # IN
    Search *search,                                                                                         # INOUT
    double *parameters,                                                                                     # OUT
    Py_ssize_t first, Py_ssize_t last,                                                                      # IN
) noexcept nogil:
    cdef int form = form_of(structure)
    cdef ParametersLayout at = parameters_layout(form, K, d)
    cdef DensityLayout of_density = density_layout(form, K, d)
    cdef Py_ssize_t failed
    cdef double *sigma = parameters + at.covariances
    cdef double *w = parameters + at.density + of_density.whitening
    cdef double *log_det = parameters + at.density + of_density.log_det
    # R lies where the part's first W will be, which is made when R has been added.
    cdef double *R = w + first * spread_step(form, d)
    find_ridge(form, mixes_columns(structure), K, d, ridge, epsilon, column_range, statistics, R)
    maximize_q(structure, K, d, own_growth(ridge, epsilon), R, statistics, search, parameters, first, last)
    complete_density(form, K, d, first, last, parameters)
    if form != FULL:
        return whiten_spread(form, K, d, sigma, w, log_det)
    failed = whiten_matrices(sigma + first * d * d, last - first, d, w + first * d * d, log_det + first)
    return failed if failed < 0 else first + failed


cdef void maximize_q(
    int structure, Py_ssize_t K, Py_ssize_t d,                      # IN
    double growth, const double *R, const double *statistics,       # IN
    Search *search,                                                 # INOUT
    double *parameters,                                             # OUT: π, μ and Σ
    Py_ssize_t first, Py_ssize_t last,                              # IN
) noexcept nogil:
    cdef int form = form_of(structure)
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef ParametersLayout of_parameters = parameters_layout(form, K, d)
    cdef const double *weight = statistics + at.weight
    cdef const double *shift = statistics + at.shift
    cdef const double *center = statistics + at.center
    cdef double *weights = parameters + of_parameters.weights
    # δ, until the centre is added
    cdef double *delta = parameters + of_parameters.density + density_layout(form, K, d).means
    cdef double total = 0, divisor
    cdef Py_ssize_t k, i
    for k in range(K):
        total += weight[k]
    for k in range(first, last):
        weights[k] = weight[k] / total
        divisor = at_least_something(weight[k])
        for i in range(k * d, (k + 1) * d):
            delta[i] = shift[i] / divisor
    cdef Sums sums = [K, d, total, weight, statistics + at.scatter, delta]
    fit_covariances(structure, sums, growth, R, first, last, search, parameters + of_parameters.covariances)
    for i in range(first * d, last * d):
        delta[i] += center[i]


cdef double held(double value, Py_ssize_t j, const double *least, const double *greatest, bint single) noexcept nogil:
    """A mean's coordinate, clamped to its column's range and rounded to the precision of the rows"""
    if least != NULL:
        value = min(max(value, least[j]), greatest[j])
    return <double> <float> value if single else value


cdef void prepare_arguments(
    int form, Py_ssize_t K, Py_ssize_t d, bint single, double negligible, const double *density,    # IN
    const double *centers,                                  # IN: (K, d), NULL for the means
    const double *least, const double *greatest,            # IN: (d,) each, or NULL
    const double *weight_before,                            # IN: N (K,) or NULL
    double *arguments,                                      # OUT
) noexcept nogil:
    """arguments := [c (K, d) | W (μ − c) (K, d) | a (K,) | margin (K,) | W | NaN (d,)]

    c is the centre, or μ, clamped to the columns' range and, with `single`, rounded to single precision; a_k = log π_k
    − d/2 · log 2π + Σ_j log W_k[j, j]; the margin is `negligible` + log (Σ N / N_k), infinite without `weight_before`.
    """
    cdef DensityLayout of_density = density_layout(form, K, d)
    cdef ArgumentsLayout at = arguments_layout(form, K, d)
    cdef Py_ssize_t step = spread_step(form, d), k, i, j
    cdef const double *log_weights = density + of_density.log_weights
    cdef const double *mean = density + of_density.means
    cdef const double *w = density + of_density.whitening
    cdef const double *log_det = density + of_density.log_det
    cdef const double *place = mean if centers == NULL else centers
    cdef double *center = arguments + at.center
    cdef double *offset = arguments + at.offset
    cdef double *constant = arguments + at.log_constant
    cdef double *margin = arguments + at.margin
    cdef double total = 0
    memcpy(arguments + at.whitening, w, (at.origin - at.whitening) * sizeof(double))
    for i in range(at.origin, at.size):
        arguments[i] = NAN
    if weight_before != NULL:
        for k in range(K):
            total += weight_before[k]
    for k in range(K):
        constant[k] = log_weights[k] + log_det[k] - 0.5 * d * LOG_TWO_PI
        margin[k] = INFINITY
        if weight_before != NULL:
            margin[k] = negligible + log(total / weight_before[k])
        for i in range(d):
            center[i] = held(place[i], i, least, greatest, single)
            offset[i] = 0
        for j in range(d):
            # Zero for float64 rows unless a mean lies outside of the data; else what single precision cannot hold.
            if mean[j] == center[j]:
                continue
            if has_matrices(form):
                for i in range(j, d):
                    offset[i] += w[i * d + j] * (mean[j] - center[j])
            else:
                offset[j] = w[j if form == DIAG else 0] * (mean[j] - center[j])
        mean += d
        place += d
        center += d
        offset += d
        w += step


def prepare(
    int form, Py_ssize_t K, Py_ssize_t d, bint single, double limit, const double[::1] density,     # IN
    double[::1] arguments,                                                                          # OUT
):
    """arguments := those of a pass that leaves nothing out, centred at the means, or about an origin within the limit

    The limit is that of `move_to_origin`; 0 for no origin.
    """
    check_sizes(form, K, d)
    check_length("density", density.shape[0], density_layout(form, K, d).size)
    check_length("arguments", arguments.shape[0], arguments_layout(form, K, d).size)
    with nogil:
        prepare_arguments(form, K, d, single, 0, &density[0], NULL, NULL, NULL, NULL, &arguments[0])
        if limit > 0:
            move_to_origin(form, K, d, single, limit, &density[0], NULL, &arguments[0], NULL)


include "regularity.pxi"
include "screen.pxi"
include "pass_values.pxi"
include "pass_buffers.pxi"
include "relaxation.pxi"
include "steps.pxi"
include "bounds.pxi"
include "neighbours.pxi"
include "distances.pxi"
