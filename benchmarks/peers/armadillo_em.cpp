// One EM fit after another of the same data with Armadillo's gmm_full or gmm_diag: reads a number of iterations from
// each line of the standard input, prints the seconds it took, and writes the parameters. Compiled by armadillo.py.

#include <armadillo>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <type_traits>

using namespace arma;

template <typename real> std::vector<real> read(const std::string &path, size_t size) {
  std::vector<real> values(size);
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char *>(values.data()), size * sizeof(real));
  return values;
}

// The start is float64 in every case.
template <typename real> std::vector<real> read_start(const std::string &path, size_t size) {
  const std::vector<double> values = read<double>(path, size);
  return std::vector<real>(values.begin(), values.end());
}

template <typename real, typename model> int serve(const std::string &folder, uword n, uword d, uword K) {
  constexpr bool full = std::is_same<model, gmm_priv::gmm_full<real>>::value;
  std::vector<real> rows = read<real>(folder + "/data", n * d);
  std::vector<real> weights = read_start<real>(folder + "/weights", K);
  std::vector<real> means = read_start<real>(folder + "/means", K * d);
  std::vector<real> covariances = read_start<real>(folder + "/covariances", K * d * d);
  const Mat<real> X(rows.data(), d, n, false, true); // a sample per column, which is a row of C order
  const Row<real> hefts(weights.data(), K);
  const Mat<real> centres(means.data(), d, K);
  const Cube<real> full_covariances(covariances.data(), d, d, K);
  std::cout << "ready" << std::endl;

  for (std::string line; std::getline(std::cin, line);) {
    const uword n_iter = std::stoul(line);
    model mixture;
    if constexpr (full) {
      mixture.set_params(centres, full_covariances, hefts);
    } else {
      Mat<real> variances(d, K);
      for (uword k = 0; k < K; ++k) variances.col(k) = full_covariances.slice(k).diag();
      mixture.set_params(centres, variances, hefts);
    }
    const auto begin = std::chrono::steady_clock::now();
    // No start of its own, no k-means; a floor of the variances that none of them comes near.
    const bool done = mixture.learn(X, K, eucl_dist, keep_existing, 0, n_iter, real(1e-30), false);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    if (!done) {
      std::cout << "failed: learn() returned false" << std::endl;
      continue;
    }
    std::ofstream result(folder + "/result", std::ios::binary);
    const auto write = [&](double value) { result.write(reinterpret_cast<const char *>(&value), sizeof value); };
    for (uword k = 0; k < K; ++k) write(mixture.hefts(k));
    for (uword k = 0; k < K; ++k)
      for (uword j = 0; j < d; ++j) write(mixture.means(j, k));
    for (uword k = 0; k < K; ++k)
      for (uword i = 0; i < d; ++i)
        for (uword j = 0; j < d; ++j) {
          if constexpr (full) write(mixture.fcovs(i, j, k));
          else write(i == j ? mixture.dcovs(i, k) : real(0));
        }
    result.close();
    std::cout << "seconds " << seconds.count() << std::endl;
  }
  return 0;
}

int main(int, char **argv) {
  const std::string folder = argv[1], structure = argv[2], dtype = argv[3];
  const uword n = std::stoul(argv[4]), d = std::stoul(argv[5]), K = std::stoul(argv[6]);
  if (dtype == "float64")
    return structure == "full" ? serve<double, gmm_full>(folder, n, d, K) : serve<double, gmm_diag>(folder, n, d, K);
  return structure == "full" ? serve<float, fgmm_full>(folder, n, d, K) : serve<float, fgmm_diag>(folder, n, d, K);
}
