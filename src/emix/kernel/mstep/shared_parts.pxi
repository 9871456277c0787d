# Structures whose components share a part of their covariances Σ_k = λ_k D_k A_k D_kᵀ: volume λ, shape A (det A = 1) or
# orientation D (Celeux and Govaert 1995, Pattern Recognition 28, 781-793). orientation.pxi has those that share D.
#
# M_k = Ŵ_k + R is each component's own covariance, which these functions overwrite with Σ_k, and p_k = N_k / n. They
# minimize Σ_k p_k (log det Σ_k + tr Σ_k⁻¹ M_k), which is −2 Q / n but for a constant.
#
#     EVI, EVV  Σ_k = λ M_k / |M_k|^(1/d),  λ = Σ_k p_k |M_k|^(1/d)
#     EEV       Σ_k = D_k A D_kᵀ,  M_k = D_k Ω_k D_kᵀ with descending eigenvalues Ω_k,  A = Σ_k p_k Ω_k
#     VEI, VEE  Σ_k = λ_k C:  C = Σ_k p_k M_k / λ_k and λ_k = tr(M_k C⁻¹) / d by turns
#     VEV       as VEI, with the eigenvalues Ω_k in the place of variances
#
# A component without a covariance of its own (a variance that is 0 or below, a singular matrix, a trace of 0) has
# collapsed. It takes no part in what is shared, and its Σ_k stays M_k, or 0 · C, which shows it.
#
# In log λ and log C the criterion of VEI is convex, and so is that of VEE along geodesics: turns lead to the one
# optimum from anywhere. Each sweep multiplies λ_k by t_k, with Σ_k p_k t_k = 1, and so raises Q by n d/2 Σ_k −p_k log
# t_k, or n d/4 Σ_k p_k (t_k − 1)² where t_k is near 1.

# Most sweeps of an M-step. EM goes on from where they end, so that a step need not be exact.
cdef int MOST_SWEEPS = 4

# Most sweeps where there is no next step.
cdef int MANY_SWEEPS = 500

# A sweep that gains less, nats per unit of weight, is the last one: that is a tenth of a rounding of ℓ.
cdef double SETTLED = 1e-16


cdef struct Search:
    # The way to what components share, where that has no closed form.
    const double *covariances       # of the parameters before, or NULL
    const double *log_det           # log det W of them
    double *room                    # overwritten, `room_of`
    int most_sweeps
    double gain                     # OUT: of Q in the last sweep, nats per unit of weight; 0 of a closed form


cdef inline Py_ssize_t room_of(int structure, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    """Numbers of the room of a search; 0 for structures that have none"""
    if not shares_a_part(structure):
        return 0
    return 4 * K * (d + 2) + 2 * d + ((2 * K + 3) * d * d if form_of(structure) == FULL else 0)


cdef inline double at_least_something(double weight) noexcept nogil:
    """A divisor for sums that are zero where the weight is"""
    return weight if weight > 0 else 1


cdef inline double weight_with_volume(const double *weight, Py_ssize_t K, const double *volume) noexcept nogil:
    """The weight of components whose volume is above 0"""
    cdef double total = 0
    cdef Py_ssize_t k
    for k in range(K):
        if volume[k] > 0:
            total += weight[k]
    return at_least_something(total)


cdef void equal_volumes(
    Py_ssize_t K, Py_ssize_t d, const double *weight, bint matrices,    # IN
    double *room,                                                       # overwritten
    double *sigma,                                                      # INOUT: M_k, then Σ_k
) noexcept nogil:
    """EVI, and with matrices EVV"""
    cdef Py_ssize_t step = d * d if matrices else d, k, i
    cdef double *size = room        # |M_k|^(1/d); 0 for components that collapsed
    cdef double *factor = room + K
    cdef double total = 0, common = 0
    for k in range(K):
        size[k] = geometric_mean_of(sigma + k * step, d, matrices, factor)
        total += weight[k]
    for k in range(K):
        common += weight[k] / total * size[k]
    for k in range(K):
        if size[k] > 0 and common > 0:
            for i in range(step):
                sigma[k * step + i] = sigma[k * step + i] / size[k] * common


cdef double geometric_mean_of(
    const double *covariance, Py_ssize_t d, bint matrices,  # IN
    double *factor,                                         # overwritten, (d, d) for matrices
) noexcept nogil:
    """|M|^(1/d), as the exponential of a mean of logarithms: a product would overflow; 0 if M is singular"""
    cdef double logs = 0
    cdef Py_ssize_t j
    if matrices:
        if not cholesky(covariance, d, factor):
            return 0
        for j in range(d):
            logs += 2 * log(factor[j * (d + 1)])
    else:
        for j in range(d):
            if not (covariance[j] > 0 and isfinite(covariance[j])):
                return 0
            logs += log(covariance[j])
    return exp(logs / d)


cdef void starting_volumes(Py_ssize_t K, Py_ssize_t d, Search *search, double *volume) noexcept nogil:
    """λ_k before: |Σ_k|^(1/d) of the parameters before; else 1, so that the first C is the pooled covariance"""
    cdef Py_ssize_t k
    for k in range(K):
        volume[k] = 1 if search.log_det == NULL else exp(-2 * search.log_det[k] / d)


cdef void turn_by_turn(
    Py_ssize_t K, Py_ssize_t d, const double *weight, const double *own,    # IN: variances M_k (K, d)
    double noise,                   # IN: common variances up to this share of the largest are rounding
    Search *search,                 # INOUT
    double *volume, double *shape,  # INOUT λ (K,); OUT C (d,)
) noexcept nogil:
    """VEI: variances λ_k C_j"""
    cdef Py_ssize_t k, j, n_sound
    cdef double ratio, least, total
    cdef int sweep
    for sweep in range(search.most_sweeps):
        search.gain, total = 0, weight_with_volume(weight, K, volume)
        for j in range(d):
            shape[j] = 0
        for k in range(K):
            if volume[k] > 0:
                for j in range(d):
                    shape[j] += weight[k] / total * (own[k * d + j] / volume[k])
        least, n_sound = noise * largest_of(shape, d), 0
        for j in range(d):
            n_sound += shape[j] > least
        for k in range(K):
            if not volume[k] > 0:
                continue
            ratio = 0
            for j in range(d):
                # A variance that no component has tells nothing of their volumes.
                if shape[j] > least:
                    ratio += own[k * d + j] / volume[k] / shape[j]
            ratio = ratio / n_sound if n_sound else 1
            search.gain += weight[k] / total * (ratio - 1) * (ratio - 1)
            volume[k] = volume[k] * ratio if ratio > 0 else 0
        search.gain *= 0.25 * d
        if not search.gain > SETTLED:
            return


cdef void common_shape_of_variances(
    Py_ssize_t K, Py_ssize_t d, const double *weight, Search *search, double *sigma
) noexcept nogil:
    """VEI"""
    cdef double *volume = search.room
    cdef double *shape = volume + K
    cdef Py_ssize_t k, j
    starting_volumes(K, d, search, volume)
    turn_by_turn(K, d, weight, sigma, 0, search, volume, shape)
    for k in range(K):
        for j in range(d):
            sigma[k * d + j] = volume[k] * shape[j]


cdef void common_shape_of_eigenvalues(
    Py_ssize_t K, Py_ssize_t d, const double *weight, bint equal_volume,    # IN
    Search *search, double *sigma,                                          # INOUT
) noexcept nogil:
    """EEV, and without equal volumes VEV"""
    cdef double *volume = search.room
    cdef double *shape = volume + K
    cdef double *values = shape + d
    cdef double *vectors = values + K * d
    cdef double total = 0
    cdef Py_ssize_t k, j
    search.gain = 0
    for k in range(K):
        find_eigenvectors(sigma + k * d * d, d, values + k * d, vectors + k * d * d)
        total += weight[k]
    if equal_volume:
        for j in range(d):
            shape[j] = 0
        for k in range(K):
            volume[k] = 1
            for j in range(d):
                shape[j] += weight[k] / total * values[k * d + j]
    else:
        starting_volumes(K, d, search, volume)
        turn_by_turn(K, d, weight, values, d * EPSILON, search, volume, shape)
    for k in range(K):
        put_together(shape, volume[k], vectors + k * d * d, d, sigma + k * d * d)


cdef void pool(
    Py_ssize_t K, Py_ssize_t d, const double *weight, const double *volume, const double *sigma,    # IN
    double *common,                                                                                 # OUT
) noexcept nogil:
    """common := Σ_k p_k M_k / λ_k over components with a volume"""
    cdef Py_ssize_t k, i
    cdef double total = weight_with_volume(weight, K, volume)
    for i in range(d * d):
        common[i] = 0
    for k in range(K):
        if volume[k] > 0:
            for i in range(d * d):
                common[i] += weight[k] / total * (sigma[k * d * d + i] / volume[k])


cdef void common_shape_of_matrices(
    Py_ssize_t K, Py_ssize_t d, const double *weight, Search *search, double *sigma
) noexcept nogil:
    """VEE"""
    cdef double *volume = search.room
    cdef double *shape = volume + K
    cdef double *variances = shape + d
    cdef double *common = variances + K * d
    cdef double *whitening = common + d * d
    cdef double *precision = whitening + d * d
    cdef double ratio, total
    cdef Py_ssize_t k, i
    cdef int sweep
    cdef bint regular = True
    starting_volumes(K, d, search, volume)
    for sweep in range(search.most_sweeps):
        search.gain, total = 0, weight_with_volume(weight, K, volume)
        pool(K, d, weight, volume, sigma, common)
        regular = cholesky(common, d, whitening)
        if not regular:
            break
        invert_transposed(whitening, d)
        product_of_whitening(whitening, d, precision)
        for k in range(K):
            if not volume[k] > 0:
                continue
            ratio = 0
            for i in range(d * d):
                ratio += sigma[k * d * d + i] / volume[k] * precision[i]
            ratio /= d
            search.gain += weight[k] / total * (ratio - 1) * (ratio - 1)
            volume[k] = volume[k] * ratio if ratio > 0 else 0
        search.gain *= 0.25 * d
        if not search.gain > SETTLED:
            break
    if not regular:
        # No M-step, but something for the search for collapses to read: volumes by the variances alone.
        for k in range(K):
            for i in range(d):
                variances[k * d + i] = sigma[k * d * d + i * (d + 1)]
        starting_volumes(K, d, search, volume)
        turn_by_turn(K, d, weight, variances, 0, search, volume, shape)
        pool(K, d, weight, volume, sigma, common)
    for k in range(K):
        for i in range(d * d):
            sigma[k * d * d + i] = volume[k] * common[i]
