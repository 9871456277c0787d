# A lower triangular matrix in panels of four rows. In a panel the columns lie one after the other, four numbers each,
# up to the diagonal of its last row.

cdef enum:
    PANEL = 4


cdef inline Py_ssize_t panels_size(Py_ssize_t n_features) noexcept nogil:
    """Numbers of such a matrix"""
    cdef Py_ssize_t n_panels = (n_features + PANEL - 1) // PANEL
    return PANEL * PANEL * n_panels * (n_panels + 1) // 2
