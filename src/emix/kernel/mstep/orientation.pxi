# Structures with common axes, Σ_k = Dᵀ B_k D with the axes in the rows of D and B_k diagonal: EVE and VVE (Celeux and
# Govaert 1995; Flury and Gautschi 1986, SIAM Journal on Scientific and Statistical Computing 7, 169-184).
#
# With G_k = D M_k Dᵀ the best B_k for given axes are those of EVI and VVI for the variances diag G_k: EVE λ diag G_k /
# |diag G_k|^(1/d), VVE diag G_k. Axes i and j turn by an angle θ in their plane. For given B_k
#
#     Σ_k p_k tr(B_k⁻¹ G_k) = constant + ½ (X cos 2θ + Y sin 2θ)
#     X = Σ_k p_k (1/b_ki − 1/b_kj)(G_kii − G_kjj)        Y = Σ_k p_k (1/b_ki − 1/b_kj) 2 G_kij
#
# is least where (cos 2θ, sin 2θ) = −(X, Y) / √(X² + Y²). Then b_ki and b_kj are made the best again, of EVE with the
# product that they have. Q rises with each of these steps. A sweep turns each pair of axes. Within a pair the steps are
# repeated, since they cost little beside the turning of the K matrices. Before each sweep B_k is found anew from all
# axes. For one component this is Jacobi's method for eigenvectors.

# Most steps for a pair of axes, and the sine below which another one is not worth its while. With three steps EM takes
# as many iterations as with eight (iris and wine, K = 3, 20 starts), and each costs a third less.
cdef int STEPS_OF_PAIR = 3
cdef double NO_TURN = 1e-9

# As SETTLED, of an M-step where there is a next one. Fits take as many iterations as with four sweeps a step, in three
# quarters of the time (iris, K = 2 to 9). A step that turns the axes far takes more than one.
cdef double SETTLED_STEP = 1e-6

# The sine of a turn that rounding makes, of axes that are found anew from the covariances before.
cdef double ROUNDED_TURN = 1e-15

# The square of a correlation ε that is near enough to 0. Axes that are ε away cost Q no more than n ε², which is below
# its rounding, once a sweep has found what is to gain from there.
cdef double ROUNDED = 1e-18

# The share of a component that holds no row: below rounding of any other's.
cdef double NO_SHARE = 1e-300


cdef struct Axes:
    Py_ssize_t K, d
    bint equal_volume           # EVE: B_k has one determinant
    double *share               # (K,): p_k; 0 for singular M_k; below 0 where a variance along an axis is rounding
    double *axes                # D (d, d)
    double *turned              # G (K, d, d)
    double *spread              # B (K, d)
    double *plane               # (K, 3): G_ii, G_jj, G_ij of a pair


cdef void turn_matrices(Axes at, const double *matrices, double *row) noexcept nogil:
    """G_k := D M_k Dᵀ of regular M_k; `row` (d,) is overwritten"""
    cdef Py_ssize_t d = at.d, k, i, j, l
    cdef const double *a
    cdef double *g
    cdef double product
    for k in range(at.K):
        a, g = matrices + k * d * d, at.turned + k * d * d
        if at.share[k] == 0:
            continue
        for i in range(d):
            for j in range(d):
                row[j] = 0
            for l in range(d):
                for j in range(d):
                    row[j] += at.axes[i * d + l] * a[l * d + j]
            for j in range(i + 1):
                product = 0
                for l in range(d):
                    product += row[l] * at.axes[j * d + l]
                g[i * d + j] = g[j * d + i] = product


cdef void spread_along_axes(Axes at) noexcept nogil:
    """B_k := the best for the axes"""
    cdef Py_ssize_t d = at.d, k, j
    cdef double *b
    cdef double common = 0, factor
    for k in range(at.K):
        b = at.spread + k * d
        for j in range(d if at.share[k] != 0 else 0):
            b[j] = at.turned[k * d * d + j * (d + 1)]
            if not b[j] > 0:
                at.share[k] = min(at.share[k], -at.share[k])
        if at.share[k] > 0 and at.equal_volume:
            common += at.share[k] * geometric_mean_of(b, d, False, NULL)
    for k in range(at.K if at.equal_volume else 0):
        if at.share[k] > 0:
            b = at.spread + k * d
            factor = common / geometric_mean_of(b, d, False, NULL)
            for j in range(d):
                b[j] *= factor


cdef double turn_pair(Axes at, Py_ssize_t i, Py_ssize_t j) noexcept nogil:
    """Turn the axes i and j in their plane; how much Σ_k p_k tr(B_k⁻¹ G_k) fell by that with B_k as it was"""
    cdef Py_ssize_t d = at.d, k
    cdef double X, Y, h, c, s, cosine = 1, sine = 0, gain = 0, ratio, ii, jj, product
    cdef double *g
    cdef double *b
    cdef int step
    for k in range(at.K):
        g = at.turned + k * d * d
        if at.share[k] > 0:
            at.plane[3 * k], at.plane[3 * k + 1] = g[i * (d + 1)], g[j * (d + 1)]
            at.plane[3 * k + 2] = g[i * d + j]
    for step in range(STEPS_OF_PAIR):
        X = Y = 0
        for k in range(at.K):
            if at.share[k] > 0:
                g, b = at.plane + 3 * k, at.spread + k * d
                X += at.share[k] * ((g[0] - g[1]) / b[i] - (g[0] - g[1]) / b[j])
                Y += at.share[k] * (2 * (g[2] / b[i] - g[2] / b[j]))
        h = sqrt(X * X + Y * Y)
        if not (h > 0 and isfinite(h)) or (Y == 0 and X < 0):
            break
        # h + X, which cancels, and half of the angle whose cosine is −X / h and whose sine −Y / h
        gain += 0.5 * (Y * Y / (h - X) if X < 0 else h + X)
        if X <= 0:
            c = sqrt(0.5 * (1 - X / h))
            s = -Y / h / (2 * c)
        else:
            s = sqrt(0.5 * (1 + X / h))
            c = fabs(Y) / h / (2 * s)
            s = -s if Y > 0 else s
        cosine, sine = cosine * c - sine * s, sine * c + cosine * s
        for k in range(at.K):
            if not at.share[k] > 0:
                continue
            g, b = at.plane + 3 * k, at.spread + k * d
            ii = c * c * g[0] + 2 * c * s * g[2] + s * s * g[1]
            jj = c * c * g[1] - 2 * c * s * g[2] + s * s * g[0]
            g[2] = (c * c - s * s) * g[2] - c * s * (g[0] - g[1])
            g[0], g[1] = ii, jj
            if not (ii > 0 and jj > 0):
                continue
            if at.equal_volume:
                product = sqrt(b[i]) * sqrt(b[j])
                ratio = sqrt(ii / jj)
                b[i], b[j] = product * ratio, product / ratio
            else:
                b[i], b[j] = ii, jj
        if fabs(s) < NO_TURN:
            break
    if fabs(sine) > ROUNDED_TURN:
        for k in range(at.K):
            if at.share[k] != 0:
                rotate_both(at.turned + k * d * d, d, i, j, cosine, sine)
        rotate_rows(at.axes + i * d, at.axes + j * d, d, cosine, sine)
    return gain


cdef double turn_axes(Axes at, int most_sweeps, double settled) noexcept nogil:
    """Sweeps over all pairs of axes, until one gains no more than `settled`; what the last one gained

    Gains are nats per unit of weight.
    """
    cdef double gain = 0
    cdef Py_ssize_t i, j
    cdef int sweep
    for sweep in range(most_sweeps):
        gain = 0
        spread_along_axes(at)
        for i in range(at.d):
            for j in range(i + 1, at.d):
                gain += turn_pair(at, i, j)
        gain *= 0.5
        if not gain > settled:
            break
    return gain


cdef bint stand_along_axes(Axes at) noexcept nogil:
    """True if no G_k has an element beside the diagonal that counts"""
    cdef Py_ssize_t d = at.d, k, i, j
    cdef const double *g
    for k in range(at.K):
        g = at.turned + k * d * d
        if at.share[k] == 0:
            continue
        for i in range(d):
            for j in range(i):
                if not g[i * d + j] * g[i * d + j] <= ROUNDED * g[i * d + i] * g[j * d + j]:
                    return False
    return True


cdef void first_axes(Axes at, Search *search, const double *sigma, double *room) noexcept nogil:
    """D of the parameters before; else the eigenvectors of the pooled covariance. `room` (2 d² + d) is overwritten

    The covariances before have common axes but for rounding. A mean of them has the same, unless it is as wide along
    two of them; sweeps over these covariances tell such axes apart.
    """
    cdef Py_ssize_t d = at.d, k, i
    cdef const double *matrices = sigma if search.covariances == NULL else search.covariances
    cdef double *pooled = room
    cdef double trace
    cdef Axes before = at
    for i in range(d * d):
        pooled[i] = 0
    for k in range(at.K):
        trace = 1
        if search.covariances != NULL:
            trace = 0
            for i in range(d):
                trace += matrices[k * d * d + i * (d + 1)]
        if at.share[k] > 0 and trace > 0:
            for i in range(d * d):
                pooled[i] += at.share[k] * (matrices[k * d * d + i] / trace)
    find_eigenvectors(pooled, d, room + d * d, at.axes)
    if search.covariances != NULL:
        before.equal_volume = False
        turn_matrices(before, matrices, room)
        if not stand_along_axes(before):
            turn_axes(before, MOST_SWEEPS, SETTLED)


cdef void common_axes(
    Py_ssize_t K, Py_ssize_t d, const double *weight, bint equal_volume,    # IN
    Search *search, double *sigma,                                          # INOUT
) noexcept nogil:
    """VVE, and with equal volumes EVE; a component whose M_k is singular keeps it"""
    cdef Axes at
    cdef double *room = search.room
    cdef double total = 0
    cdef Py_ssize_t k
    at.K, at.d, at.equal_volume = K, d, equal_volume
    at.share, at.plane, at.spread, at.axes = room, room + K, room + 4 * K, room + 4 * K + K * d
    at.turned = at.axes + d * d
    room = at.turned + K * d * d        # (2 d² + d)
    search.gain = 0
    for k in range(K):
        at.share[k] = cholesky(sigma + k * d * d, d, room)
        total += weight[k]
    for k in range(K):
        # What holds no row turns no axis, but has a covariance along them.
        if at.share[k] > 0:
            at.share[k] = max(weight[k] / total, NO_SHARE)
    first_axes(at, search, sigma, room)
    turn_matrices(at, sigma, room)
    search.gain = turn_axes(at, search.most_sweeps, SETTLED if search.most_sweeps > MOST_SWEEPS else SETTLED_STEP)
    spread_along_axes(at)
    for k in range(K):
        if at.share[k] != 0:
            put_together(at.spread + k * d, 1, at.axes, d, sigma + k * d * d)
