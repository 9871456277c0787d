# Parameters for a first look in single precision: screen.pxi has what it is for, and the bound of its error.

cdef double UNIT = 2.0 ** -24       # half of single precision's epsilon

include "../shared/panels.pxi"


cdef double put_panels(
    const double *w, const double *deviations, Py_ssize_t d,    # IN: W and √diag Σ of one component
    float *inverse, float *panels,                              # OUT
) noexcept nogil:
    """inverse := 1 / √diag Σ, panels := W D;  Σ_j Σ[j, j] Σ⁻¹[j, j], infinite where single precision is too narrow"""
    cdef Py_ssize_t i, j, first, a
    cdef double value, inflation = 0
    cdef bint narrow = False
    for j in range(d):
        narrow = narrow or not 1e-30 < deviations[j] < 1e30
        inverse[j] = <float> (1 / deviations[j])
    for first in range(0, d, 4):
        for j in range(first + PANEL):
            for a in range(PANEL):
                i = first + a
                value = 0
                if j <= i < d:
                    value = w[i * d + j] / inverse[j]
                    inflation += value * value
                panels[a] = <float> value
            panels += PANEL
    return INFINITY if narrow else inflation


cdef double share_kept(double inflation, Py_ssize_t d) noexcept nogil:
    """The factor by which ‖y‖² may be less than its estimate; 0 if the estimate is too rough to be of use"""
    cdef double rounding = (d + 3) * UNIT / (1 - (d + 3) * UNIT)
    cdef double error = rounding * sqrt(d * inflation) * (1 + 1e-6)    # of W and Σ in double precision
    if not error < 1.0 / 64:
        return 0
    # The last for roundings in double precision (screen.pxi) and of the factor itself
    return (1 - error) * (1 - error) * (1 - rounding) * (1 - 1e-6)


cdef void put_sketch(
    Py_ssize_t K, Py_ssize_t d, const double *density, const double *offset, const double *margin,  # IN
    float *sketch,                                                                                  # OUT
) noexcept nogil:
    """sketch := [kept (K,) | 1 / √diag Σ (K, d) | W D (K, panels)]; a component about another centre has 0 kept"""
    cdef DensityLayout at = density_layout(FULL, K, d)
    cdef const double *w = density + at.whitening
    cdef const double *deviations = density + at.deviations
    cdef Py_ssize_t k, j
    cdef bint centred
    for k in range(K):
        centred = True
        for j in range(d):
            centred = centred and offset[k * d + j] == 0
        sketch[k] = 0
        if centred and margin[k] < INFINITY:
            sketch[k] = <float> share_kept(
                put_panels(
                    w + k * d * d, deviations + k * d, d,
                    sketch + K + k * d, sketch + K * (1 + d) + k * panels_size(d)),
                d)


def sketch_size(Py_ssize_t K, Py_ssize_t d):
    """Numbers of a sketch of K components"""
    return K * (1 + d + panels_size(d))
