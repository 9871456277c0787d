# Ward's agglomeration by a chain of nearest neighbours.
#
# Two clusters of masses m_a, m_b and means c_a, c_b are joined at the cost ‖c_a − c_b‖² / (1 / m_a + 1 / m_b): so much
# grows Σ w ‖z − c‖² over the rows about the means of their clusters. A chain goes from a cluster to its nearest one, to
# the nearest one of that, and so on; costs fall along it, and its last two are each other's nearest. They are joined at
# once, and the chain goes on from the one before. No merge makes a cluster come nearer to others than both of its parts
# were (the cost is reducible), so all merges are those of the greedy order. Costs are taken from means when they are
# asked for: O(n² d) operations, O(n d) memory.

cdef enum:
    MOST_WARD_ROWS = 4096   # a second at d = 100 with SSE2: the call does not look at signals


cdef Py_ssize_t nearest_cluster(
    const double *centers, Py_ssize_t stride, Py_ssize_t d, const double *inverse,  # IN: (d, n), 1 / mass or 0
    Py_ssize_t n, Py_ssize_t a, Py_ssize_t before,                                  # IN: −1: none
    double *cost,                                                                   # overwritten, (n,)
    double *least,                                                                  # OUT
) noexcept nogil:
    """The cluster that joins a at the least cost: of equals the one before, else the first. 1 / mass is 0 for none."""
    cdef Py_ssize_t i
    cdef double own = inverse[a]
    squared_distances(centers, stride, n, d, centers + a, stride, cost)
    for i in range(n):
        cost[i] = cost[i] / (own + inverse[i]) if inverse[i] > 0 else HUGE
    cost[a] = HUGE
    i = first_least(cost, n, least)
    return before if before >= 0 and cost[before] == least[0] else i


cdef Py_ssize_t close_ranks(
    double *centers, Py_ssize_t stride, Py_ssize_t d, Py_ssize_t n,     # INOUT: (d, n)
    double *mass, double *inverse, Py_ssize_t *first,                   # INOUT: (n,)
    Py_ssize_t *chain, Py_ssize_t n_chain,                              # INOUT
    Py_ssize_t *place,                                                  # overwritten, (n,)
) noexcept nogil:
    """Move clusters together, in their order, where places are empty; returns their number"""
    cdef Py_ssize_t found = 0, i, j
    for i in range(n):
        if inverse[i] > 0:
            for j in range(d):
                centers[j * stride + found] = centers[j * stride + i]
            mass[found], inverse[found], first[found] = mass[i], inverse[i], first[i]
            place[i] = found
            found += 1
    for i in range(n_chain):
        chain[i] = place[chain[i]]
    return found


cdef void chain_merges(
    double *centers, Py_ssize_t stride, Py_ssize_t d, Py_ssize_t n,                 # overwritten: rows at first, (d, n)
    double *mass, double *inverse, double *cost,                                    # overwritten, (n,)
    Py_ssize_t *first, Py_ssize_t *chain, Py_ssize_t *place,                        # overwritten, (n,)
    Py_ssize_t *kept, Py_ssize_t *joined, double *heights,                          # OUT: in the order of the chain
) noexcept nogil:
    """All merges; mass holds the rows' weights"""
    cdef Py_ssize_t n_places = n, n_left = n, n_chain = 0, done = 0, before, a, b, i, j
    cdef double least, share
    for i in range(n):
        inverse[i], first[i] = 1 / mass[i], i
    while done < n - 1:
        if 2 * n_left <= n_places:
            n_places = close_ranks(centers, stride, d, n_places, mass, inverse, first, chain, n_chain, place)
        if n_chain == 0:
            i = 0
            while not inverse[i] > 0:
                i += 1
            chain[0], n_chain = i, 1
        a = chain[n_chain - 1]
        before = chain[n_chain - 2] if n_chain > 1 else -1
        b = nearest_cluster(centers, stride, d, inverse, n_places, a, before, cost, &least)
        if b != before:
            chain[n_chain] = b
            n_chain += 1
            # Rounding may lead back to a cluster of the chain, which goes on from there.
            for i in range(n_chain - 1):
                if chain[i] == b:
                    n_chain = i + 1
                    break
            continue
        n_chain -= 2
        if b < a:
            a, b = b, a
        kept[done], joined[done], heights[done] = first[a], first[b], least
        done += 1
        n_left -= 1
        share = mass[b] / (mass[a] + mass[b])
        for j in range(d):
            centers[j * stride + a] += share * (centers[j * stride + b] - centers[j * stride + a])
        mass[a] += mass[b]
        inverse[a], inverse[b] = 1 / mass[a], 0


def ward(
    double[:, :] Z, double[::1] mass,                                           # overwritten: rows (d, n), weights
    double[:, ::1] work, Py_ssize_t[:, ::1] places,                             # overwritten: (2, n), (3, n)
    Py_ssize_t[::1] kept, Py_ssize_t[::1] joined, double[::1] heights,          # OUT: (n − 1,)
    /,
):
    """kept, joined, heights := Ward's merges in the order of the chain: a row of each cluster, growth of Σ w D²

    Weights are above 0.
    """
    cdef Py_ssize_t n = Z.shape[1]
    check_features(Z)
    check_number("the number of rows", n, 1, MOST_WARD_ROWS)
    check_length("mass", mass.shape[0], n)
    check_shape("work", work.shape[0], work.shape[1], 2, n)
    check_shape("places", places.shape[0], places.shape[1], 3, n)
    check_length("kept", kept.shape[0], n - 1)
    check_length("joined", joined.shape[0], n - 1)
    check_length("heights", heights.shape[0], n - 1)
    if n == 1:
        return
    with nogil:
        chain_merges(
            &Z[0, 0], Z.strides[0] // sizeof(double), Z.shape[0], n, &mass[0], &work[0, 0], &work[1, 0],
            &places[0, 0], &places[1, 0], &places[2, 0], &kept[0], &joined[0], &heights[0])
