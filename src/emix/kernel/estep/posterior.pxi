# From log-densities to responsibilities, by Bayes' theorem.


cdef void exponentials(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = exp(p[k] − best), and 0 below the component's margin or underflow;  total = Σ_k p[k]

    total ≥ 1, the best one's term, unless no component has a finite log-density: then it is 0.
    """
    cdef Py_ssize_t a, k, v
    cdef vec limit, term
    cdef vec *p
    for v in range(n_vectors):
        (<vec *> work.total)[v] = vec_of(0)
    for a in range(work.n_active):
        k = work.active[a]
        p = <vec *> (work.p + k * STRIDE)
        limit = vec_of(max(-mixture.margin[k], EXP_LOWEST))
        for v in range(n_vectors):
            term = vec_exp_above(p[v] - (<vec *> work.best)[v], limit)
            p[v] = term
            (<vec *> work.total)[v] += term


cdef void inverse_totals(Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """scale = weight / total, and 0 in a row without a finite log-density; call after `exponentials`"""
    cdef Py_ssize_t v
    cdef vec total
    for v in range(n_vectors):
        total = (<vec *> work.total)[v]
        (<vec *> work.scale)[v] = vec_select(
            vec_less(vec_of(0), total), (<vec *> work.weight)[v] / total, vec_of(0))


cdef void posterior(Mixture *mixture, Workspace *work, Py_ssize_t n_vectors) noexcept nogil:
    """p[k] = weight · p[k] / total: Bayes' theorem;  live[k], the rows in which it is not 0

    Call after `exponentials`. A row without a finite log-density has responsibility 0 for every component.
    """
    cdef Py_ssize_t a, k, v
    cdef vec count, one = vec_of(1), nothing = vec_of(0)
    cdef vec *p
    inverse_totals(work, n_vectors)
    for a in range(work.n_active):
        k = work.active[a]
        p = <vec *> (work.p + k * STRIDE)
        count = nothing
        for v in range(n_vectors):
            p[v] = p[v] * (<vec *> work.scale)[v]
            count += vec_select(vec_less(nothing, p[v]), one, nothing)
        work.live[k] = <real> vec_sum(count)


cdef void put_labels(Workspace *work, Py_ssize_t n_rows, unsigned short *labels) noexcept nogil:
    """labels := the component with the largest responsibility, the first of equals, or 0 where all are 0

    Call after `posterior`.
    """
    cdef real largest[BLOCK]
    cdef Py_ssize_t a, i
    cdef const real *p
    for i in range(n_rows):
        labels[i] = 0
        largest[i] = 0
    for a in range(work.n_active):
        p = work.p + work.active[a] * STRIDE
        for i in range(n_rows):
            if p[i] > largest[i]:
                largest[i] = p[i]
                labels[i] = <unsigned short> work.active[a]
