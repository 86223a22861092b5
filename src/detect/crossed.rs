//! A list of crossings as bits: a mask of lanes for each frame of a tile.

use crate::block::BLOCK_FRAMES_MAX;

/// Which lanes of one tile crossed in which of its frames.
#[derive(Clone, Debug)]
pub struct Crossed {
    frames: [u64; BLOCK_FRAMES_MAX],
    n_frames: usize,
}

impl Crossed {
    /// No frames yet.
    pub fn new() -> Self {
        Crossed { frames: [0; BLOCK_FRAMES_MAX], n_frames: 0 }
    }

    /// Begins a tile of so many frames.
    pub(super) fn clear(&mut self, n_frames: usize) {
        self.n_frames = n_frames;
        self.frames[..n_frames].fill(0);
    }

    /// These lanes, a bit each, crossed in this frame.
    #[inline(always)]
    pub(super) fn add(&mut self, frame: usize, lanes: u64) {
        self.frames[frame] |= lanes;
    }

    /// One mask per frame of the tile: bit `l` is set where lane `l` crossed.
    pub fn masks(&self) -> &[u64] {
        &self.frames[..self.n_frames]
    }

    /// Every crossing as `(frame, lane)`, by frame, then by lane.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.masks().iter().enumerate().flat_map(|(frame, &mask)| {
            let after = |rest: &u64| Some(rest & (rest - 1)).filter(|rest| *rest != 0);
            let from = Some(mask).filter(|mask| *mask != 0);
            std::iter::successors(from, after).map(move |rest| (frame, rest.trailing_zeros() as usize))
        })
    }
}

impl Default for Crossed {
    fn default() -> Self {
        Crossed::new()
    }
}
