# Random numbers and keys, each of which follows from a seed and a place.
#
# Compiled for one instruction-set level: wider vectors make 64-bit products no faster. Nothing here allocates.

include "uniforms.pxi"

# Numbers for which Python's lock is kept, 10 µs: to get it back from another thread takes longer.
cdef Py_ssize_t FEW_UNIFORMS = 1000


def uniforms(uint64_t seed, uint64_t restart, uint64_t stream, uint64_t first, double[::1] out):
    """out := numbers first, first + 1, … in [0, 1) of a stream

    Philox 4x64-10 (Salmon and others, 2011, Parallel random numbers: as easy as 1, 2, 3, SC11) with the key (seed,
    restart), equal to numpy.random.Generator(numpy.random.Philox(key=[seed, restart], counter=[0, 0, 0, stream])).
    """
    if out.shape[0] > FEW_UNIFORMS:
        with nogil:
            draw_uniforms(seed, restart, stream, first, out.shape[0], &out[0])
    elif out.shape[0] > 0:
        draw_uniforms(seed, restart, stream, first, out.shape[0], &out[0])


cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    """The finalizer of SplitMix64 (Steele, Lea and Flood, 2014, OOPSLA)"""
    z = (z ^ (z >> 30)) * <uint64_t> 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t> 0x94D049BB133111EB
    return z ^ (z >> 31)


def rows_with_small_keys(
    Py_ssize_t first_row, Py_ssize_t last_row, uint64_t seed, uint64_t highest,     # IN
    const double[::1] sample_weight,                                                # IN: (n,) or None
    Py_ssize_t[::1] rows, uint64_t[::1] keys,                                       # OUT
):
    """List the rows in [first_row, last_row), of weight above 0, whose keys are no larger than `highest`.

    A row's key is SplitMix64 of the row, started where the seed says. It is a bijection of 64-bit words, so no two rows
    have the same key. Returns the number of rows listed; `rows` and `keys` have room for all rows of the range.
    """
    cdef Py_ssize_t i, count = 0
    cdef uint64_t start = mixed(seed), key
    if not 0 <= first_row <= last_row or min(rows.shape[0], keys.shape[0]) < last_row - first_row:
        raise ValueError(
            f"rows {first_row} to {last_row} do not fit into {rows.shape[0]} numbers with {keys.shape[0]} keys")
    if sample_weight is not None and sample_weight.shape[0] < last_row:
        raise ValueError(f"{sample_weight.shape[0]} weights for rows up to {last_row}")
    with nogil:
        for i in range(first_row, last_row):
            key = mixed(<uint64_t> (i + 1) * <uint64_t> 0x9E3779B97F4A7C15 + start)
            rows[count] = i
            keys[count] = key
            # Without a branch, which the processor could not predict: the keys are random.
            count += key <= highest and (sample_weight is None or sample_weight[i] > 0)
    return count
