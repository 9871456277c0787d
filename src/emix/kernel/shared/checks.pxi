# Argument checks. Without them a step could read or write past the end of an array.


cdef int check_length(str name, Py_ssize_t found, Py_ssize_t expected) except -1:
    if found != expected:
        raise ValueError(f"{name} has {found} numbers, expected {expected}")
    return 0


cdef int check_range(Py_ssize_t first, Py_ssize_t last, Py_ssize_t n, str name="rows") except -1:
    """Refuse [first, last) unless it lies within n."""
    if not 0 <= first <= last <= n:
        raise ValueError(f"{name} {first} to {last} are asked for, of {n}")
    return 0


cdef int check_at_least(str name, Py_ssize_t found, Py_ssize_t least) except -1:
    if found < least:
        raise ValueError(f"{name} has {found} numbers, expected {least} or more")
    return 0


cdef int check_shape(
    str name, Py_ssize_t n_lines, Py_ssize_t n_columns, Py_ssize_t lines_expected, Py_ssize_t columns_expected
) except -1:
    if n_lines != lines_expected or n_columns != columns_expected:
        raise ValueError(f"{name} is {n_lines} × {n_columns}, expected {lines_expected} × {columns_expected}")
    return 0
