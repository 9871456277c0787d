/* Whether this processor runs code built for an x86-64 level; 0 where the compiler has no such levels. */
#ifndef EMIX_PROCESSOR_H
#define EMIX_PROCESSOR_H
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__) && !defined(_MSC_VER)
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 /* knows the levels by name */
static int supports_v3(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v3"); }
static int supports_v4(void) { __builtin_cpu_init(); return __builtin_cpu_supports("x86-64-v4"); }
#else /* the rest of each level comes with these on every processor that was ever made */
static int supports_v3(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
static int supports_v4(void)
{
    return supports_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#else
static int supports_v3(void) { return 0; }
static int supports_v4(void) { return 0; }
#endif
#endif
