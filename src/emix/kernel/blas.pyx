# The E-step with its two heavy steps in BLAS: the level for large d where no wide vectors are at hand, and a
# cross-check of the register tiles everywhere. All else is the same source as in kernel.pyx.
#
# A block in lanes, (d, STRIDE) in C order, is a matrix of STRIDE × d in Fortran's, of which the first rows are in use.

from libc.math cimport sqrt
from scipy.linalg.cython_blas cimport dsyrk, dtrmm, ssyrk, strmm

include "lanes.pxi"
include "block.pxi"
include "passes.pxi"


cdef void squared_norm_triangular(
    const real *w, const real *b, Py_ssize_t d, Py_ssize_t n_vectors,   # IN: w (d, d) lower triangular
    Workspace *work,                                                    # INOUT: z, overwritten by w z; OUT: norm
) noexcept nogil:
    """norm = ‖w z − b‖²"""
    cdef int rows = <int> (n_vectors * LANES), n_features = <int> d, stride = STRIDE
    cdef double one = 1
    cdef float one_single = 1
    cdef Py_ssize_t j, v
    cdef vec y
    # Z := Z Wᵀ; the lower triangle of W in C order is the upper triangle of Wᵀ in Fortran's
    if sizeof(real) == sizeof(double):
        dtrmm(b"R", b"U", b"N", b"N", &rows, &n_features, &one, <double *> w, &n_features,
              <double *> work.z, &stride)
    else:
        strmm(b"R", b"U", b"N", b"N", &rows, &n_features, &one_single, <float *> w, &n_features,
              <float *> work.z, &stride)
    for v in range(n_vectors):
        (<vec *> work.norm)[v] = vec_of(0)
    for j in range(d):
        for v in range(n_vectors):
            y = (<vec *> (work.z + j * STRIDE))[v] - b[j]
            (<vec *> work.norm)[v] += y * y


cdef void scatter_triangular(
    Workspace *work, const real *r, Py_ssize_t d, Py_ssize_t n_vectors,     # INOUT: z; rz and product are overwritten
    double *scatter,                                                        # INOUT: (d, d)
) noexcept nogil:
    """scatter += z diag(r) zᵀ = (√r z)(√r z)ᵀ, its lower triangle"""
    cdef int rows = <int> (n_vectors * LANES), n_features = <int> d, stride = STRIDE
    cdef double one = 1
    cdef float one_single = 1, zero_single = 0
    cdef Py_ssize_t i, j
    for j in range(d):
        for i in range(rows):
            work.rz[j * STRIDE + i] = <real> sqrt(r[i]) * work.z[j * STRIDE + i]
    if sizeof(real) == sizeof(double):
        dsyrk(b"U", b"T", &n_features, &rows, &one, <double *> work.rz, &stride, &one, scatter, &n_features)
        return
    ssyrk(b"U", b"T", &n_features, &rows, &one_single, <float *> work.rz, &stride, &zero_single,
          <float *> work.product, &n_features)
    for i in range(d):
        for j in range(i + 1):
            scatter[i * d + j] += work.product[i * d + j]
