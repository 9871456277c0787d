# The structs that the steps of an E-step share: parameters, a block of rows, bounds, and the arrays of one thread.

from libc.math cimport INFINITY, exp, sqrt

cdef extern from "simd.h" nogil:
    cdef enum:
        BLOCK           # rows, at most
        SMALL_BLOCK     # rows, where features are few, or very many
        STRIDE          # numbers from one feature to the next


cdef struct Mixture:
    Form form                   # of the covariances
    Py_ssize_t n_components
    Py_ssize_t n_features
    SlotLayout slot             # places of the sums in a slot
    Py_ssize_t scatter_step     # from one component's to the next
    const real *center          # (K, d)
    const real *offset          # (K, d): W_k (μ_k − c_k)
    const real *whitening       # full (K, d, d), tied (d, d), diag (K, d), spherical (K,)
    const real *log_constant    # (K,): a_k
    const real *margin          # (K,): a component further than this below a row's best is left out of its sums
    const real *origin          # (d,): components with this centre are treated together (origin.pxi); NaN: none are
    const float *sketch         # [kept (K,) | 1 / √diag Σ (K, d) | W D (K, panels)], or NULL: see screen.pxi
    double cost_dense           # of a row in the sums of a matrix, cycles: among vectors of rows,
    double cost_packed          # or packed
    double packed_below         # diag, spherical: rows are packed where fewer than this share of them are live
    double cost_listed          # full: of a listed row's log-density, over one among all
    double packed_at_origin     # the same for components at the origin


cdef struct Block:
    const char *rows            # the first row, in the caller's memory
    Py_ssize_t row_stride       # bytes
    Py_ssize_t feature_stride   # bytes
    const char *end             # of memory that may be read from any row on; at its start where strides are negative
    const char *weight          # NULL for ones
    Py_ssize_t weight_stride    # bytes
    const unsigned short *order     # row i of the block is the caller's row order[i], counted from `rows`; NULL: row i
    Py_ssize_t n_rows


cdef struct Span:
    const char *first
    Py_ssize_t n_bytes


cdef struct Bounds:
    const unsigned short *order     # of rows, from the pass's base on
    float *all_near             # (groups, K): INOUT
    float *near                 # (K,): INOUT, the group's line of it
    const float *shrink         # (K,): at most σ_min(T)
    const float *moved          # (K,): at least ‖W′ (μ − μ′)‖
    Py_ssize_t n_computed       # INOUT: quarters of log-densities computed: 4 for a whole one, 1 for one begun


cdef struct Workspace:
    # The block
    real *x             # (d, STRIDE): its rows
    real *weight        # (STRIDE,): sample weights, 0 in rows that only fill the last vector
    Py_ssize_t n_used   # vectors with rows of the block; those up to a whole tile hold copies
    # Memory that is asked for while the block is computed
    Block ahead         # the next block, or those of its rows that were not asked for yet; n_rows 0 if there is none
    Span next_rows      # its memory
    Span output         # the caller's memory that will be written for this block
    # Log-densities and responsibilities
    real *p             # (K, STRIDE): log p_k, then exp(log p_k − best), then w r_k
    int *active         # (K,): the components whose log-densities were computed, in ascending order
    Py_ssize_t n_active
    real *best          # (STRIDE,): max_k log p_k
    real *total         # (STRIDE,): Σ_k exp(log p_k − best)
    real *scale         # (STRIDE,): weight / total
    real *log_sum       # (STRIDE,): ℓ
    word *label         # (STRIDE,): the best component
    real *whitened      # (d, STRIDE): W (x − c) of one component, for BLAS
    # Sums
    real *live          # (K,): the number of rows with a responsibility above 0
    int *live_rows      # (STRIDE,): their numbers, of one component
    real *centered      # (d, STRIDE): x − c of one component
    real *panel         # (4, STRIDE): w r (x − c) of four features, one component
    real *packed        # (live rows, d up to a whole vector): packed rows of one component
    real *roots         # (STRIDE,): √(w r) of rows
    real *packed_sums   # (2, d up to a whole vector): of packed rows, and of their squares
    real *rooted        # (d, STRIDE): √(w r) (x − c) of one component, for BLAS
    real *product       # (d, d): a scatter in single precision, for BLAS
    # Components about an origin (origin.pxi)
    int *at_origin      # (K,): is the component's centre the origin
    Py_ssize_t n_at_origin
    int *together       # (K,): those that are taken together
    real *target        # (K, d): b_k, or b_k / w_k
    real *from_origin   # (d, STRIDE): x − m
    real *u             # (d, STRIDE): tied: W (x − m)
    real *squares       # (d, STRIDE): of x − m
    real far_below      # a row whose best is no more than this may have log-densities that only overflowed
    # A first look (screen.pxi)
    bint screened       # is some component's sketch of use
    float *scaled       # (d, STRIDE): D⁻¹ (x − c) of one component
    real *at_least      # (STRIDE,): what the best log-density is at least
    int *possible       # (STRIDE,): rows in which a component may count: the listed ones
    real *listed_x      # (d, STRIDE)
    real *listed_p      # (STRIDE,): their log-densities
    real *listed_best   # (STRIDE,): overwritten
    # Bounds (bounds.pxi)
    int *measured       # (K,): was the component computed first
