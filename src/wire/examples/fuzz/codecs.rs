//! The codecs of what records carry, tried with bytes from outside.
//!
//! In: records, as a radio brought them. Out: whether their codes were read. Guarantees: all memory is taken at the start;
//! what is read lies within what the record says and, coded again, reads the same.

use efference_wire::codec::counts::{self, Levels};
use efference_wire::codec::crossings::{self, Crossing, Span};
use efference_wire::codec::rates::{decode_table, encode_table};
use efference_wire::codec::raw::{Converter, Decoder, Encoder, FRAME_MAX, usual_frames};
use efference_wire::{Counts, Crossings, Raw, Record, Table};

/// Decoders with their memory, as a host has them.
pub(crate) struct Codecs {
    values: Vec<u16>,
    values_again: Vec<u16>,
    /// The table of every version but 0 and 2, which is never there.
    levels: Vec<u8>,
    decoded_levels: Vec<u8>,
    levels_again: Vec<u8>,
    crossings: Vec<Crossing>,
    crossings_again: Vec<Crossing>,
    samples: Vec<i16>,
    decoders: [(Converter, Decoder); 3],
    coded: Vec<u8>,
}

impl Default for Codecs {
    fn default() -> Self {
        let decoder = |converter| (converter, Decoder::new(converter, usual_frames(RATE_MILLIHERTZ)));
        let uniform = |bits| decoder(Converter::Uniform { bits });
        Codecs {
            values: vec![0; VALUES],
            values_again: vec![0; VALUES],
            levels: (0..N_CHANNELS).map(level).collect(),
            decoded_levels: vec![0; N_CHANNELS],
            levels_again: vec![0; N_CHANNELS],
            crossings: vec![Crossing::default(); N_CROSSINGS],
            crossings_again: vec![Crossing::default(); N_CROSSINGS],
            samples: vec![0; FRAME_MAX],
            decoders: [uniform(10), uniform(16), decoder(Converter::NeuralinkN1)],
            coded: vec![0; CODED_AGAIN],
        }
    }
}

impl Codecs {
    /// Reads what a record carries; whether it could be, or `None` of one that carries no code.
    pub(crate) fn read(&mut self, record: &Record<'_>) -> Option<bool> {
        match record {
            Record::Counts(counts) => self.counts(counts),
            Record::Crossings(crossings) => self.crossings(crossings),
            Record::Table(table) => self.table(table),
            Record::Raw(raw) => Some(self.raw(raw)),
            _ => None,
        }
    }

    fn counts(&mut self, record: &Counts<'_>) -> Option<bool> {
        let (first, n) = (record.first_channel as usize, usize::from(record.n_channels));
        let known = self.levels.get(first..).and_then(|levels| levels.get(..n))?;
        let n_values = n * usize::from(record.n_bins);
        let values = self.values.get_mut(..n_values).filter(|values| !values.is_empty())?;
        let levels = match record.table {
            0 => Levels::Flat,
            table if table % 2 == 0 => Levels::Wider(known, table % 32),
            _ => Levels::Known(known),
        };
        if counts::decode(record.coded, levels, values).is_err() {
            return Some(false);
        }
        // Flat codes of several bins are one unit of all their channels.
        if let Ok(n_bytes) = counts::encode(values, levels, &mut self.coded) {
            let again = &mut self.values_again[..n_values];
            counts::decode(&self.coded[..n_bytes], levels, again).expect("it was just coded");
            assert_eq!(values, again, "counts");
        }
        Some(true)
    }

    fn crossings(&mut self, record: &Crossings<'_>) -> Option<bool> {
        let span = Span {
            first_channel: record.first_channel,
            n_channels: record.n_channels,
            n_samples: u32::from(record.span_samples),
        };
        // As the host does: channels that there are.
        let end = u64::from(span.first_channel) + u64::from(span.n_channels);
        if end > N_CHANNELS as u64 {
            return None;
        }
        let levels = &self.levels[span.first_channel as usize..end as usize];
        let table = |version: u8| (version != 2).then_some(levels);
        let Ok(n) = crossings::decode(record.coded, span, table, &mut self.crossings) else {
            return Some(false);
        };
        let read = &self.crossings[..n];
        assert!(
            read.is_sorted()
                && read.iter().all(|crossing| {
                    (u64::from(span.first_channel)..end).contains(&u64::from(crossing.channel))
                        && u32::from(crossing.offset) < span.n_samples
                })
        );
        if let Ok(n_bytes) = crossings::encode(read, span, None, &mut self.coded) {
            let again = crossings::decode(&self.coded[..n_bytes], span, |_| None, &mut self.crossings_again);
            assert_eq!((again, &self.crossings_again[..n]), (Ok(n), read));
        }
        Some(true)
    }

    fn table(&mut self, record: &Table<'_>) -> Option<bool> {
        let (first, n) = (record.first_channel as usize, usize::from(record.n_channels));
        let base = self.levels.get(first..).and_then(|levels| levels.get(..n)).filter(|_| n > 0)?;
        let decoded = &mut self.decoded_levels[..n];
        if decode_table(record.coded, |version| (version != 2).then_some(base), decoded).is_err() {
            return Some(false);
        }
        if let Ok(n_bytes) = encode_table(decoded, None, &mut self.coded) {
            let again = &mut self.levels_again[..n];
            decode_table(&self.coded[..n_bytes], |_| None, again).expect("it was just coded");
            assert_eq!(decoded, again, "levels");
        }
        Some(true)
    }

    fn raw(&mut self, record: &Raw<'_>) -> bool {
        let (converter, decoder) = &mut self.decoders[record.electrode as usize % 3];
        let Ok(n) = decoder.decode(record.coded, &mut self.samples) else {
            return false;
        };
        assert!((1..=FRAME_MAX).contains(&n), "{n} samples");
        let half = 1 << (converter.bits() - 1);
        assert!(self.samples[..n].iter().all(|&sample| (-half..half).contains(&i32::from(sample))));
        true
    }
}

/// A record whose code an encoder wrote, into `coded`.
pub(crate) fn legal<'a>(random: &mut super::records::Random, coded: &'a mut [u8; CODED_MAX]) -> Record<'a> {
    let (first, n) = (random.below(300), 1 + random.below(60));
    let (epoch, word) = (random.byte(), random.word());
    let levels: Vec<u8> = (first..first + n).map(level).collect();
    let (first_channel, n_channels) = (first as u32, n as u16);
    match random.below(4) {
        0 => {
            let counts: Vec<u16> = (0..n).map(|_| (random.word() % 4 * (random.word() % 3)) as u16).collect();
            let table = random.below(2) as u8;
            let known = if table == 0 { Levels::Flat } else { Levels::Known(&levels) };
            let n_bytes = counts::encode(&counts, known, coded).unwrap_or(0);
            let (bin, n_bins) = (word as u32, 1);
            let coded = &coded[..n_bytes];
            Record::Counts(Counts { epoch, bin, first_channel, n_channels, n_bins, table, coded })
        }
        1 => {
            let n_samples = 1 + random.below(600) as u16;
            let crossing = |_| Crossing {
                channel: (first + random.below(n)) as u16,
                offset: random.below(usize::from(n_samples)) as u16,
            };
            let mut crossings: Vec<Crossing> = (0..n / 2).map(crossing).collect();
            crossings.sort_unstable();
            let span = Span { first_channel, n_channels: n as u32, n_samples: u32::from(n_samples) };
            let table = crossings::Table { version: 1, levels: &levels };
            let table = Some(table).filter(|_| word % 2 == 0);
            let n_bytes = crossings::encode(&crossings, span, table, coded).unwrap_or(0);
            Record::Crossings(Crossings {
                epoch,
                first_sample: word >> 20,
                span_samples: n_samples,
                first_channel,
                n_channels: n as u32,
                coded: &coded[..n_bytes],
            })
        }
        2 => {
            let told: Vec<u8> =
                levels.iter().map(|level| (level + random.byte() % 2).min(LEVEL_MAX)).collect();
            let base = Some((1, &levels[..])).filter(|_| word % 2 == 0);
            let n_bytes = encode_table(&told, base, coded).unwrap_or(0);
            let (n_total, coded) = (N_CHANNELS as u32, &coded[..n_bytes]);
            Record::Table(Table { version: 3, first_channel, n_channels, n_total, coded })
        }
        _ => {
            // A key frame, so that it can be read by itself.
            let converter = [Converter::Uniform { bits: 10 }, Converter::NeuralinkN1][random.below(2)];
            let electrode = if converter == Converter::NeuralinkN1 { 2 } else { 0 };
            let mut encoder = Encoder::new(converter, usual_frames(RATE_MILLIHERTZ));
            let samples: Vec<i16> = (0..1 + random.below(80)).map(|_| random.below(60) as i16 - 30).collect();
            let n_bytes = encoder.encode(&samples, true, coded).unwrap_or(0);
            Record::Raw(Raw { electrode, first_sample: word >> 20, coded: &coded[..n_bytes] })
        }
    }
}

/// The level of a channel in the table that both ends have.
fn level(channel: usize) -> u8 {
    (channel * 7 % usize::from(LEVEL_MAX)) as u8
}

/// Bytes of a legal code at most.
pub(crate) const CODED_MAX: usize = 300;
const CODED_AGAIN: usize = 1 << 17;
const N_CHANNELS: usize = 4_096;
const VALUES: usize = 16_384;
const N_CROSSINGS: usize = 8_192;
const RATE_MILLIHERTZ: u32 = 20_000_000;
const LEVEL_MAX: u8 = 20;
