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
    const double *centers, Py_ssize_t stride, Py_ssize_t d, const double *inverse,  # IN: (d, n), 1 / mass, 0: no cluster
    Py_ssize_t n, Py_ssize_t a, Py_ssize_t before,                                  # IN: −1: none
    double *cost,                                                                   # overwritten, (n,)
    double *least,                                                                  # OUT
) noexcept nogil:
    """The cluster that joins a at the least cost: of equals the one before, else the first"""
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


cdef void sort_merges(
    const Py_ssize_t *order, Py_ssize_t n,              # IN: n − 1 merges, by their heights
    const Py_ssize_t *a, const Py_ssize_t *b,           # IN: a row of each cluster
    Py_ssize_t *parent,                                 # overwritten, (n,)
    Py_ssize_t *kept, Py_ssize_t *joined,               # OUT
) noexcept nogil:
    """kept, joined := the same merges in another order, clusters named by their first rows"""
    cdef Py_ssize_t i, p, q
    for i in range(n):
        parent[i] = i
    for i in range(n - 1):
        p, q = root_of(parent, a[order[i]]), root_of(parent, b[order[i]])
        kept[i], joined[i] = min(p, q), max(p, q)
        parent[joined[i]] = kept[i]


def ward(
    double[:, :] Z, double[::1] mass,                                           # overwritten: rows (d, n), weights above 0
    double[:, ::1] work, Py_ssize_t[:, ::1] places,                             # overwritten: (2, n), (3, n)
    Py_ssize_t[::1] kept, Py_ssize_t[::1] joined, double[::1] heights,          # OUT: (n − 1,)
    /,
):
    """kept, joined, heights := Ward's merges in the order of the chain: a row of each cluster, and the growth of Σ w D²"""
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


def in_order(
    const Py_ssize_t[::1] order, const Py_ssize_t[::1] a, const Py_ssize_t[::1] b,  # IN: (n − 1,)
    Py_ssize_t[::1] parent,                                                         # overwritten, (n,)
    Py_ssize_t[::1] kept, Py_ssize_t[::1] joined,                                   # OUT: (n − 1,)
    /,
):
    """kept, joined := merges of rows a and b in this order; clusters are named by their first rows"""
    cdef Py_ssize_t n = parent.shape[0], i
    for name, found in (("order", order), ("a", a), ("b", b), ("kept", kept), ("joined", joined)):
        check_length(name, len(found), n - 1)
    for i in range(n - 1):
        if not (0 <= order[i] < n - 1 and 0 <= a[i] < n and 0 <= b[i] < n):
            raise ValueError(f"merge {i} is not one of {n} rows")
    if n > 1:
        with nogil:
            sort_merges(&order[0], n, &a[0], &b[0], &parent[0], &kept[0], &joined[0])
