# The covariances of an M-step, one function for each structure (Celeux and Govaert 1995, Pattern Recognition 28,
# 781-793).
#
#     δ_k = s_k / N_k      Ŵ_k = S_k / N_k − δ_k δ_kᵀ      n = Σ_k N_k
#
#     VVV  Σ_k = Ŵ_k + diag R              full         EEE  Σ = Σ_k N_k Ŵ_k / n + diag R                tied
#     VVI  Σ_k = diag(Ŵ_k) + R             diag         EEI  Σ = diag(Σ_k N_k Ŵ_k) / n + R               diag
#     VII  Σ_k = (tr Ŵ_k / d + R) I        spherical    EII  Σ = (Σ_k N_k tr Ŵ_k / (n d) + R) I          spherical
#
# The last column is the form. R is one number where the form is spherical. Where N_k = 0 the sums are zero, and so are
# δ_k and Ŵ_k. With `growth` see `own_growth`. The other eight begin with the covariances of VVI or VVV:
# shared_parts.pxi and orientation.pxi.


cdef struct Sums:
    # The sums over rows, and δ.
    Py_ssize_t K, d
    double total                # n
    const double *weight        # N (K,)
    const double *scatter       # S
    const double *delta         # (K, d)


cdef inline double square_of(const double *vector, Py_ssize_t d) noexcept nogil:
    cdef Py_ssize_t j
    cdef double square = 0
    for j in range(d):
        square += vector[j] * vector[j]
    return square


cdef void fit_vvv(
    Sums sums, double growth, const double *R, Py_ssize_t first, Py_ssize_t last,   # IN: components [first, last)
    double *sigma,                                                                  # OUT
) noexcept nogil:
    cdef Py_ssize_t d = sums.d, k, i, j
    cdef const double *S = sums.scatter + first * d * d
    cdef const double *delta = sums.delta + first * d
    cdef double divisor
    sigma += first * d * d
    for k in range(first, last):
        divisor = at_least_something(sums.weight[k])
        for i in range(d):
            for j in range(i + 1):
                sigma[i * d + j] = S[i * d + j] / divisor - delta[i] * delta[j]
                sigma[j * d + i] = sigma[i * d + j]
            sigma[i * d + i] = growth * sigma[i * d + i] + R[i]
        sigma += d * d
        S += d * d
        delta += d


cdef void fit_eee(Sums sums, double growth, const double *R, double *sigma) noexcept nogil:
    cdef Py_ssize_t d = sums.d, k, i, j
    cdef const double *delta = sums.delta
    cdef double share
    for i in range(d * d):
        sigma[i] = sums.scatter[i] / sums.total
    for k in range(sums.K):
        share = sums.weight[k] / sums.total
        for i in range(d):
            for j in range(d):
                sigma[i * d + j] -= share * delta[i] * delta[j]
        delta += d
    for i in range(d):
        for j in range(i):
            sigma[j * d + i] = sigma[i * d + j]
        sigma[i * d + i] = growth * sigma[i * d + i] + R[i]


cdef void fit_vvi(Sums sums, const double *R, double *sigma) noexcept nogil:
    cdef Py_ssize_t d = sums.d, k, j
    cdef const double *S = sums.scatter
    cdef const double *delta = sums.delta
    cdef double divisor
    for k in range(sums.K):
        divisor = at_least_something(sums.weight[k])
        for j in range(d):
            sigma[j] = S[j] / divisor - delta[j] * delta[j] + R[j]
        sigma += d
        S += d
        delta += d


cdef void fit_vii(Sums sums, double R, double *sigma) noexcept nogil:
    cdef Py_ssize_t d = sums.d, k
    cdef double divisor
    for k in range(sums.K):
        divisor = at_least_something(sums.weight[k])
        sigma[k] = (sums.scatter[k] / divisor - square_of(sums.delta + k * d, d)) / d + R


cdef void fit_eei(Sums sums, const double *R, double *sigma) noexcept nogil:
    """Shares of n come first: sums of squares of rows of 1e150 would overflow"""
    cdef Py_ssize_t d = sums.d, k, j
    cdef double share
    for j in range(d):
        sigma[j] = 0
    for k in range(sums.K):
        share = sums.weight[k] / sums.total
        for j in range(d):
            sigma[j] += sums.scatter[k * d + j] / sums.total - share * sums.delta[k * d + j] * sums.delta[k * d + j]
    for j in range(d):
        sigma[j] += R[j]
    for k in range(1, sums.K):
        memcpy(sigma + k * d, sigma, d * sizeof(double))


cdef void fit_eii(Sums sums, double R, double *sigma) noexcept nogil:
    cdef Py_ssize_t d = sums.d, k
    cdef double trace = 0
    for k in range(sums.K):
        trace += sums.scatter[k] / sums.total - sums.weight[k] / sums.total * square_of(sums.delta + k * d, d)
    for k in range(sums.K):
        sigma[k] = trace / d + R


cdef void share_a_part(
    int structure, Py_ssize_t K, Py_ssize_t d, const double *weight,    # IN
    Search *search,                                                     # INOUT
    double *sigma,                                                      # INOUT: M_k, then Σ_k
) noexcept nogil:
    """The covariances of a structure that maximize Q for components with these of their own"""
    search.gain = 0
    if structure == VEI:
        common_shape_of_variances(K, d, weight, search, sigma)
    elif structure == VEE:
        common_shape_of_matrices(K, d, weight, search, sigma)
    elif structure == EVI or structure == EVV:
        equal_volumes(K, d, weight, structure == EVV, search.room, sigma)
    elif structure == EEV or structure == VEV:
        common_shape_of_eigenvalues(K, d, weight, structure == EEV, search, sigma)
    else:
        common_axes(K, d, weight, structure == EVE, search, sigma)


cdef void fit_covariances(
    int structure, Sums sums, double growth, const double *R, Py_ssize_t first, Py_ssize_t last,    # IN
    Search *search,                                                                                 # INOUT
    double *sigma,                                                                                  # OUT
) noexcept nogil:
    """sigma := Σ of the structure; of VVV components [first, last) alone"""
    if shares_a_part(structure):
        if form_of(structure) == DIAG:
            fit_vvi(sums, R, sigma)
        else:
            fit_vvv(sums, growth, R, first, last, sigma)
        share_a_part(structure, sums.K, sums.d, sums.weight, search, sigma)
    elif structure == VVV:
        fit_vvv(sums, growth, R, first, last, sigma)
    elif structure == EEE:
        fit_eee(sums, growth, R, sigma)
    elif structure == VVI:
        fit_vvi(sums, R, sigma)
    elif structure == VII:
        fit_vii(sums, R[0], sigma)
    elif structure == EEI:
        fit_eei(sums, R, sigma)
    else:
        fit_eii(sums, R[0], sigma)
