# Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations of pairs of columns (Golub and Van Loan,
# Matrix Computations, 4th ed., algorithm 8.5.3). LAPACK would have to be imported with SciPy, which takes 90 ms.
#
# Each rotation makes one element zero, and from some sweep on all others fall to the square of what they were: six to
# eight sweeps end below rounding. Eigenvalues are exact to rounding of the largest. An M-step takes a matrix for each
# component: K of 10 × 10 take as long as some hundred rows of the pass before.

# Sweeps until all elements beside the diagonal are below rounding. No matrix has been seen to need more than ten.
cdef int MOST_JACOBI_SWEEPS = 40

# Elements beside the diagonal below this share of the largest are as good as 0.
cdef double NO_ELEMENT = 1e-20


cdef inline void rotate_rows(double *x, double *y, Py_ssize_t d, double c, double s) noexcept nogil:
    """x, y := c x + s y, c y − s x"""
    cdef Py_ssize_t i
    cdef double a
    for i in range(d):
        a = x[i]
        x[i] = c * a + s * y[i]
        y[i] = c * y[i] - s * a


cdef inline void rotate_both(double *a, Py_ssize_t d, Py_ssize_t i, Py_ssize_t j, double c, double s) noexcept nogil:
    """`rotate_rows` of the rows i and j of a symmetric matrix, then of its columns, which are copies of the rows"""
    cdef double *x = a + i * d
    cdef double *y = a + j * d
    cdef double ii, ij, jj
    cdef Py_ssize_t l
    rotate_rows(x, y, d, c, s)
    ii = c * x[i] + s * x[j]
    ij = c * x[j] - s * x[i]
    jj = c * y[j] - s * y[i]
    for l in range(d):
        a[l * d + i], a[l * d + j] = x[l], y[l]
    x[i], x[j], y[i], y[j] = ii, ij, ij, jj


cdef double largest_of(const double *a, Py_ssize_t size) noexcept nogil:
    """The largest absolute value; 0 if a number is not finite"""
    cdef Py_ssize_t i
    cdef double largest = 0
    for i in range(size):
        if not isfinite(a[i]):
            return 0
        largest = max(largest, fabs(a[i]))
    return largest


cdef void find_eigenvectors(
    double *a, Py_ssize_t d,                # IN: symmetric, both triangles; overwritten
    double *values, double *vectors,        # OUT: (d,) in descending order; (d, d), one in each row
) noexcept nogil:
    """a = Σ_l values[l] vectors[l] vectors[l]ᵀ; of a matrix that is not finite the diagonal, and the columns' axes"""
    cdef double scale = largest_of(a, d * d), tangent, c, s, ratio
    cdef bint rotated = scale > 0
    cdef Py_ssize_t i, j, l, largest
    cdef int sweep = 0
    for i in range(d * d):
        vectors[i] = 0
    for i in range(d):
        vectors[i * (d + 1)] = 1
    # Squares of variances of 1e300 would overflow.
    for i in range(d * d if rotated else 0):
        a[i] /= scale
    while rotated and sweep < MOST_JACOBI_SWEEPS:
        rotated, sweep = False, sweep + 1
        for i in range(d):
            for j in range(i + 1, d):
                if fabs(a[i * d + j]) <= NO_ELEMENT:
                    continue
                rotated = True
                # The smaller root of t² + 2 r t − 1 = 0 with r = (a_ii − a_jj) / (2 a_ij): it has the sign of r.
                ratio = (a[i * (d + 1)] - a[j * (d + 1)]) / (2 * a[i * d + j])
                tangent = 1 / (fabs(ratio) + sqrt(1 + ratio * ratio))
                tangent = tangent if ratio >= 0 else -tangent
                c = 1 / sqrt(1 + tangent * tangent)
                s = tangent * c
                rotate_both(a, d, i, j, c, s)
                a[i * d + j] = a[j * d + i] = 0
                rotate_rows(vectors + i * d, vectors + j * d, d, c, s)
    for i in range(d):
        values[i] = scale * a[i * (d + 1)] if scale > 0 else a[i * (d + 1)]
    for i in range(d):
        largest = i
        for j in range(i + 1, d):
            if values[j] > values[largest]:
                largest = j
        if largest != i:
            values[i], values[largest] = values[largest], values[i]
            for l in range(d):
                vectors[i * d + l], vectors[largest * d + l] = vectors[largest * d + l], vectors[i * d + l]


cdef void put_together(
    const double *values, double factor, const double *vectors, Py_ssize_t d,   # IN
    double *a,                                                                  # OUT
) noexcept nogil:
    """a := factor · Σ_l values[l] vectors[l] vectors[l]ᵀ"""
    cdef Py_ssize_t l, i, j
    cdef double x
    cdef const double *v
    for i in range(d * d):
        a[i] = 0
    for l in range(d):
        v = vectors + l * d
        for i in range(d):
            x = factor * values[l] * v[i]
            for j in range(i + 1):
                a[i * d + j] += x * v[j]
    for i in range(d):
        for j in range(i):
            a[j * d + i] = a[i * d + j]


def eigenvectors(double[:, ::1] matrix, double[::1] values, double[:, ::1] vectors):
    """values, vectors := those of a symmetric matrix (d, d), which is overwritten; for tests"""
    cdef Py_ssize_t d = matrix.shape[0]
    check_shape("matrix", d, matrix.shape[1], d, max(d, 1))
    check_length("values", values.shape[0], d)
    check_shape("vectors", vectors.shape[0], vectors.shape[1], d, d)
    find_eigenvectors(&matrix[0, 0], d, &values[0], &vectors[0, 0])
