# These limits depend on each other. Read all of this before you change one.
#
# 1. What is left out. A component whose log-density lies further than NEGLIGIBLE + log(W / N_k) nats below a row's best
#    (W: the weight of all rows, N_k: the component's weight in the pass before) is left out of the row's sums. So a row
#    of weight w loses at most exp(−NEGLIGIBLE) w N_k / W of N_k, and all rows at most exp(−40) N_k = 4e-18 N_k. Where
#    N_k has shrunk since, the loss is larger beside it, by as much as it has shrunk: SHRUNK times at most, 8.5e-17,
#    which is below half a unit of double precision, 2⁻⁵³ = 1.1e-16. If a component has shrunk more, the pass is
#    repeated and leaves nothing out.
#
# 2. What does not overflow in single precision. Values go up to LARGEST_SINGLE, so that a difference from a centre is
#    at most 2e15 and its square 4e30. A sum over the SINGLE_BLOCK rows of a block stays in single precision until it is
#    added to a double. Where ‖z‖² is one number for all d features (estep/origin.pxi) that sum is at most
#    512 w d 4e30, and w d ≤ MOST_WEIGHT_ALL_FEATURES keeps it below 3.1e38; single precision ends at 3.4e38. Sums for
#    one feature have w ≤ MOST_WEIGHT: 512 w 4e30 ≤ 2.1e38. Weights beyond either are divided by a power of two, and so
#    are weights that are all below LEAST_WEIGHT: from there on w r is a normal number of single precision, 1.2e-38 or
#    more, for responsibilities r down to 1.2e-28, which is a component's share of a row at NEGLIGIBLE + 24 nats.
#
# 3. What does not overflow in double precision. Values go up to LARGEST_DOUBLE, so that squares of differences are at
#    most 4e300; a factor of 4e7 is left for weights and for sums of a block.
#
# Components are taken about an origin only if the numbers of their whitening, which are squared too, lie between these
# largest magnitudes and their inverses (estep/origin.pxi).

cdef:
    double NEGLIGIBLE = 40          # nats
    double SHRUNK = 20              # times
    double LARGEST_SINGLE = 1e15
    double LARGEST_DOUBLE = 1e150
    double MOST_WEIGHT = 1e5
    double MOST_WEIGHT_ALL_FEATURES = 1.5e5     # times the number of features
    double LEAST_WEIGHT = 1e-10

cdef enum:
    SINGLE_BLOCK = 512              # rows: simd.h's BLOCK in single precision
