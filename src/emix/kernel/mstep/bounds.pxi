# Factors that carry bounds over from one pass to the next. estep/bounds.pxi has the bound.
#
#     σ_min(T) ≥ 1 − ‖T − I‖ (Frobenius)  with  T = W′ W⁻¹,        moved = ‖W′ (μ′ − μ)‖
#
# and of diag and spherical, whose T is diagonal, σ_min(T) is its least number.

from libc.math cimport nextafterf

# Taken off each factor: rounding in ‖T − I‖, which is d κ(W) eps at most: below this for κ(Σ) up to 1e16 and d ≤ 45, or
# κ(Σ) up to 5e14 and d ≤ 200. What lies beyond is a small part of the margin of 40 nats.
cdef double CARRIED_ROUNDING = 1e-6


cdef double least_stretch(const double *w, const double *w_new, Py_ssize_t d, double *row) noexcept nogil:
    """1 − ‖T − I‖ of lower triangular W and W′, T being so too: T W = W′, row by row from the last column on"""
    cdef Py_ssize_t i, j, l
    cdef double t, squares = 0
    for i in range(d):
        for l in range(i + 1):
            row[l] = w_new[i * d + l]
        for j in range(i, -1, -1):
            t = row[j] / w[j * d + j]
            for l in range(j):
                row[l] -= t * w[j * d + l]
            if i == j:
                t -= 1
            squares += t * t
    return 1 - sqrt(squares)


cdef double whitened_square(const double *w, const double *a, const double *b, Py_ssize_t d) noexcept nogil:
    """‖W (b − a)‖² of a lower triangular W"""
    cdef Py_ssize_t i, j
    cdef double y, squares = 0
    for i in range(d):
        y = 0
        for j in range(i + 1):
            y += w[i * d + j] * (b[j] - a[j])
        squares += y * y
    return squares


def carry(
    int form, Py_ssize_t K, Py_ssize_t d,
    const double[::1] before, const double[::1] density,    # IN: densities, of the last pass and of the next
    Py_ssize_t first, Py_ssize_t last,                      # IN: components [first, last)
    float[::1] shrink, float[::1] moved,                    # OUT: (K,) each, rounded to the safe side
    double[::1] row,                                        # overwritten, (d,)
):
    """shrink, moved := at most σ_min(T_k), at least ‖W′_k (μ′_k − μ_k)‖"""
    cdef DensityLayout at = density_layout(form, K, d)
    cdef Py_ssize_t step = spread_step(form, d), next_variance = 1 if form == DIAG else 0, k, j
    check_sizes(form, K, d)
    check_length("before", before.shape[0], at.size)
    check_length("density", density.shape[0], at.size)
    check_length("row", row.shape[0], d)
    if not (0 <= first <= last <= K == shrink.shape[0] == moved.shape[0]):
        raise ValueError(f"components {first} to {last} are asked for, of {K}")
    cdef const double *mean
    cdef const double *mean_new
    cdef const double *w
    cdef const double *w_new
    cdef double least = 0, stretch, square, step_of_mean
    with nogil:
        for k in range(first, last):
            mean, mean_new = &before[at.means + k * d], &density[at.means + k * d]
            w, w_new = &before[at.whitening + k * step], &density[at.whitening + k * step]
            if has_matrices(form):
                if form == FULL or k == first:
                    least = least_stretch(w, w_new, d, &row[0])
                square = whitened_square(w_new, mean, mean_new, d)
            else:
                least, square = INFINITY, 0
                for j in range(d):
                    stretch = w_new[j * next_variance] / w[j * next_variance]
                    if stretch < least or isnan(stretch):
                        least = stretch
                    step_of_mean = w_new[j * next_variance] * (mean_new[j] - mean[j])
                    square += step_of_mean * step_of_mean
            # NaN bounds nothing.
            stretch = least - CARRIED_ROUNDING
            shrink[k] = nextafterf(<float> stretch, 0) if stretch > 0 else 0
            square = sqrt(square) * (1 + CARRIED_ROUNDING)
            moved[k] = nextafterf(<float> square, <float> INFINITY) if square >= 0 else <float> INFINITY
