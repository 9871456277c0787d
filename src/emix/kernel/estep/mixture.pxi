# From the array of arguments that Python passes to a Mixture: pointers to the parameters, and costs.


cdef Mixture describe(
    int form, Py_ssize_t n_components, Py_ssize_t n_features, const real[::1] arguments,
    Py_ssize_t n_rows=SMALL_BLOCK, bint packing=True,
):
    """Point into the arguments, [c (K, d) | b (K, d) | a (K,) | margin (K,) | W | m (d,)], and set costs and limits.

    `n_rows`: rows of a block; `packing`: False sets the limits so that no row is packed.
    """
    check_sizes(form, n_components, n_features)
    cdef Mixture mixture
    cdef Py_ssize_t K = n_components, d = n_features
    cdef ArgumentsLayout at = arguments_layout(form, K, d)
    mixture.sketch = NULL
    mixture.form = <Form> form
    mixture.n_components = K
    mixture.n_features = d
    mixture.slot = slot_layout(form, K, d)
    mixture.scatter_step = spread_step(form, d)
    if arguments.shape[0] != at.size:
        raise ValueError(f"{arguments.shape[0]} numbers are not the parameters of {K} components in {d} dimensions")
    mixture.center = &arguments[at.center]
    mixture.offset = &arguments[at.offset]
    mixture.log_constant = &arguments[at.log_constant]
    mixture.margin = &arguments[at.margin]
    mixture.whitening = &arguments[at.whitening]
    mixture.origin = &arguments[at.origin]
    set_costs(&mixture, n_rows, packing)
    return mixture
