# Eigenvalues and eigenvectors of a symmetric matrix: reflections make it tridiagonal, and the QL method with implicit
# shifts diagonal (Golub and Van Loan, Matrix Computations, 4th ed., sections 8.3.1 and 8.3.5; Dubrulle, Martin and
# Wilkinson 1968, Numerische Mathematik 12, 377-383). LAPACK would have to be imported with SciPy, which takes 90 ms.
#
# Eigenvalues are exact to rounding of the largest. That of a column that is 0 but for its diagonal is exact: such
# columns come first, and no reflection touches them. A constant column is one, whose variance is R alone.
#
# All takes some 9 d³ operations along rows. Jacobi's rotations, which are shorter to write, take 50 d³ or more: 16 ms
# in the place of 1.5 for ten matrices of 48 × 48.

# Steps for one eigenvalue. Two are usual, and more than ten have not been seen.
cdef int MOST_STEPS = 60

# An element beside the diagonal below this share of the largest one of the matrix is as good as 0.
cdef double NO_ELEMENT = 1e-18


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


cdef bint stands_alone(const double *a, Py_ssize_t d, Py_ssize_t j) noexcept nogil:
    """True if column j is 0 but for its diagonal"""
    cdef Py_ssize_t l
    for l in range(d):
        if l != j and a[j * d + l] != 0:
            return False
    return True


cdef void swap(double *a, Py_ssize_t d, Py_ssize_t i, Py_ssize_t j, double *vectors) noexcept nogil:
    """Swap the columns i and j of a, their rows, and these two vectors"""
    cdef Py_ssize_t l
    for l in range(d if i != j else 0):
        a[i * d + l], a[j * d + l] = a[j * d + l], a[i * d + l]
        vectors[i * d + l], vectors[j * d + l] = vectors[j * d + l], vectors[i * d + l]
    for l in range(d if i != j else 0):
        a[l * d + i], a[l * d + j] = a[l * d + j], a[l * d + i]


cdef void make_tridiagonal(double *a, Py_ssize_t d, double *row, double *vectors) noexcept nogil:
    """The diagonal of a, and the elements below it := those of T with a = Qᵀ T Q; vectors := Q vectors

    Q is a product of reflections 1 − β v vᵀ, each of which makes zeros of what stands in a row behind the element
    beside the diagonal. v takes the place of that row. `row` (d,) is overwritten.
    """
    cdef Py_ssize_t k, i, j
    cdef double tail, first, beta, half, x
    cdef double *v
    for k in range(d - 2):
        v, tail = a + k * d, 0
        first = v[k + 1]
        for j in range(k + 2, d):
            tail += v[j] * v[j]
        if tail == 0:
            continue
        x = sqrt(first * first + tail)
        x = -x if first > 0 else x              # of the other sign, so that first − x does not cancel
        v[k + 1] = first - x
        beta = 2 / (v[k + 1] * v[k + 1] + tail)
        # a := (1 − β v vᵀ) a (1 − β v vᵀ) = a − v wᵀ − w vᵀ with p = β a v and w = p − ½ β (pᵀ v) v
        for j in range(k + 1, d):
            row[j] = 0
        for i in range(k + 1, d):
            for j in range(k + 1, d):
                row[j] += beta * v[i] * a[i * d + j]
        half = 0
        for j in range(k + 1, d):
            half += 0.5 * beta * row[j] * v[j]
        for j in range(k + 1, d):
            row[j] -= half * v[j]
        for i in range(k + 1, d):
            for j in range(k + 1, d):
                a[i * d + j] = a[i * d + j] - v[i] * row[j] - row[i] * v[j]
        a[(k + 1) * d + k] = x
        for j in range(d):
            row[j] = 0
        for i in range(k + 1, d):
            for j in range(d):
                row[j] += beta * v[i] * vectors[i * d + j]
        for i in range(k + 1, d):
            for j in range(d):
                vectors[i * d + j] -= v[i] * row[j]


cdef void make_diagonal(double *diagonal, double *beside, Py_ssize_t d, double *vectors) noexcept nogil:
    """diagonal := eigenvalues of a tridiagonal matrix; `vectors` are turned with it. `beside` (d,) is overwritten"""
    cdef Py_ssize_t l, m, i
    cdef double shift, c, s, f, b, r, taken
    cdef int step
    beside[d - 1] = 0
    for l in range(d):
        for step in range(MOST_STEPS):
            m = l
            while m < d - 1 and fabs(beside[m]) > max(
                NO_ELEMENT, EPSILON * (fabs(diagonal[m]) + fabs(diagonal[m + 1]))
            ):
                m += 1
            if m == l:
                break
            # The eigenvalue of the first 2 × 2 that is nearer to its first element
            shift = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l])
            r = sqrt(shift * shift + 1)
            shift = diagonal[m] - diagonal[l] + beside[l] / (shift + (r if shift >= 0 else -r))
            c, s, taken, r = 1, 1, 0, 1
            i = m - 1
            while i >= l:
                f, b = s * beside[i], c * beside[i]
                r = sqrt(f * f + shift * shift)
                beside[i + 1] = r
                if r == 0:      # a part has come off
                    diagonal[i + 1] -= taken
                    beside[m] = 0
                    break
                s, c = f / r, shift / r
                shift = diagonal[i + 1] - taken
                r = (diagonal[i] - shift) * s + 2 * c * b
                taken = s * r
                diagonal[i + 1] = shift + taken
                shift = c * r - b
                rotate_rows(vectors + (i + 1) * d, vectors + i * d, d, c, s)
                r = 1
                i -= 1
            if r != 0:
                diagonal[l] -= taken
                beside[l] = shift
                beside[m] = 0


cdef void find_eigenvectors(
    double *a, Py_ssize_t d,                # IN: symmetric, both triangles; overwritten
    double *values, double *vectors,        # OUT: (d,) in descending order; (d, d), one in each row
) noexcept nogil:
    """a = Σ_l values[l] vectors[l] vectors[l]ᵀ; of a matrix that is not finite the diagonal, and the columns' axes"""
    cdef double scale = largest_of(a, d * d)
    cdef Py_ssize_t n_alone = 0, i, j, l, largest
    for i in range(d * d):
        vectors[i] = 0
    for i in range(d):
        vectors[i * (d + 1)] = 1
    # Squares of variances of 1e300 would overflow.
    for i in range(d * d if scale > 0 else 0):
        a[i] /= scale
    for j in range(d if scale > 0 else 0):
        if stands_alone(a, d, j):
            swap(a, d, n_alone, j, vectors)
            n_alone += 1
    if scale > 0:
        make_tridiagonal(a, d, values, vectors)
    for i in range(d):
        values[i] = a[i * (d + 1)]
    # Elements below the diagonal, side by side
    for i in range(d - 1):
        a[i] = a[(i + 1) * d + i]
    if scale > 0:
        make_diagonal(values, a, d, vectors)
    for i in range(d):
        values[i] *= scale if scale > 0 else 1
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
