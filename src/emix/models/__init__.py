"""What EM fits: E-steps and M-steps, nothing of loops or files."""
