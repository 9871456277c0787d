# Rows of the caller: the class Rows, and blocks of it.


cdef Block whole(const real[:, :] X, const double[:] sample_weight):
    """All rows of X as one block"""
    cdef Block block
    if X.shape[0] < 1 or X.shape[1] < 1:
        raise ValueError(f"X is {X.shape[0]} × {X.shape[1]}, expected one row and one feature at least")
    if sample_weight is not None and sample_weight.shape[0] != X.shape[0]:
        raise ValueError(f"{sample_weight.shape[0]} weights for {X.shape[0]} rows")
    block.rows = <const char *> &X[0, 0]
    block.row_stride = X.strides[0]
    block.feature_stride = X.strides[1]
    block.end = block.rows
    if block.row_stride >= 0 and block.feature_stride >= 0:
        block.end += (
            (X.shape[0] - 1) * block.row_stride + (X.shape[1] - 1) * block.feature_stride + <Py_ssize_t> sizeof(real))
    block.n_rows = X.shape[0]
    block.order = NULL
    block.weight = NULL
    block.weight_stride = 0
    if sample_weight is not None:
        block.weight = <const char *> &sample_weight[0]
        block.weight_stride = sample_weight.strides[0]
    return block


cdef Block part(Block *rows, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Rows [first, last) of a block, counted from its first"""
    cdef Block block = rows[0]
    block.rows += first * rows.row_stride
    if rows.weight != NULL:
        block.weight += first * rows.weight_stride
    block.n_rows = last - first
    return block


cdef class Rows:
    """Rows and their weights, for passes to read: a whole source, or a batch of it."""

    cdef Block block                            # all of them
    cdef Py_ssize_t first_row, n_features
    # Held for as long as there are pointers into them
    cdef const real[:, :] X
    cdef const double[:] sample_weight

    def __cinit__(self, const real[:, :] X not None, const double[:] sample_weight=None, Py_ssize_t first_row=0):
        """Take the rows, and a weight for each or None.

        `first_row`: the number of the first row in the whole source, a multiple of `super_block_rows`. Calls name rows
        by their numbers in the whole source.
        """
        self.block = whole(X, sample_weight)
        self.n_features = X.shape[1]
        check_multiple("first_row", first_row, super_block_rows(self.n_features))
        self.X, self.sample_weight, self.first_row = X, sample_weight, first_row


cdef int check_multiple(str name, Py_ssize_t row, Py_ssize_t super_block) except -1:
    """Refuse a row with which no super-block begins."""
    if row < 0 or row % super_block:
        raise ValueError(f"{name} is {row}, expected a multiple of super_block_rows, {super_block}")
    return 0


cdef int check_region(Py_ssize_t first, Py_ssize_t last, Py_ssize_t start, Py_ssize_t n) except -1:
    """Refuse rows [first, last) unless they are among the n rows from `start` on."""
    if not start <= first <= last <= start + n:
        raise ValueError(f"rows {first} to {last} are asked for, of the {n} from row {start} on")
    return 0


cdef Block block_of(Rows rows, Py_ssize_t start, Py_ssize_t last, Bounds *bounds, Py_ssize_t base) noexcept nogil:
    """Rows [start, last) of the whole source; with bounds, places [start, last) of their order, all in one window"""
    cdef Py_ssize_t first = start - rows.first_row, window = start // WINDOW * WINDOW
    cdef Block block
    if bounds == NULL:
        return part(&rows.block, first, first + last - start)
    first = window - rows.first_row
    block = part(&rows.block, first, first + last - start)
    block.order = bounds.order + start - base
    return block
