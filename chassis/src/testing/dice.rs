//! Random decisions of a test, which are the same again from the same seed, in any version.

use std::{
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that differs from run to run. Tests print it.
    pub fn seed() -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        u64::from(since.subsec_nanos()) ^ since.as_secs()
    }

    /// A number of a range that is not empty.
    pub fn number(&mut self, range: Range<usize>) -> usize {
        let size = u64::try_from(range.end - range.start).expect("at most 64 bits");
        range.start + usize::try_from(self.next() % size).expect("less than the size of a range")
    }

    /// True once in `of` times.
    pub fn once_in(&mut self, of: usize) -> bool {
        self.number(0..of) == 0
    }

    /// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
