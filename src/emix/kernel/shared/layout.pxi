# Layouts of packed arrays, by name. kernel/layout.py has the same offsets for Python, and a test compares the two.
#
# A covariance form says how Σ, W and S are stored: full K × d × d, tied d × d, diag K × d, spherical K numbers. Such an
# array, of any of the three, is called a spread. All arrays are C-contiguous. Arrays that belong together are one
# packed array, because asking for a buffer takes longer than the arithmetic of a small iteration:
#
#     slot        [N (K) | s (K, d) | S | log-likelihood]                   sums of one share of the rows
#     statistics  [N (K) | s (K, d) | S | c (K, d)]                         sums of all rows, and their centres
#     density     [log π (K) | μ (K, d) | W | log det W (K) | √diag Σ]      what an E-step evaluates
#     parameters  [π (K) | Σ | density]                                     what an M-step finds
#     arguments   [c (K, d) | b (K, d) | a (K) | margin (K) | W | m (d)]    what the kernel's loops read
#     sketch      [kept (K) | 1 / √diag Σ (K, d) | W D in panels]           what a first look reads (full)
#
# √diag Σ is (K, d) for full, (d,) for tied, and empty for forms without matrices, whose W says it.

cdef enum Form:
    FULL, TIED, DIAG, SPHERICAL


# A structure says what the M-step may fit (mstep/structures.pxi). The first four are numbered as their forms.
cdef enum Structure:
    VVV, EEE, VVI, VII, EEI, EII, VEI, EVI, VEE, EVE, VVE, EEV, VEV, EVV


cdef inline int form_of(int structure) noexcept nogil:
    """The form in which a structure's covariances are stored"""
    if structure <= VII:
        return structure
    if structure == EII:
        return <int> SPHERICAL
    return <int> DIAG if structure <= EVI else <int> FULL


cdef inline bint mixes_columns(int structure) noexcept nogil:
    """True if a variance is that of several columns"""
    return structure == VII or structure == EII or EVE <= structure <= VEV


cdef inline bint shares_a_part(int structure) noexcept nogil:
    """True if components share a part of their covariances, and not all of it (mstep/shared_parts.pxi)"""
    return structure >= VEI


cdef inline bint shares_eigenvalues(int structure) noexcept nogil:
    """True if the covariances of all components have the same eigenvalues"""
    return structure == EEE or structure == EEI or structure == EII or structure == EEV


cdef inline bint has_matrices(int form) noexcept nogil:
    return form == FULL or form == TIED


cdef inline Py_ssize_t spread_step(int form, Py_ssize_t d) noexcept nogil:
    """From one component's Σ, W or S to the next; 0 where all components share one"""
    if form == FULL:
        return d * d
    if form == TIED:
        return 0
    return d if form == DIAG else 1


cdef inline Py_ssize_t spread_size(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    """Numbers of Σ, W or S of all components"""
    return d * d if form == TIED else K * spread_step(form, d)


cdef inline Py_ssize_t deviations_step(int form, Py_ssize_t d) noexcept nogil:
    """From one component's √diag Σ to the next; 0 where there is one or none"""
    return d if form == FULL else 0


cdef inline Py_ssize_t deviations_size(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    """Numbers of √diag Σ of all components"""
    return d if form == TIED else K * deviations_step(form, d)


cdef struct SlotLayout:
    Py_ssize_t weight, shift, scatter, log_likelihood, size

cdef struct StatisticsLayout:
    Py_ssize_t weight, shift, scatter, center, size

cdef struct DensityLayout:
    Py_ssize_t log_weights, means, whitening, log_det, deviations, size

cdef struct ParametersLayout:
    Py_ssize_t weights, covariances, density, size

cdef struct ArgumentsLayout:
    Py_ssize_t center, offset, log_constant, margin, whitening, origin, size


cdef inline SlotLayout slot_layout(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    cdef SlotLayout at
    at.weight = 0
    at.shift = K
    at.scatter = at.shift + K * d
    at.log_likelihood = at.scatter + spread_size(form, K, d)
    at.size = at.log_likelihood + 1
    return at


cdef inline StatisticsLayout statistics_layout(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    cdef StatisticsLayout at
    at.weight = 0
    at.shift = K
    at.scatter = at.shift + K * d
    at.center = at.scatter + spread_size(form, K, d)
    at.size = at.center + K * d
    return at


cdef inline DensityLayout density_layout(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    cdef DensityLayout at
    at.log_weights = 0
    at.means = K
    at.whitening = at.means + K * d
    at.log_det = at.whitening + spread_size(form, K, d)
    at.deviations = at.log_det + K
    at.size = at.deviations + deviations_size(form, K, d)
    return at


cdef inline ParametersLayout parameters_layout(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    cdef ParametersLayout at
    at.weights = 0
    at.covariances = K
    at.density = at.covariances + spread_size(form, K, d)
    at.size = at.density + density_layout(form, K, d).size
    return at


cdef inline ArgumentsLayout arguments_layout(int form, Py_ssize_t K, Py_ssize_t d) noexcept nogil:
    cdef ArgumentsLayout at
    at.center = 0
    at.offset = K * d
    at.log_constant = at.offset + K * d
    at.margin = at.log_constant + K
    at.whitening = at.margin + K
    at.origin = at.whitening + spread_size(form, K, d)
    at.size = at.origin + d
    return at


cdef int check_sizes(int form, Py_ssize_t K, Py_ssize_t d) except -1:
    """Refuse a code of no form, and sizes below one; sizes of arrays follow from the three numbers"""
    if not 0 <= form <= <int> SPHERICAL:
        raise ValueError(f"the covariance form has the code {form}, expected 0 to {<int> SPHERICAL}")
    if K < 1 or d < 1:
        raise ValueError(f"there are {K} components and {d} features, expected 1 or more of each")
    return 0


cdef int check_structure(int structure, Py_ssize_t K, Py_ssize_t d) except -1:
    """Refuse a code of no structure, and sizes below one; the structure's form"""
    if not 0 <= structure <= <int> EVV:
        raise ValueError(f"the covariance structure has the code {structure}, expected 0 to {<int> EVV}")
    check_sizes(form_of(structure), K, d)
    return form_of(structure)
