"""scikit-learn's GaussianMixture in code of others, exchanged for a class that fits and scores with emix."""
