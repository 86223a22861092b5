//! Lossless codecs of what an implant sends: counts, crossings, raw samples.
//!
//! In: integers of one packet's worth. Out: bytes, and from them the same integers. Guarantees: integer arithmetic
//! alone, state of a stated size, and an error, never a panic, whatever the bytes.

pub mod counts;
pub mod crossings;
pub mod levels;
pub mod range;
pub mod rates;
pub mod raw;
mod together;

#[cfg(test)]
mod tests {
    use super::counts::{self, Levels};
    use super::crossings::{self, Crossing, Span};
    use super::levels::TABLES;
    use std::format;
    use std::vec::Vec;

    const README: &str = include_str!("README.md");

    /// Bytes of the examples: counts, counts of a table, crossings.
    fn example(number: usize) -> Vec<u8> {
        let text = README.split("```hex").nth(1 + number).unwrap().split("```").next().unwrap();
        text.split_whitespace().map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect()
    }

    #[test]
    fn the_readme_shows_the_tables_of_levels() {
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let mut digest = crc.digest();
        TABLES.iter().flat_map(|table| table.begins).for_each(|begin| digest.update(&begin.to_le_bytes()));
        let sum = format!("`{:08x}`", digest.finalize());
        assert!(README.contains(&sum), "other frequencies are another format: {sum}");
    }

    #[test]
    fn the_readme_shows_true_counts() {
        let counts = [0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 30, 0];
        assert!(README.contains("`0 1 0 0 2 0 0 0 1 0 30 0`"));
        let mut out = [0; 100];
        let n = counts::encode(&counts, Levels::Flat, &mut out).unwrap();
        assert_eq!(out[..n], example(0), "{:02x?}", &out[..n]);
        let mut found = [0; 12];
        counts::decode(&example(0), Levels::Flat, &mut found).unwrap();
        assert_eq!(found, counts);
    }

    #[test]
    fn the_readme_shows_true_counts_of_a_table() {
        let (counts, levels): (Vec<u16>, _) = ((0..48).map(|k| u16::from(k % 3 == 0)).collect(), [15; 48]);
        let mut out = [0; 100];
        let n = counts::encode(&counts, Levels::Known(&levels), &mut out).unwrap();
        assert_eq!(out[..n], example(1), "{:02x?}", &out[..n]);
        let mut found = [0; 48];
        counts::decode(&example(1), Levels::Known(&levels), &mut found).unwrap();
        assert_eq!(found[..], counts);
    }

    #[test]
    fn the_readme_shows_true_crossings() {
        let crossings = [(40, 17), (42, 150), (42, 399), (47, 0)];
        assert!(README.contains("(40, 17), (42, 150), (42, 399), (47, 0)"));
        let crossings = crossings.map(|(channel, offset)| Crossing { channel, offset });
        let span = Span { first_channel: 40, n_channels: 8, n_samples: 400 };
        let mut out = [0; 100];
        let n = crossings::encode(&crossings, span, None, &mut out).unwrap();
        assert_eq!(out[..n], example(2), "{:02x?}", &out[..n]);
        let mut found = [Crossing::default(); 4];
        assert_eq!(crossings::decode(&example(2), span, |_| None, &mut found), Ok(4));
        assert_eq!(found, crossings);
    }
}
