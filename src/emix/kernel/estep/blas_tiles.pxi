# The two steps that take the time, in BLAS: the twins of density_tiles.pxi and sum_tiles.pxi.
#
# A block in lanes, (d, STRIDE) in C order, is a matrix of STRIDE × d in Fortran's, of which the first rows are in use.

from scipy.linalg.cython_blas cimport dsyrk, dtrmm, ssyrk, strmm

cdef enum:
    NARROW_TILES = 0    # no first look in single precision (screen.pxi): all log-densities go to BLAS


cdef void log_densities_triangular(
    Workspace *work, const real *x, const real *c, const real *w, const real *b,    # IN: w (d, d) lower triangular
    real constant, real limit, Py_ssize_t d, Py_ssize_t n_vectors,      # IN; every sum is complete here, limit or not
    real *p, real *best,                                                # OUT; INOUT
) noexcept nogil:
    """p = a_k − ½‖w (x − c) − b‖²"""
    cdef int rows = <int> (n_vectors * LANES), n_features = <int> d, stride = STRIDE, v
    cdef double one = 1
    cdef float one_single = 1
    cdef Py_ssize_t j, vector = 0
    cdef vec norm[4]
    cdef vec y
    center(x, c, d, n_vectors, work.whitened)
    # Z := Z Wᵀ; the lower triangle of W in C order is the upper triangle of Wᵀ in Fortran's
    if sizeof(real) == sizeof(double):
        dtrmm(b"R", b"U", b"N", b"N", &rows, &n_features, &one, <double *> w, &n_features,
              <double *> work.whitened, &stride)
    else:
        strmm(b"R", b"U", b"N", b"N", &rows, &n_features, &one_single, <float *> w, &n_features,
              <float *> work.whitened, &stride)
    # The last tile may go past the vectors that are asked for. Nothing reads the numbers there.
    while vector < n_vectors:
        for v in range(TILE_VECTORS):
            norm[v] = vec_of(0)
        for j in range(d):
            for v in range(TILE_VECTORS):
                y = (<vec *> (work.whitened + j * STRIDE))[vector + v] - b[j]
                norm[v] += y * y
        put_log_densities(TILE_VECTORS, norm, constant, vector, p, best)
        vector += TILE_VECTORS


cdef void moments_triangular(
    Workspace *work, const real *c, const real *r, Py_ssize_t d, Py_ssize_t n_vectors,  # IN; not kept: roots, rooted
    double *weight, double *shift, double *scatter,                                     # INOUT
) noexcept nogil:
    """N += Σ r;  s += Σ r (x − c);  S += Σ (√r (x − c)) (√r (x − c))ᵀ, its lower triangle"""
    cdef int rows = <int> (n_vectors * LANES), n_features = <int> d, stride = STRIDE
    cdef double one = 1
    cdef float one_single = 1, zero_single = 0
    cdef Py_ssize_t i, j
    cdef real *z
    cdef double sum
    for i in range(rows):
        weight[0] += r[i]
        work.roots[i] = <real> sqrt(r[i])
    for j in range(d):
        z = work.rooted + j * STRIDE
        sum = 0
        for i in range(rows):
            z[i] = work.roots[i] * (work.x[j * STRIDE + i] - c[j])
            sum += work.roots[i] * z[i]
        shift[j] += sum
    if sizeof(real) == sizeof(double):
        dsyrk(b"U", b"T", &n_features, &rows, &one, <double *> work.rooted, &stride, &one, scatter, &n_features)
        return
    ssyrk(b"U", b"T", &n_features, &rows, &one_single, <float *> work.rooted, &stride, &zero_single,
          <float *> work.product, &n_features)
    add_product(work, d, scatter)


cdef void scatter_rows(
    Workspace *work, Py_ssize_t n_rows, Py_ssize_t d,   # IN: packed; product: overwritten
    double *scatter,                                    # INOUT: (d, d)
) noexcept nogil:
    """scatter += Σ z zᵀ over packed rows, its lower triangle"""
    cdef int rows = <int> n_rows, n_features = <int> d
    cdef int width = <int> whole_vectors(d, LANES)
    cdef double one = 1
    cdef float one_single = 1, zero_single = 0
    if sizeof(real) == sizeof(double):
        dsyrk(b"U", b"N", &n_features, &rows, &one, <double *> work.packed, &width, &one, scatter, &n_features)
        return
    ssyrk(b"U", b"N", &n_features, &rows, &one_single, <float *> work.packed, &width, &zero_single,
          <float *> work.product, &n_features)
    add_product(work, d, scatter)


cdef void add_product(Workspace *work, Py_ssize_t d, double *scatter) noexcept nogil:
    """scatter += product, its lower triangle"""
    cdef Py_ssize_t i, j
    for i in range(d):
        for j in range(i + 1):
            scatter[i * d + j] += work.product[i * d + j]
