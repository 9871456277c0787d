"""The Gaussian mixture as EM sees it: parameters, statistics, E-step and M-step."""
