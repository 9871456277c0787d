# The E-step of a block: rows and parameters in, sums and log-likelihood out. The steps follow in files of their own.
#
# For row x and component k, with c_k the component's centre and W_k its whitening (Σ_k⁻¹ = W_kᵀ W_k, lower triangular):
#
#     z = x − c_k        y = W_k z − b_k,  b_k = W_k (μ_k − c_k)
#     log p_k = a_k − ½‖y‖²,  a_k = log π_k − d/2 · log 2π + Σ_j log W_k[j, j]
#     r_k = w · exp(log p_k − ℓ),  ℓ = log Σ_l exp log p_l
#     N_k += r_k        s_k += r_k z        S_k += r_k z zᵀ        log-likelihood += w ℓ
#
# c_k lies at the current mean, rounded to the precision of the data, so that z is exact where it matters and nothing
# cancels, however far the data lie from zero; or, for tied, diag and spherical, at one origin for all components that
# are near enough to it for that (origin.pxi).
#
# A block is SMALL_BLOCK or BLOCK rows, transposed once into lanes: feature j of all its rows lies along x[j · STRIDE],
# so that a vector holds one feature of LANES rows. Nothing of size n × K or n × d is ever written; the workspace
# (workspace.pxi) belongs to one thread.
#
# Threads: a pass holds no lock, allocates nothing in its loop and writes only to what its caller gave it alone.
# Super-block i is rows [S · i, S · (i + 1)) of the whole source, S as `super_block_rows` has it. It is added to slot
# i mod n_slots in order of i, whichever thread has that slot: sums do not depend on the number of threads.


cdef double add_block(
    Mixture *mixture, Block *block, Bounds *bounds, Workspace *work, double *slot
) noexcept nogil:
    """Add the sums and the log-likelihood of a block to a slot. How many responsibilities are above 0"""
    cdef Py_ssize_t n_vectors = load(block, mixture.n_features, work), a
    cdef double n_live = 0
    log_densities(mixture, block, bounds, work, n_vectors)
    exponentials(mixture, work, n_vectors)
    posterior(mixture, work, n_vectors)
    for a in range(work.n_active):
        n_live += work.live[work.active[a]]
    if bounds != NULL:
        mark_live(bounds, work)
    statistics(mixture, block, work, slot)
    slot[mixture.slot.log_likelihood] += log_likelihood(
        work, mixture.n_components, block.weight != NULL, block.n_rows, n_vectors)
    return n_live
