//! Sources on a square lattice, and how electrodes between them hear them.
//!
//! In: where electrodes lie, mm. Out: for each, the four sources round it with their weights. Guarantees that the
//! squares of the weights add to 1, so that every electrode hears the same power of independent sources of one power,
//! and that electrodes two lattice spacings apart share no source.

use crate::device::Field;

/// A lattice that covers all electrodes.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    spacing_mm: f64,
    columns: usize,
    rows: usize,
    field: Field,
}

/// The sources that an electrode hears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) nodes: [u32; 4],
    pub(super) weights: [f32; 4],
}

impl Lattice {
    /// Sources `spacing_mm` apart, or as far apart as the electrodes where those are farther: more would be heard by
    /// none.
    pub(super) fn new(spacing_mm: f64, field: &Field, n_electrodes: usize) -> Self {
        let spacing_mm = spacing_mm.max(field.pitch_mm.value);
        let per_row = (field.columns.value as usize).min(n_electrodes);
        let nodes =
            |electrodes: usize| ((electrodes - 1) as f64 * field.pitch_mm.value / spacing_mm) as usize + 2;
        Lattice {
            spacing_mm,
            columns: nodes(per_row),
            rows: nodes(n_electrodes.div_ceil(per_row)),
            field: field.clone(),
        }
    }

    /// How many sources there are.
    pub(super) fn n_nodes(&self) -> usize {
        self.columns * self.rows
    }

    /// Where the source of number `node` lies, mm.
    pub(super) fn node_mm(&self, node: usize) -> [f64; 2] {
        [(node % self.columns) as f64, (node / self.columns) as f64].map(|n| n * self.spacing_mm)
    }

    /// What `electrode` hears.
    pub(super) fn place(&self, electrode: usize) -> Place {
        let [x, y] = place_mm(&self.field, electrode).map(|mm| mm / self.spacing_mm);
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x - column as f64, y - row as f64);
        let first = row * self.columns + column;
        let shares = [(1.0 - right) * (1.0 - down), right * (1.0 - down), (1.0 - right) * down, right * down];
        let norm = shares.iter().map(|share| share * share).sum::<f64>().sqrt();
        Place {
            nodes: [first, first + 1, first + self.columns, first + self.columns + 1].map(|node| node as u32),
            weights: shares.map(|share| (share / norm) as f32),
        }
    }
}

impl Place {
    /// What it hears of sources that give `values`.
    #[inline]
    pub(super) fn hear(&self, values: &[f32]) -> f32 {
        let part = |n: usize| values[self.nodes[n] as usize] * self.weights[n];
        (part(0) + part(1)) + (part(2) + part(3))
    }
}

/// Where an electrode lies: x along a row and y across rows, mm from the first.
pub(super) fn place_mm(field: &Field, electrode: usize) -> [f64; 2] {
    let columns = field.columns.value as usize;
    [electrode % columns, electrode / columns].map(|n| n as f64 * field.pitch_mm.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Profile;

    #[test]
    fn every_electrode_hears_sources_of_the_lattice_with_power_one() {
        for profile in Profile::all().expect("legal") {
            let Some(mut field) = profile.field.clone() else { continue };
            for (n, pitch_mm) in [(1, 0.3), (16, 2.5), (17, 0.44), (1024, 7.0)] {
                field.pitch_mm.value = pitch_mm;
                let lattice = Lattice::new(1.0, &field, n);
                assert!(lattice.n_nodes() <= 4 * n + 2 * n, "{} nodes for {n} electrodes", lattice.n_nodes());
                for place in (0..n).map(|electrode| lattice.place(electrode)) {
                    assert!(place.nodes.iter().all(|&node| (node as usize) < lattice.n_nodes()));
                    let power: f32 = place.weights.iter().map(|w| w * w).sum();
                    assert!((power - 1.0).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn near_electrodes_share_sources_and_far_ones_do_not() {
        let field = Profile::named("precision-layer7").expect("shipped").field.expect("surface");
        let lattice = Lattice::new(4.0, &field, 1024);
        let shared = |a: usize, b: usize| {
            let (a, b) = (lattice.place(a), lattice.place(b));
            let of = |place: &Place, node: u32| {
                (0..4).filter(|&n| place.nodes[n] == node).map(|n| place.weights[n]).sum::<f32>()
            };
            (0..lattice.n_nodes() as u32).map(|node| of(&a, node) * of(&b, node)).sum::<f32>()
        };
        assert!((0..31).all(|e| shared(e, e + 1) > 0.9 && shared(32 * e, 32 * e + 32) > 0.9));
        assert!(shared(0, 12) < 0.2, "5.3 mm apart");
        assert_eq!(shared(0, 20), 0.0, "8.8 mm apart");
    }
}
