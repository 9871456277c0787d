# Steps of EM that go further: the M-step of sums beyond those of the E-step.
#
# Let Ŝ be the sums whose M-step gave the parameters, and S those of the E-step under them. EM takes the M-step of S. A
# step of length η takes that of Ŝ + η (S − Ŝ). Sums are the parameters in which a mixture's complete data form an
# exponential family, so every structure has this M-step. EM converges as a geometric sequence whose ratio is near 1
# where components overlap. η > 1 then shortens the way. A step after which the log-likelihood falls, or hardly rises,
# is taken back.
#
# R. Salakhutdinov and S. Roweis (2003), Adaptive overrelaxed bound optimization methods, Proceedings of the 20th
# International Conference on Machine Learning, 664-671.

# Each length is so many times the one before; after a step that was taken back two have length 1. From 60 starts of ten
# mixtures to within 1e-4 nats a row of the mode EM takes 241 passes over the rows, with 1.1, 1.2 and 1.4 it takes 117,
# 91 and 91. In the space of (π, μ, Σ) 1.2 takes 88, and two steps with an extrapolation (SQUAREM) 75, but there a step
# leaves the structures that are not linear.
cdef double LONGER = 1.4


cdef bint go_further(
    int form, Py_ssize_t K, Py_ssize_t d, double length, const double *last,    # IN
    double *sums,                                                               # INOUT
) noexcept nogil:
    """sums := sums + length (last − sums), about the centres of `last`; False if a component would have no weight

    With e = c − c′, sums about c′ instead of c are s + N e and S + s eᵀ + e sᵀ + N e eᵀ; of S the lower triangle.
    """
    cdef StatisticsLayout at = statistics_layout(form, K, d)
    cdef Py_ssize_t k, i, j, step = spread_step(form, d)
    cdef double *weight = sums + at.weight
    cdef double *shift
    cdef double *scatter
    cdef double *center
    cdef const double *here
    cdef double e, squares
    # First about the centres of `last`. The scatter needs the shift before it moves.
    for k in range(K):
        shift, center = sums + at.shift + k * d, sums + at.center + k * d
        scatter, here = sums + at.scatter + k * step, last + at.center + k * d
        squares = 0
        for i in range(d):
            e = center[i] - here[i]
            if has_matrices(form):
                for j in range(i + 1):
                    scatter[i * d + j] += e * shift[j] + (center[j] - here[j]) * (shift[i] + weight[k] * e)
            else:
                squares += 2 * e * shift[i] + weight[k] * e * e
                if form == DIAG:
                    scatter[i] += squares
                    squares = 0
        if form == SPHERICAL:
            scatter[0] += squares
        for i in range(d):
            shift[i] += weight[k] * (center[i] - here[i])
            center[i] = here[i]
    for i in range(at.center):
        sums[i] += length * (last[i] - sums[i])
    for k in range(K):
        if not weight[k] > 0:
            return False
    return True
