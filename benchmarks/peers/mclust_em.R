# One EM fit after another of the same data with mclust's em(): reads a number of iterations from each line of the
# standard input, prints the seconds it took, and writes the parameters. Started by mclust.py.

suppressPackageStartupMessages(library(mclust))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
model <- arguments[2]
n <- as.integer(arguments[3])
d <- as.integer(arguments[4])
K <- as.integer(arguments[5])

read <- function(name, size) readBin(file.path(folder, name), "double", size)
X <- matrix(read("data", n * d), n, d)
weights <- read("weights", K)
means <- matrix(read("means", d * K), d, K)
covariances <- array(read("covariances", d * d * K), c(d, d, K))

variance <- list(modelName = model, d = d, G = K)
if (model == "VVV") {
  variance$cholsigma <- array(apply(covariances, 3, chol), c(d, d, K))
} else if (model == "EEE") {
  variance$cholSigma <- chol(covariances[, , 1])
} else {
  # Spherical and diagonal starts are multiples of the identity here.
  variance$sigmasq <- variance$scale <- apply(covariances, 3, function(S) S[1, 1])
  variance$shape <- matrix(1, d, K)
}

input <- file("stdin", "r")
cat("ready\n")
while (length(line <- readLines(input, 1)) > 0) {
  n_iter <- as.integer(line)
  # No tolerance: only the number of iterations ends it.
  control <- emControl(tol = c(0, 0), itmax = c(n_iter, n_iter))
  seconds <- system.time(
    fitted <- em(X, modelName = model, parameters = list(pro = weights, mean = means, variance = variance),
                 control = control, warn = FALSE),
    gcFirst = TRUE
  )[["elapsed"]]
  result <- c(fitted$parameters$pro, fitted$parameters$mean, fitted$parameters$variance$sigma)
  if (length(result) != K + d * K + d * d * K || anyNA(result)) {
    cat("failed: em() returned no parameters: a covariance has become singular\n")
  } else {
    writeBin(as.double(result), file.path(folder, "result"))
    cat(sprintf("seconds %.6f\n", seconds))
  }
}
