/* The vector type of the kernel: LANES numbers of one precision, and the few operations on it that Cython
   has no operator for. Cython is told `ctypedef double vec`, so that a = a + w * z in the source is one fused
   multiply-add on a whole vector. Built once per instruction-set level; without vector extensions a vec is a number. */
#ifndef EMIX_SIMD_H
#define EMIX_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifdef EMIX_SINGLE
typedef float real;
typedef int32_t word;
typedef uint32_t unsigned_word;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define ROUNDER 12582912.0f         /* 1.5 * 2^23: adding it rounds to an integer, kept in the low bits */
#define EXP_LOWEST -87.0f           /* exp is taken as 0 below: 2^-126 is the smallest normal number */
#define LOG2_HIGH 0.693359375f      /* log 2 = high + low, n * high exact for |n| < 2^13 */
#define LOG2_LOW -2.12194440e-4f
#define EXP_TERMS 7
#define LOG_TERMS 5                 /* 0.0295^5 / 11 = 2e-9 */
#define REAL_MAX 3.402823466e38f
#define BLOCK 512
#define SMALL_BLOCK 512             /* measured against 256: 5 to 7 % faster, with half of the sums over lanes */
#else
typedef double real;
typedef int64_t word;
typedef uint64_t unsigned_word;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define ROUNDER 6755399441055744.0  /* 1.5 * 2^52 */
#define EXP_LOWEST -708.0
#define LOG2_HIGH 0.693147180369123816490   /* fdlibm's split: n * high exact for |n| < 2^20 */
#define LOG2_LOW 1.90821492927058770002e-10
#define EXP_TERMS 12
#define LOG_TERMS 11                /* 0.0295^11 / 23 = 7e-19 */
#define REAL_MAX 1.7976931348623157e308
#define BLOCK 1024
#define SMALL_BLOCK 256             /* measured: 128 to 512 are alike for d <= 16 */
#endif

#define STRIDE (BLOCK + 16)         /* not a power of two: features so far apart would share two sets of the L1 cache */

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_VECTORS 4              /* 32 registers hold a tile of 4 x 4 accumulators and its operands */
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_VECTORS 2              /* 16 registers: 4 x 2 */
#else
#define VECTOR_BYTES 16
#define TILE_VECTORS 2
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LANES (VECTOR_BYTES / (int)sizeof(real))
typedef real vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef word wordvec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef unsigned_word unsigned_wordvec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef double widevec __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
static inline vec vec_of(real a) { return a - (vec){0}; }
/* Sum of the lanes, in pairs: (0 + half) + (quarter + …). By halves that are vectors themselves: of a loop over 16 lanes
   no compiler makes them, and through memory a sum takes twice as long. */
typedef real half_vec __attribute__((vector_size(VECTOR_BYTES / 2), may_alias));
#define HALVES(type, a) (((type *)&a)[0] + ((type *)&a)[1])
#if VECTOR_BYTES == 16 && !defined(EMIX_SINGLE)
static inline double vec_sum(vec a) { return a[0] + a[1]; }
#else
#define FOURS
/* Four numbers side by side, wherever they lie: a vector, or what is left of one after halving */
typedef real four __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
typedef double four_doubles __attribute__((vector_size(4 * sizeof(double)), aligned(8), may_alias));
static inline four fold(vec a)
{
#if VECTOR_BYTES == 64 && defined(EMIX_SINGLE)
    half_vec half = HALVES(half_vec, a);
    return HALVES(four, half);
#elif VECTOR_BYTES == 64 || (VECTOR_BYTES == 32 && defined(EMIX_SINGLE))
    return HALVES(four, a);
#else
    return *(four *)&a;
#endif
}
static inline double vec_sum(vec a)
{
    four sums = fold(a);
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}
#endif
/* Are all lanes of a mask set? */
typedef word half_mask __attribute__((vector_size(VECTOR_BYTES / 2), may_alias));
typedef int64_t pair_of_words __attribute__((vector_size(16), may_alias));
static inline int all_set(wordvec mask)
{
#if VECTOR_BYTES == 64
    half_mask half = ((half_mask *)&mask)[0] & ((half_mask *)&mask)[1];
    pair_of_words last = ((pair_of_words *)&half)[0] & ((pair_of_words *)&half)[1];
#elif VECTOR_BYTES == 32
    pair_of_words last = ((pair_of_words *)&mask)[0] & ((pair_of_words *)&mask)[1];
#else
    pair_of_words last = (pair_of_words)mask;
#endif
    return (last[0] & last[1]) == -1;
}
/* sum[l] += a[l], in double precision, wherever sum lies */
static inline void add_lanes(double *sum, vec a) { *(widevec *)sum += __builtin_convertvector(a, widevec); }
static inline wordvec vec_less(vec a, vec b) { return (wordvec)(a < b); }
#else
#define LANES 1
typedef real vec;
typedef word wordvec;
typedef unsigned_word unsigned_wordvec;
static inline vec vec_of(real a) { return a; }
static inline double vec_sum(vec a) { return a; }
static inline int all_set(wordvec mask) { return mask == -1; }
static inline void add_lanes(double *sum, vec a) { *sum += a; }
static inline wordvec vec_less(vec a, vec b) { return -(word)(a < b); }
#endif
/* sums[0] += the sum of a's lanes, sums[1] += b's, …: the bits of vec_sum, in half as many steps; and: four rows of four
   features, wherever they lie, of which feature j goes to x[j · step] */
#ifdef FOURS
#ifdef __clang__
#define SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef word four_words __attribute__((vector_size(4 * sizeof(real)), may_alias));
#define SHUFFLE(a, b, i, j, k, l) (four)__builtin_shuffle(a, b, (four_words){i, j, k, l})
#endif
static inline void add_four_sums(double *sums, vec a, vec b, vec c, vec e)
{
    four p = fold(a), q = fold(b), r = fold(c), s = fold(e);
    p = SHUFFLE(p, q, 0, 1, 4, 5) + SHUFFLE(p, q, 2, 3, 6, 7);
    r = SHUFFLE(r, s, 0, 1, 4, 5) + SHUFFLE(r, s, 2, 3, 6, 7);
    p = SHUFFLE(p, r, 0, 2, 4, 6) + SHUFFLE(p, r, 1, 3, 5, 7);
    *(four_doubles *)sums += __builtin_convertvector(p, four_doubles);
}
static inline void transpose_four(
    const char *row_a, const char *row_b, const char *row_c, const char *row_e, real *x, long long step)
{
    four a = *(four *)row_a, b = *(four *)row_b, c = *(four *)row_c, e = *(four *)row_e;
    four p = SHUFFLE(a, b, 0, 4, 2, 6), q = SHUFFLE(a, b, 1, 5, 3, 7);
    four r = SHUFFLE(c, e, 0, 4, 2, 6), s = SHUFFLE(c, e, 1, 5, 3, 7);
    *(four *)x = SHUFFLE(p, r, 0, 1, 4, 5);
    *(four *)(x + step) = SHUFFLE(q, s, 0, 1, 4, 5);
    *(four *)(x + 2 * step) = SHUFFLE(p, r, 2, 3, 6, 7);
    *(four *)(x + 3 * step) = SHUFFLE(q, s, 2, 3, 6, 7);
}
#else
static inline void add_four_sums(double *sums, vec a, vec b, vec c, vec e)
{
    sums[0] += vec_sum(a), sums[1] += vec_sum(b), sums[2] += vec_sum(c), sums[3] += vec_sum(e);
}
static inline void transpose_four(
    const char *row_a, const char *row_b, const char *row_c, const char *row_e, real *x, long long step)
{
    for (int j = 0; j < 4; j++) {
        x[j * step] = ((const real *)row_a)[j], x[j * step + 1] = ((const real *)row_b)[j];
        x[j * step + 2] = ((const real *)row_c)[j], x[j * step + 3] = ((const real *)row_e)[j];
    }
}
#endif
/* Vectors of single precision, also where `real` is double: NARROW_LANES numbers. Half of one, or all, from a vec, and
   the way back */
#if defined(__GNUC__) || defined(__clang__)
typedef float narrow_vec __attribute__((vector_size(VECTOR_BYTES), may_alias));
typedef float narrowed __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define NARROW_LANES (VECTOR_BYTES / 4)
static inline narrow_vec narrow_of(float a) { return a - (narrow_vec){0}; }
static inline void put_narrow(float *at, vec a) { *(narrowed *)at = __builtin_convertvector(a, narrowed); }
static inline vec widened(const float *a) { return __builtin_convertvector(*(narrowed *)a, vec); }
#else
typedef float narrow_vec;
#define NARROW_LANES 1
static inline narrow_vec narrow_of(float a) { return a; }
static inline void put_narrow(float *at, vec a) { *at = (float)a; }
static inline vec widened(const float *a) { return *a; }
#endif
/* list := numbers of the rows whose lane of a mask is set, from `first` on; how many. Some of what lies behind is
   overwritten, LANES numbers at most. Intrinsics, as no operator of a vector type moves lanes by a mask: one row after
   the other, two lists of a block's rows took 2 % of an iteration at d = 32. */
#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
static inline int list_rows(int *list, wordvec mask, int first)
{
#ifdef EMIX_SINGLE
    __mmask16 chosen = _mm512_movepi32_mask((__m512i)mask);
    __m512i rows = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    rows = _mm512_add_epi32(rows, _mm512_set1_epi32(first));
    _mm512_storeu_si512(list, _mm512_maskz_compress_epi32(chosen, rows));
#else
    __mmask8 chosen = _mm512_movepi64_mask((__m512i)mask);
    __m256i rows = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
    _mm256_storeu_si256((__m256i *)list, _mm256_maskz_compress_epi32(chosen, rows));
#endif
    return __builtin_popcount(chosen);
}
#else
static inline int list_rows(int *list, wordvec mask, int first)
{
    int n = 0;
    for (int l = 0; l < LANES; l++) {
        list[n] = first + l;
        n -= (int)((word *)&mask)[l];
    }
    return n;
}
#endif
#ifdef EMIX_SINGLE
static inline real square_root(real a) { return sqrtf(a); }
#else
static inline real square_root(real a) { return sqrt(a); }
#endif
static inline vec load_unaligned(const real *p) { vec v; memcpy(&v, p, sizeof v); return v; }
static inline wordvec word_bits(vec v) { wordvec w; memcpy(&w, &v, sizeof v); return w; }
static inline vec real_bits(wordvec w) { vec v; memcpy(&v, &w, sizeof w); return v; }
/* exp(f) for |f| <= log(2)/2 as 1 + f + f^2 q(f), q by Remez's algorithm (60 digits) for the least relative error, then
   rounded: within 1.2e-17, in single precision 3.9e-9, a tenth of half a rounding unit. Taylor's polynomial needs two
   more terms for as much, in single precision one. */
static const real EXP_COEFFICIENTS[EXP_TERMS] = {
#ifdef EMIX_SINGLE
    1, 1, 4.9999994e-01f, 1.6666521e-01f, 4.166839e-02f, 8.36871e-03f, 1.3814613e-03f};
#else
    1, 1, 5.000000000000011e-01, 1.6666666666666413e-01, 4.1666666666530267e-02, 8.333333333494335e-03,
    1.3888888943597998e-03, 1.9841269506777747e-04, 2.4801493135841673e-05, 2.755758626743288e-06,
    2.7630234052893854e-07, 2.5000072190215835e-08};
#endif
/* artanh(t) / t = sum of t^(2k) / (2k + 1) */
static const real LOG_COEFFICIENTS[11] = {
    1, (real)(1.0 / 3), (real)(1.0 / 5), (real)(1.0 / 7), (real)(1.0 / 9), (real)(1.0 / 11), (real)(1.0 / 13),
    (real)(1.0 / 15), (real)(1.0 / 17), (real)(1.0 / 19), (real)(1.0 / 21)};

/* A flag that another thread may set meanwhile; and: ask for the cache line at p, for the second-level cache, where p
   need not be memory of ours */
#if defined(__GNUC__) || defined(__clang__)
static inline void prefetch(const char *p) { __builtin_prefetch(p, 0, 2); }
static inline int load_flag(const int *flag) { return __atomic_load_n(flag, __ATOMIC_RELAXED); }
#else
static inline int load_flag(const int *flag) { return *(const volatile int *)flag; }
static inline void prefetch(const char *p) { (void)p; }
#endif
/* mask ? a : b, lane by lane; a mask is all ones or all zeros */
static inline vec vec_select(wordvec mask, vec a, vec b)
{
    return real_bits((mask & word_bits(a)) | (~mask & word_bits(b)));
}
/* a * 2^n, with n in the low bits of `rounded` = n + ROUNDER; unsigned, because a lane that is not used may wrap around */
static inline vec vec_scale(vec a, vec rounded)
{
    unsigned_wordvec n = (unsigned_wordvec)word_bits(rounded);
    return real_bits((wordvec)((unsigned_wordvec)word_bits(a) + (n << MANTISSA_BITS)));
}
#endif
