# The small steps of an iteration: slots → statistics → parameters → arguments of the kernel.
#
# Arrays in a covariance structure's shape come flat: full K × d × d, tied d × d, diag K × d, spherical K numbers. W is
# the whitening of whitening.pxi, which is included here. All loops run along rows, so that the compiler turns them into
# vectors without reordering a sum. What belongs together comes as one array, for asking for a buffer takes longer than
# the arithmetic of a small one:
#
#     slot        [N (K) | s (K, d) | S | log-likelihood]
#     statistics  [N (K) | s (K, d) | S | c (K, d)]
#     parameters  [π (K) | μ (K, d) | Σ | W | log_det (K)]
#     arguments   [c (K, d) | b (K, d) | a (K) | margin (K) | W | m (d)], what the kernel takes
#
# m is the origin that components share (moved_origin.pxi), NaN where they do not.

from libc.math cimport INFINITY, NAN, fabs, isnan, log, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memset

cdef double LOG_TWO_PI = 1.8378770664093453

include "../shared/structure.pxi"
include "../shared/checks.pxi"

# Work on no more numbers than this, some microseconds, does not release Python's lock: to have it back from another
# thread takes longer.
cdef Py_ssize_t SHORT = 4096


cdef Py_ssize_t arguments_size(int structure, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    return 2 * K * (1 + d) + spread_size(structure, K, d) + d


include "whitening.pxi"
include "columns.pxi"
include "ridge.pxi"
include "moved_origin.pxi"


def whiten(
    int structure, Py_ssize_t n_features, const double[::1] covariances,    # IN
    double[::1] whitening, double[::1] log_det,                             # OUT, log_det (K,)
):
    """whitening, log_det := W, log det W of each covariance. Of matrices only the lower triangles are read.

    Returns the first component whose covariance is not positive definite, or −1.
    """
    cdef Py_ssize_t failed, spread = spread_size(structure, log_det.shape[0], n_features)
    check_sizes(structure, log_det.shape[0], n_features)
    check_length("covariances", covariances.shape[0], spread)
    check_length("whitening", whitening.shape[0], spread)
    with nogil:
        failed = whiten_spread(
            structure, log_det.shape[0], n_features, &covariances[0], &whitening[0], &log_det[0])
    return failed


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


def all_below(const double[::1] numbers, Py_ssize_t first, double limit):
    """Are the absolute values below the limit, from the first on? NaN is not."""
    cdef Py_ssize_t i
    cdef bint found = True
    for i in range(max(first, 0), numbers.shape[0]):
        found = found and fabs(numbers[i]) < limit
    return found


def maximize(
    int structure, Py_ssize_t K, Py_ssize_t d,                              # IN
    double reg_covar, Columns columns, const double[::1] statistics,        # IN: see `ridge`
    double[::1] parameters,                                                 # OUT
    Py_ssize_t first=0, Py_ssize_t last=-1,                                 # IN
):
    """π_k = N_k / Σ N,  μ_k = c_k + δ_k,  Σ_k = S_k/N_k − δδᵀ + diag R,  δ_k = s_k/N_k;  W and log det W of Σ

    tied: Σ = (Σ_k S_k − N_k δδᵀ) / Σ N + diag R; diag: the diagonal; spherical: the trace / d, and the mean of R. Where
    N_k = 0 the sums are zero, and so are δ_k and S_k/N_k. Returns the first component whose covariance is not positive
    definite, or −1.

    For full, components [first, last) alone may be asked for: others stay as they are. −1 is K.
    """
    cdef Py_ssize_t spread = spread_size(structure, K, d), failed
    check_sizes(structure, K, d)
    cdef const double *limits = range_of(columns, d)
    cdef double epsilon = epsilon_of(columns)
    check_length("statistics", statistics.shape[0], K * (1 + 2 * d) + spread)
    check_length("parameters", parameters.shape[0], K * (2 + d) + 2 * spread)
    last = K if last < 0 else last
    if not 0 <= first <= last <= K or structure != FULL and last - first < K:
        raise ValueError(f"components {first} to {last} are asked for, of {K}")
    if first == last:
        return -1
    if K * (1 + d) + spread <= SHORT:
        return maximize_part(
            structure, K, d, reg_covar, epsilon, limits, &statistics[0], &parameters[0], first, last)
    with nogil:
        failed = maximize_part(
            structure, K, d, reg_covar, epsilon, limits, &statistics[0], &parameters[0], first, last)
    return failed


cdef Py_ssize_t maximize_part(
    int structure, Py_ssize_t K, Py_ssize_t d, double reg_covar, double epsilon, const double *column_range,    # IN
    const double *statistics,                                                                                   # IN
    double *parameters,                                                                                         # OUT
    Py_ssize_t first, Py_ssize_t last,                                                                          # IN
) noexcept nogil:
    cdef Py_ssize_t spread = spread_size(structure, K, d), failed
    cdef double *sigma = parameters + K * (1 + d)
    cdef double *w = sigma + spread
    # R lies where the part's first W will be, which is made when R has been added.
    cdef double *ridge = w + first * spread_step(structure, d)
    find_ridge(structure, structure == SPHERICAL, K, d, reg_covar, epsilon, column_range, statistics, ridge)
    maximize_q(structure, K, d, own_growth(reg_covar, epsilon), ridge, statistics, parameters, first, last)
    if structure != FULL:
        return whiten_spread(structure, K, d, sigma, w, w + spread)
    failed = whiten_matrices(sigma + first * d * d, last - first, d, w + first * d * d, w + spread + first)
    return failed if failed < 0 else first + failed


cdef void maximize_q(
    int structure, Py_ssize_t K, Py_ssize_t d,                                                  # IN
    double growth, const double *ridge, const double *statistics,                               # IN
    double *parameters,                                                                         # OUT: π, μ and Σ
    Py_ssize_t first, Py_ssize_t last,                                                          # IN
) noexcept nogil:
    cdef const double *weight = statistics
    cdef const double *shift = weight + K
    cdef const double *S = shift + K * d
    cdef const double *center = S + spread_size(structure, K, d)
    cdef double *weights = parameters
    cdef double *delta = weights + K    # δ, until the centre is added
    cdef double *sigma = delta + K * d
    cdef Py_ssize_t k, i, j
    cdef double total = 0, divisor, square, share
    for k in range(K):
        total += weight[k]
    if structure == TIED:
        for i in range(d * d):
            sigma[i] = S[i] / total
    elif structure == FULL:
        S += first * d * d
        sigma += first * d * d
    delta += first * d
    shift += first * d
    center += first * d
    for k in range(first, last):
        weights[k] = weight[k] / total
        divisor = weight[k] if weight[k] > 0 else 1
        square = 0
        for i in range(d):
            delta[i] = shift[i] / divisor
            square += delta[i] * delta[i]
        if structure == FULL:
            for i in range(d):
                for j in range(i + 1):
                    sigma[i * d + j] = S[i * d + j] / divisor - delta[i] * delta[j]
                    sigma[j * d + i] = sigma[i * d + j]
                sigma[i * d + i] = growth * sigma[i * d + i] + ridge[i]
            sigma += d * d
            S += d * d
        elif structure == TIED:
            share = weight[k] / total
            for i in range(d):
                for j in range(d):
                    sigma[i * d + j] -= share * delta[i] * delta[j]
        elif structure == DIAG:
            for i in range(d):
                sigma[i] = S[i] / divisor - delta[i] * delta[i] + ridge[i]
            sigma += d
            S += d
        else:
            sigma[k] = (S[k] / divisor - square) / d + ridge[0]
        for i in range(d):
            delta[i] += center[i]
        delta += d
        shift += d
        center += d
    if structure == TIED:
        for i in range(d):
            for j in range(i):
                sigma[j * d + i] = sigma[i * d + j]
            sigma[i * d + i] = growth * sigma[i * d + i] + ridge[i]


cdef double held(double value, Py_ssize_t j, const double *least, const double *greatest, bint single) noexcept nogil:
    """A mean's coordinate, clamped to its column's range and rounded to the precision of the rows"""
    if least != NULL:
        value = min(max(value, least[j]), greatest[j])
    return <double> <float> value if single else value


cdef void prepare_arguments(
    int structure, Py_ssize_t K, Py_ssize_t d, bint single, double negligible, const double *parameters,    # IN
    const double *centers,                                  # IN: (K, d), NULL for the means
    const double *least, const double *greatest,            # IN: (d,) each, or NULL
    const double *weight_before,                            # IN: N (K,) or NULL
    double *arguments,                                      # OUT
) noexcept nogil:
    """arguments := [c (K, d) | W (μ − c) (K, d) | a (K,) | margin (K,) | W | NaN (d,)]

    c is the centre, or μ, clamped to the columns' range and, with `single`, rounded to single precision; a_k = log π_k
    − d/2 · log 2π + Σ_j log W_k[j, j]; the margin is `negligible` + log (Σ N / N_k), infinite without `weight_before`.
    """
    cdef Py_ssize_t spread = spread_size(structure, K, d), k, i, j
    cdef Py_ssize_t step = spread_step(structure, d)
    cdef const double *weights = parameters
    cdef const double *mean = weights + K
    cdef const double *w = mean + K * d + spread
    cdef const double *log_det = w + spread
    cdef const double *place = mean if centers == NULL else centers
    cdef double *center = arguments
    cdef double *offset = center + K * d
    cdef double *constant = offset + K * d
    cdef double *margin = constant + K
    cdef double *matrices = margin + K
    cdef double total = 0
    for i in range(spread):
        matrices[i] = w[i]
    for i in range(d):
        matrices[spread + i] = NAN
    if weight_before != NULL:
        for k in range(K):
            total += weight_before[k]
    for k in range(K):
        constant[k] = log(weights[k]) + log_det[k] - 0.5 * d * LOG_TWO_PI
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
            if structure == FULL or structure == TIED:
                for i in range(j, d):
                    offset[i] += w[i * d + j] * (mean[j] - center[j])
            else:
                offset[j] = w[j if structure == DIAG else 0] * (mean[j] - center[j])
        mean += d
        place += d
        center += d
        offset += d
        w += step


def prepare(
    int structure, Py_ssize_t K, Py_ssize_t d, bint single, double limit, const double[::1] parameters,     # IN
    double[::1] arguments,                                                                                  # OUT
):
    """arguments := those of a pass that leaves nothing out, centred at the means, or about an origin within the limit

    The limit is that of `move_to_origin`; 0 for no origin.
    """
    check_sizes(structure, K, d)
    check_length("parameters", parameters.shape[0], K * (2 + d) + 2 * spread_size(structure, K, d))
    check_length("arguments", arguments.shape[0], arguments_size(structure, K, d))
    with nogil:
        prepare_arguments(structure, K, d, single, 0, &parameters[0], NULL, NULL, NULL, NULL, &arguments[0])
        if limit > 0:
            move_to_origin(structure, K, d, single, limit, &parameters[0], NULL, &arguments[0], NULL)


include "regularity.pxi"
include "sketch.pxi"
include "exchange.pxi"
include "carried.pxi"
