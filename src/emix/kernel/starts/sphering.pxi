# Rows whose columns are uncorrelated and of variance 1, whatever affine map made them.
#
# Gram-Schmidt over the columns: any such rows are a rotation of any others, and callers' costs do not see rotations.

# A column with this share of its variance left, or less, follows from those before it.
cdef double LEAST_LEFT = 1e-12

# Its own rounding, and that of the columns that it follows from, leaves so many times the square of one rounding.
cdef double ROUNDING_LEFT = 16


cdef double weighted_product(const double *w, const double *y, const double *z, Py_ssize_t n) noexcept nogil:
    """Σ w y z"""
    cdef double partial[PARTS]
    cdef Py_ssize_t i = 0, l
    for l in range(PARTS):
        partial[l] = 0
    while i + PARTS <= n:
        for l in range(PARTS):
            partial[l] += w[i + l] * y[i + l] * z[i + l]
        i += PARTS
    while i < n:
        partial[0] += w[i] * y[i] * z[i]
        i += 1
    for l in range(1, PARTS):
        partial[0] += partial[l]
    return partial[0]


cdef double rounding_share(
    const double *X, Py_ssize_t n, Py_ssize_t d, Py_ssize_t j, double eps,  # IN: (n, d)
    const double *z,                                                        # IN: column j, standardized
) noexcept nogil:
    """(eps max |x|)² of a column, as a share of its variance; 1 for a constant column"""
    cdef double low = X[j], high = X[j], least = z[0], most = z[0], share
    cdef Py_ssize_t i
    for i in range(n):
        low, high = min(low, X[i * d + j]), max(high, X[i * d + j])
        least, most = min(least, z[i]), max(most, z[i])
    if not high > low or not most > least:
        return 1
    # The standard deviation is the quotient of both ranges.
    share = eps * max(-low, high) * ((most - least) / (high - low))
    return min(share * share, 1)


cdef Py_ssize_t sphere_columns(
    const double *X, Py_ssize_t n, Py_ssize_t d, const double *weight, double eps,  # IN: (n, d), (n,)
    Py_ssize_t most,                                                                # IN
    double *Y, Py_ssize_t stride,                                                   # OUT: (d, n)
) noexcept nogil:
    """Steps of `sphere`"""
    cdef Py_ssize_t p = 0, i, j, k
    cdef double total = weighted_sum(weight, NULL, 0, n), rounding = 0, share, length
    cdef double *z
    cdef double *y
    standardize_columns(X, n, d, weight, Y, stride)
    for j in range(d):
        share = rounding_share(X, n, d, j, eps, Y + j * stride)
        if share < 1:
            rounding = max(rounding, share)
    for j in range(d):
        z, y = Y + j * stride, Y + p * stride
        if rounding_share(X, n, d, j, eps, z) >= 1:
            continue
        for k in range(p):
            share = weighted_product(weight, z, Y + k * stride, n) / total
            for i in range(n):
                z[i] -= share * Y[k * stride + i]
        length = weighted_product(weight, z, z, n) / total
        if length <= LEAST_LEFT + ROUNDING_LEFT * rounding:
            continue
        length = 1 / sqrt(length)
        for i in range(n):
            y[i] = z[i] * length
        p += 1
        if p > most:
            break
    return p


def sphere(
    const double[:, ::1] X, const double[::1] weight, double eps, Py_ssize_t most,  # IN: (n, d), (n,), rounding
    double[:, :] Y,                                                                 # OUT: (d, n)
    /,
):
    """Y := p columns with mean 0, variance 1 and no correlations, which span those of X; returns p

    Columns that are constant or follow from others, but for rounding, are left out. With p = most + 1 it ends, and Y is
    of no use.
    """
    cdef Py_ssize_t p
    check_columns(X, Y)
    check_length("weight", weight.shape[0], X.shape[0])
    with nogil:
        p = sphere_columns(
            &X[0, 0], X.shape[0], X.shape[1], &weight[0], eps, most, &Y[0, 0], Y.strides[0] // sizeof(double))
    return p
