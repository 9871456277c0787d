"""Pictures of fitted mixtures."""
