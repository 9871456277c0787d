"""Files that emix writes: model files, and the one way in which any file is written."""
