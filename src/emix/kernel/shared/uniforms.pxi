# Uniform random numbers, each of which follows from a key and its place.

from libc.stdint cimport uint64_t


cdef inline uint64_t high_product(uint64_t a, uint64_t b) noexcept nogil:
    """The upper 64 bits of a · b, by halves"""
    cdef uint64_t low = 0xFFFFFFFF, middle, other
    middle = (a >> 32) * (b & low) + ((a & low) * (b & low) >> 32)
    other = (a & low) * (b >> 32) + (middle & low)
    return (a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32)


cdef void draw_uniforms(
    uint64_t seed, uint64_t restart, uint64_t stream, uint64_t first, uint64_t n,   # IN
    double *out,                                                                    # OUT: (n,)
) noexcept nogil:
    """out := n numbers of a stream, as in `uniforms` of random.pxi"""
    cdef uint64_t c0, c1, c2, c3, key0, key1, high0, high1, low0, low1
    cdef uint64_t four[4]
    cdef uint64_t number = first, last = first + n
    cdef int _
    while number < last:
        c0, c1, c2, c3 = number // 4 + 1, 0, 0, stream
        key0, key1 = seed, restart
        for _ in range(10):
            high0, low0 = high_product(<uint64_t> 0xD2E7470EE14C6C93, c0), <uint64_t> 0xD2E7470EE14C6C93 * c0
            high1, low1 = high_product(<uint64_t> 0xCA5A826395121157, c2), <uint64_t> 0xCA5A826395121157 * c2
            c0, c1, c2, c3 = high1 ^ c1 ^ key0, low1, high0 ^ c3 ^ key1, low0
            key0 += <uint64_t> 0x9E3779B97F4A7C15
            key1 += <uint64_t> 0xBB67AE8584CAA73B
        four[0], four[1], four[2], four[3] = c0, c1, c2, c3
        while True:
            out[number - first] = (four[number % 4] >> 11) * (1.0 / 9007199254740992.0)
            number += 1
            if number == last or number % 4 == 0:
                break
