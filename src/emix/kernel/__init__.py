"""Compiled code: an E-step's sums from rows and parameters, and an M-step's parameters from sums.

For row x and component k, with whitening W_k (Σ_k⁻¹ = W_kᵀ W_k, lower triangular) and a centre c_k near μ_k::

    log p_k = log π_k − d/2 log 2π + Σ_j log W_k[j, j] − ½‖W_k (x − μ_k)‖²          log-densities
    r_k     = exp(log p_k − ℓ),   ℓ = log Σ_l exp log p_l                           responsibilities
    N_k    += w r_k,   s_k += w r_k (x − c_k),   S_k += w r_k (x − c_k)(x − c_k)ᵀ   sums
    log-likelihood += w ℓ

The M-step turns sums into parameters, and these into the arguments of the next E-step.

Order of reading
----------------
1. ``shared/layout.pxi``: the packed arrays that go in and out; ``shared/limits.pxi``: constants that depend on each
   other; ``shared/lanes.pxi`` and ``shared/simd.h``: vectors.
2. ``estep/structs.pxi``: what the steps read and write; ``estep/e_step.pxi``: the E-step of a block, and its steps
   in the order in which ``estep/kernel.pyx`` includes them: ``load``, ``log_densities``, ``log_density``,
   ``density_tiles``, ``norms``, ``posterior``, ``sums``, ``sum_tiles``, ``log_likelihood``. ``blas_tiles`` is what the
   ``blas`` level has in place of both files of tiles.
3. The shortcuts, below.
4. What Python calls: ``sizes``, ``costs``, ``mixture``, ``rows``, ``workspace``, ``accumulator`` (the E-step of a fit),
   ``scorer`` (scores of rows).
5. ``mstep/factors.pyx``: the M-step. ``structures`` has the covariances of the six structures that are sums, and what
   the other eight begin with; ``shared_parts`` and ``orientation`` go on from there. ``mstep/steps.pxi``: E-steps and
   M-steps in one call; ``mstep/relaxation.pxi``: those of a search may go further than EM does.
   ``mstep/neighbours.pxi``: components merged and split. ``mstep/distances.pxi``: distances between components.
   ``starts/clusters.pyx``: k-means, agglomerations and other starts; ``starts/pairs.pxi``: two components alone.
   ``rows/values.pyx``: checks of values. ``processor.pyx``: instruction-set levels; ``level.py`` chooses one.

Shortcuts
---------
Work that need not be done. None changes a sum by more than its rounding; a first look changes no bit.

============ ================================= ================================== =================
shortcut     who decides                       its loop                           its preparation
============ ================================= ================================== =================
origin       gaussian/shortcuts/origin.py      estep/origin.pxi                   mstep/origin.pxi
bounds       gaussian/shortcuts/bounds.py      estep/bounds.pxi                   mstep/bounds.pxi
screen       gaussian/shortcuts/screen.py      estep/screen.pxi                   mstep/screen.pxi
packing      estep/costs.pxi, for each block   estep/packing.pxi, and             none
             and component                     estep/sum_tiles.pxi
============ ================================= ================================== =================

Glossary
--------
active
    A component whose log-densities were computed for a block.
arguments
    The packed array that an E-step reads, made from parameters: ``c | b | a | margin | W | m``.
at the origin
    Said of a component whose centre is the origin.
block
    256 to 1024 rows that go through all steps of an E-step together; transposed into lanes.
centre
    c_k, about which a component's sums are taken: its mean, or the origin.
first look, screen
    An estimate of log-densities in single precision, with a bound of its error.
form
    How covariances are stored: full, tied, diag or spherical.
group
    128 or 256 rows that have one bound for each component.
lane
    One of the numbers of a vector. In a block's arrays the lanes of a vector are rows.
level
    A build of the kernel for an instruction set (baseline, v3, v4), or with BLAS.
limit
    A squared distance from which on a component cannot count: its computation may end there.
listed
    Said of a row in which a component may count after a first look.
live
    Said of a row, for one component: its responsibility is above 0.
margin
    A component is left out of a row's sums if its log-density is further than its margin below the row's best: 40 nats
    and log(W / N_k).
near
    A lower bound of ‖W_k (x − μ_k)‖ over the rows of a group; negative for components that counted in the last pass.
order
    The rows of a window, by their best components, so that the rows of a group are alike.
origin
    m, a centre that components share, about which part of the work is done once for all of them.
packed
    Said of live rows that were copied features side by side, so that a vector holds features of one row.
own covariance
    M_k = Ŵ_k + R of a component, before its structure is fitted.
panel
    Four rows of a lower triangular matrix.
pass
    One E-step over all rows.
reach
    ‖ |W_k| |μ_k − m| ‖: how much a component's rounding grows if it is taken about the origin m.
sketch
    What a first look reads of a pass's parameters, in single precision.
slot
    A line of sums. Super-block i is added to slot i mod the number of slots; slots are added up in their order.
sums
    N, s and S of the components, and the log-likelihood.
super-block
    512 or 1024 rows, counted from the first row of the whole source, that are added to one slot.
sweep
    One round of a search for what components share: over volumes and shape, or over all pairs of axes.
tile
    As many sums as registers hold: outputs or components × vectors.
window
    65 536 rows, within which an order names rows by two bytes.
workspace
    One thread's arrays.
"""
