# Lanes: the vector type and the elementary functions on it. A `vec` holds one number of LANES rows.

cdef extern from "simd.h" nogil:
    ctypedef double real
    ctypedef double vec
    ctypedef float narrow_vec
    ctypedef long long word
    ctypedef long long wordvec
    const int LANES
    const int NARROW_LANES
    const int TILE_VECTORS
    const int EXP_TERMS
    const int LOG_TERMS
    const int MANTISSA_BITS
    const int EXPONENT_BIAS
    const real ROUNDER
    const real EXP_LOWEST
    const real LOG2_HIGH
    const real LOG2_LOW
    const real REAL_MAX
    const real *EXP_COEFFICIENTS      # EXP_TERMS of them
    const real *LOG_COEFFICIENTS      # LOG_TERMS of them
    int load_flag(const int *flag) noexcept
    void prefetch(const char *p) noexcept
    vec vec_of(real a) noexcept
    double vec_sum(vec a) noexcept
    bint all_set(wordvec mask) noexcept
    void add_lanes(double *sum, vec a) noexcept
    void add_four_sums(double *sums, vec a, vec b, vec c, vec e) noexcept
    int list_rows(int *list, wordvec mask, int first) noexcept
    narrow_vec narrow_of(float a) noexcept
    void put_narrow(float *at, vec a) noexcept
    vec widened(const float *from_) noexcept
    real square_root(real a) noexcept
    void transpose_four(
        const char *row_a, const char *row_b, const char *row_c, const char *row_e, real *x, long long step) noexcept
    vec load_unaligned(const real *first) noexcept
    wordvec word_bits(vec a) noexcept
    vec real_bits(wordvec a) noexcept
    wordvec vec_less(vec a, vec b) noexcept
    vec vec_select(wordvec mask, vec a, vec b) noexcept
    vec vec_scale(vec a, vec rounded) noexcept

cdef inline vec vec_exp_above(vec a, vec limit) noexcept nogil:
    """exp(a) for limit < a ≤ 0, to 1 ulp or so: 2^n · exp(f), f = a − n log 2; 0 for a ≤ limit and for NaN.

    limit ≥ EXP_LOWEST: below it the result is meaningless, and not used.
    """
    cdef vec rounded = a * <real> 1.4426950408889634 + ROUNDER
    cdef vec n = rounded - ROUNDER
    cdef vec f = (a - n * LOG2_HIGH) - n * LOG2_LOW
    cdef vec p = vec_of(EXP_COEFFICIENTS[EXP_TERMS - 1])
    cdef int k
    for k in range(EXP_TERMS - 2, -1, -1):
        p = p * f + EXP_COEFFICIENTS[k]
    return vec_select(vec_less(limit, a), vec_scale(p, rounded), vec_of(0))


cdef inline vec vec_log(vec a) noexcept nogil:
    """log(a) for normal a > 0: n log 2 + 2 artanh(t), t = (f − 1)/(f + 1) with f in [√½, √2), where t² ≤ 0.0295."""
    cdef wordvec bits = word_bits(a)
    cdef wordvec exponent = (bits >> MANTISSA_BITS) - EXPONENT_BIAS
    cdef vec n = real_bits(exponent + word_bits(vec_of(ROUNDER))) - ROUNDER
    cdef vec f = real_bits(bits - (exponent << MANTISSA_BITS))
    cdef wordvec large = vec_less(vec_of(<real> 1.4142135623730951), f)
    f = vec_select(large, f * <real> 0.5, f)
    n = vec_select(large, n + <real> 1, n)
    cdef vec t = (f - <real> 1) / (f + <real> 1)
    cdef vec u = t * t
    cdef vec series = vec_of(LOG_COEFFICIENTS[LOG_TERMS - 1])
    cdef int k
    for k in range(LOG_TERMS - 2, -1, -1):
        series = series * u + LOG_COEFFICIENTS[k]
    return n * LOG2_HIGH + (n * LOG2_LOW + (t + t) * series)


cdef inline vec vec_max(vec a, vec b) noexcept nogil:
    """The larger of a and b; a where either is NaN."""
    return vec_select(vec_less(a, b), b, a)


cdef inline double vec_sum_double(vec a) noexcept nogil:
    """Sum of the lanes, each widened to double precision first"""
    cdef double sum = 0
    cdef int i
    for i in range(LANES):
        sum += <double> (<real *> &a)[i]
    return sum


cdef inline Py_ssize_t whole_vectors(Py_ssize_t n, Py_ssize_t n_lanes) noexcept nogil:
    """n numbers up to a whole vector"""
    return (n + n_lanes - 1) // n_lanes * n_lanes
