//! Linear algebra that is slow and obvious, for tests to hold the fast one against.

use faer::Mat;

/// A⁻¹B by Gauss–Jordan elimination, the greatest pivot of each column first.
pub(super) fn solve(a: &Mat<f64>, b: &Mat<f64>) -> Mat<f64> {
    let (mut a, mut b) = (a.clone(), b.clone());
    let n = a.nrows();
    for column in 0..n {
        let size = |row: &usize| a[(*row, column)].abs();
        let pivot = (column..n).max_by(|i, j| size(i).total_cmp(&size(j))).expect("a row is left");
        for matrix in [&mut a, &mut b] {
            for j in 0..matrix.ncols() {
                let (here, there) = (matrix[(column, j)], matrix[(pivot, j)]);
                (matrix[(column, j)], matrix[(pivot, j)]) = (there, here);
            }
        }
        for row in (0..n).filter(|row| *row != column) {
            let factor = a[(row, column)] / a[(column, column)];
            for matrix in [&mut a, &mut b] {
                for j in 0..matrix.ncols() {
                    matrix[(row, j)] -= factor * matrix[(column, j)];
                }
            }
        }
    }
    Mat::from_fn(n, b.ncols(), |i, j| b[(i, j)] / a[(i, i)])
}

/// Numbers between −1 and 1 from a seed.
pub(super) fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    }
}

/// The greatest difference between two matrices.
pub(super) fn difference(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()));
    (a - b).norm_max()
}
