# Covariance structures: what compiled code calls them, and how many numbers each has.

cdef enum Structure:
    FULL, TIED, DIAG, SPHERICAL


cdef inline Py_ssize_t spread_step(int structure, Py_ssize_t d) noexcept nogil:
    """From one component's Σ, W or S to the next; 0 where they have one together"""
    return d * d if structure == FULL else 0 if structure == TIED else d if structure == DIAG else 1


cdef inline Py_ssize_t spread_size(int structure, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    """Numbers of Σ, W or S of all components"""
    return d * d if structure == TIED else K * spread_step(structure, d)


cdef int check_sizes(int structure, Py_ssize_t K, Py_ssize_t d) except -1:
    """There is such a structure, and at least one component and one feature: sizes that follow from them are right"""
    if not 0 <= structure <= <int> SPHERICAL:
        raise ValueError(f"structure has the code {structure}, expected 0 to {<int> SPHERICAL}")
    if K < 1 or d < 1:
        raise ValueError(f"there are {K} components and {d} features, expected 1 or more of each")
    return 0
