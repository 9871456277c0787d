# A lower triangular matrix in panels of four rows: columns side by side, as far as a panel's last row reaches.

cdef enum:
    PANEL = 4


cdef inline Py_ssize_t panels_size(Py_ssize_t n_features) noexcept nogil:
    """Numbers that it takes"""
    cdef Py_ssize_t n_panels = (n_features + PANEL - 1) // PANEL
    return PANEL * PANEL * n_panels * (n_panels + 1) // 2
