# The parameters, as Python hands them over.


cdef Mixture describe(
    int structure, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
    Py_ssize_t n_rows=SMALL_BLOCK, bint packing=True,
):
    """The parameters in C, from one array [c (K, d) | b (K, d) | a (K,) | margin (K,) | W | m (d,)] of that length

    `n_rows`: of a block; `packing`: False sets the limits so that no row is packed
    """
    check_sizes(structure, n_components, n_features)
    cdef Mixture mixture
    cdef Py_ssize_t K = n_components, d = n_features
    mixture.sketch = NULL
    mixture.structure = <Structure> structure
    mixture.n_components = K
    mixture.n_features = d
    mixture.scatter_size = spread_size(structure, K, d)
    mixture.scatter_step = spread_step(structure, d)
    if arguments.shape[0] != 2 * K * (d + 1) + mixture.scatter_size + d:
        raise ValueError(f"{arguments.shape[0]} numbers are not the parameters of {K} components in {d} dimensions")
    mixture.center = &arguments[0]
    mixture.offset = mixture.center + K * d
    mixture.log_constant = mixture.offset + K * d
    mixture.margin = mixture.log_constant + K
    mixture.whitening = mixture.margin + K
    mixture.origin = mixture.whitening + mixture.scatter_size
    set_costs(&mixture, n_rows, packing)
    return mixture
