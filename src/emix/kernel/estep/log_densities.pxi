# Log-densities of a block under all components: one component after the other, or by a shortcut.


cdef void log_densities(
    Mixture *mixture, Block *block, Bounds *bounds, Workspace *work, Py_ssize_t n_vectors
) noexcept nogil:
    """p[k] of all components, or with bounds of those that may count;  best = max_k p[k]

    best is the lowest finite number where every log-density is −inf.
    """
    cdef Py_ssize_t k, v, n_together = 0
    for v in range(n_vectors):
        (<vec *> work.best)[v] = vec_of(-REAL_MAX)
    if work.n_at_origin:
        move_to_origin(mixture, work, n_vectors)
    if bounds != NULL:
        log_densities_bounded(mixture, bounds, work, n_vectors)
        fetch_ahead(mixture, work, BLOCK)
        return
    if has_narrow() and work.screened:
        log_densities_screened(mixture, block, work, n_vectors)
        return
    for k in range(mixture.n_components):
        work.active[k] = <int> k
        if work.at_origin[k]:
            work.together[n_together] = <int> k
            n_together += 1
        else:
            log_density(mixture, k, <real> INFINITY, work, n_vectors)
        fetch(&work.next_rows, k, mixture.n_components)
        fetch(&work.output, k, mixture.n_components)
    if n_together:
        log_densities_at_origin(mixture, work.together, n_together, <real> INFINITY, work, n_vectors)
    work.n_active = mixture.n_components
