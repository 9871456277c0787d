"""Files that emix writes: model files, and the one function that writes any file."""
