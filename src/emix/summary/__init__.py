"""Text summaries of fitted mixtures."""
