# Instruction-set levels that the processor can run.

cdef extern from "processor.h":
    int supports_v3()
    int supports_v4()


def supported_levels():
    """Names of the instruction-set levels that this processor runs, the best first."""
    levels = ["baseline"]
    if supports_v3():
        levels.insert(0, "v3")
    if supports_v4():
        levels.insert(0, "v4")
    return tuple(levels)
