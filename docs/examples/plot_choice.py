"""
How many components?
====================

All structures with up to six components, by BIC. The best of the table is drawn; beside it the mixtures that are about
as good, which is part of the answer.
"""

import matplotlib.pyplot as plt

import emix

X = emix.load_faithful().data
selection = emix.select_mixture(X, n_components=range(1, 7), random_state=0)
print(selection)

# %%
# The picture of the criterion. A structure with few parameters needs more components, and so lines cross.

figure, ax = plt.subplots(figsize=(8, 4.6), layout="constrained")
selection.plot(ax=ax)
plt.show()
