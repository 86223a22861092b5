//! Packets of a link in a file (pcapng), each with its time and direction: what came and what went.
//!
//! In: packets as they pass. Out: a file that packet analysers open, and from it the same packets. Guarantees: what was
//! written stays readable whatever ends the program; a file that ends in the middle of a packet gives all before it.
//! Sealed packets stay sealed. What a session's keys were made from stands in the file too, sealed with the pairing key,
//! so that who has that key can replay the capture, and nobody else.
//!
//! Format: draft-ietf-opsawg-pcapng; link type 147 (user 0); interface 0 from the device, 1 to it; times in ns; the
//! section's comment is a JSON object ([`Comment`]).

use super::fit;
use crate::error::Error;
use crate::link::Wanted;
use crate::live::HostTime;
use crate::recording::mapped::MappedFile;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{Block, PcapNgBlock, PcapNgParser, PcapNgWriter};
use pcap_file::{DataLink, PcapError};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the device.
    Up = 0,
    /// To the device.
    Down = 1,
}

/// What a capture says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// [`FORMAT`].
    pub format: String,
    /// When [`HostTime`] was 0, ns since 1970.
    pub start_unix_ns: u64,
    /// What the host's session keys were made from, sealed with the pairing key; hex. Empty of a link in the clear.
    pub sealed_entropy: String,
    /// What the device was asked for; of older captures counts in bins of 20 ms.
    #[serde(default)]
    pub asked: Asked,
}

/// What decides what stream a capture holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// As [`fit::name_of`] says it.
    pub mode: String,
    /// Bin width, µs.
    pub bin_width_us: u32,
    /// Electrodes sent raw.
    pub raw: Vec<u32>,
}

impl Asked {
    /// Of what was wanted.
    pub fn of(wanted: &Wanted) -> Self {
        let Wanted { bin_width_us, raw_electrodes, .. } = wanted;
        let mode = fit::name_of(wanted.mode).to_string();
        Asked { mode, bin_width_us: *bin_width_us, raw: raw_electrodes.clone() }
    }

    /// The same, to be asked for again; `None` of a mode that this version doesn't know.
    pub fn wanted(&self) -> Option<Wanted> {
        let mode = fit::mode_named(&self.mode)?;
        let (bin_width_us, raw_electrodes) = (self.bin_width_us, self.raw.clone());
        Some(Wanted { mode, bin_width_us, raw_electrodes, ..Wanted::default() })
    }
}

impl Default for Asked {
    fn default() -> Self {
        Asked::of(&Wanted::default())
    }
}

/// Writes packets as they pass.
pub struct CaptureWriter {
    writer: PcapNgWriter<BufWriter<File>>,
    path: PathBuf,
    start: Duration,
    flushed: HostTime,
}

impl CaptureWriter {
    /// Begins a file.
    ///
    /// # Errors
    /// If something stands there already, or the folder can't be written to.
    pub fn create(path: &Path, comment: &Comment) -> Result<Self, Error> {
        let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
            let found = format!("it can't be written ({error})");
            Error::output(path.display().to_string(), found)
                .legal("a new file in a folder that you may write to")
                .hint("another name: a capture never replaces a file")
        })?;
        let text = serde_json::to_string(comment).expect("plain values");
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::Comment(Cow::Owned(text))],
            ..SectionHeaderBlock::default()
        };
        let failed = |error: PcapError| unwritten(path, &error);
        let mut writer = PcapNgWriter::with_section_header(BufWriter::new(file), section).map_err(failed)?;
        for name in ["from the device", "to the device"] {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::USER0,
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                    InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
                ],
            };
            writer.write_pcapng_block(interface).map_err(failed)?;
        }
        let start = Duration::from_nanos(comment.start_unix_ns);
        Ok(CaptureWriter { writer, path: path.to_path_buf(), start, flushed: HostTime::default() })
    }

    /// Adds a packet. On the disk a second later at the latest.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn write(&mut self, at: HostTime, way: Way, packet: &[u8]) -> Result<(), Error> {
        let block = EnhancedPacketBlock {
            interface_id: way as u32,
            timestamp: self.start + Duration::from_nanos(at.ns),
            original_len: packet.len() as u32,
            data: Cow::Borrowed(packet),
            options: Vec::new(),
        };
        self.writer.write_block(&block.into_block()).map_err(|error| unwritten(&self.path, &error))?;
        if at.since(self.flushed) > FLUSH_NS {
            self.flushed = at;
            self.writer.get_mut().flush().map_err(|error| Error::unwritable(&self.path, &error))?;
        }
        Ok(())
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// If the disk is full or gone.
    pub fn finish(mut self) -> Result<(), Error> {
        self.writer.get_mut().flush().map_err(|error| Error::unwritable(&self.path, &error))
    }
}

/// Reads packets back.
pub struct CaptureReader {
    file: MappedFile,
    path: PathBuf,
    parser: PcapNgParser,
    /// Bytes read so far.
    at: usize,
    comment: Comment,
    /// The file ends within a block.
    is_cut: bool,
}

impl CaptureReader {
    /// Opens a file.
    ///
    /// # Errors
    /// If it is no capture of a link, or can't be read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = MappedFile::open(path)?;
        let place = path.display().to_string();
        let foreign = |found: &str| {
            Error::input(&place, found.to_string())
                .legal("a pcapng file that `--capture` wrote")
                .hint("check the path; captures of other programs have no times of ours")
        };
        let bytes = file.bytes();
        if bytes.len() < SECTION_MIN {
            return Err(foreign("it is too short for a capture"));
        }
        let (rest, parser) =
            PcapNgParser::new(bytes).map_err(|error| foreign(&format!("it is no pcapng file ({error})")))?;
        let at = bytes.len() - rest.len();
        let text = parser.section().options.iter().find_map(|option| match option {
            SectionHeaderOption::Comment(text) => Some(text.to_string()),
            _ => None,
        });
        let comment: Option<Comment> = text.and_then(|text| serde_json::from_str(&text).ok());
        let comment = comment.filter(|comment| comment.format == FORMAT);
        let comment = comment.ok_or_else(|| foreign("it is no capture of a link"))?;
        Ok(CaptureReader { path: path.to_path_buf(), file, parser, at, comment, is_cut: false })
    }

    /// What it says of itself.
    pub fn comment(&self) -> &Comment {
        &self.comment
    }

    /// The file ended in the middle of a packet.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The next packet: when, which way, its bytes. `None` at the end.
    ///
    /// # Errors
    /// If the file is damaged; what came before stays good.
    pub fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<(HostTime, Way)>, Error> {
        loop {
            let bytes = &self.file.bytes()[self.at..];
            if bytes.is_empty() {
                return Ok(None);
            }
            let (rest, block) = match self.parser.next_block(bytes) {
                Ok(found) => found,
                Err(PcapError::IncompleteBuffer) => {
                    self.is_cut = true;
                    return Ok(None);
                }
                Err(error) => {
                    let place = self.path.display().to_string();
                    return Err(Error::input(place, format!("byte {} is damaged ({error})", self.at))
                        .legal("a pcapng file as it was written"));
                }
            };
            let packet = match block {
                Block::EnhancedPacket(packet) => Some(packet),
                _ => None,
            };
            let next = self.file.bytes().len() - rest.len();
            let found = packet.map(|packet| {
                buffer.clear();
                buffer.extend_from_slice(&packet.data);
                let ns = packet.timestamp.as_nanos() as u64;
                let at = HostTime { ns: ns.saturating_sub(self.comment.start_unix_ns) };
                (at, if packet.interface_id == Way::Up as u32 { Way::Up } else { Way::Down })
            });
            self.at = next;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

fn unwritten(path: &Path, error: &PcapError) -> Error {
    Error::output(path.display().to_string(), format!("it can't be written ({error})"))
        .legal("a place on a disk with room")
}

/// What the comment of a capture begins with.
pub const FORMAT: &str = "efference link capture 1";
/// As pcapng writes a resolution of 10⁻⁹ s.
const NANOSECONDS: u8 = 9;
const FLUSH_NS: u64 = 1_000_000_000;
/// A section header without options, bytes.
const SECTION_MIN: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    fn comment() -> Comment {
        Comment {
            format: FORMAT.to_string(),
            start_unix_ns: 1_700_000_000_123_456_789,
            sealed_entropy: "00ff".to_string(),
            asked: Asked::default(),
        }
    }

    #[test]
    fn a_capture_gives_back_what_passed_also_when_it_was_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.pcapng");
        let mut writer = CaptureWriter::create(&path, &comment()).expect("a new file");
        let packets: Vec<(u64, Way, Vec<u8>)> = (0..300u64)
            .map(|k| {
                (k * 1_234_567, if k % 3 == 0 { Way::Down } else { Way::Up }, vec![k as u8; k as usize % 512])
            })
            .collect();
        for (ns, way, bytes) in &packets {
            writer.write(HostTime { ns: *ns }, *way, bytes).expect("written");
        }
        writer.finish().expect("written");
        assert!(CaptureWriter::create(&path, &comment()).is_err(), "a capture replaces nothing");
        let whole = std::fs::read(&path).expect("there");
        let read = |bytes: &[u8]| {
            let path = folder.path().join("b.pcapng");
            std::fs::write(&path, bytes).expect("written");
            let mut reader = CaptureReader::open(&path).expect("a capture");
            assert_eq!(reader.comment(), &comment());
            let (mut buffer, mut found) = (Vec::new(), Vec::new());
            while let Some((at, way)) = reader.next(&mut buffer).expect("not damaged") {
                found.push((at.ns, way, buffer.clone()));
            }
            (found, reader.is_cut())
        };
        assert_eq!(read(&whole), (packets.clone(), false));
        let (found, is_cut) = read(&whole[..whole.len() - 5]);
        assert!(is_cut && found == packets[..299], "{}", found.len());
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.pcapng");
        for bytes in [
            &b""[..],
            b"hello",
            &[10; 64],
            &[
                0x0a, 0x0d, 0x0d, 0x0a, 255, 255, 255, 255, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0,
            ],
        ] {
            std::fs::write(&path, bytes).expect("written");
            let message = CaptureReader::open(&path).err().expect("refused").to_string();
            assert!(message.contains("a.pcapng") && message.contains("Legal: "), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn damage_ends_a_capture_with_an_error_or_early(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.pcapng");
            let mut writer = CaptureWriter::create(&path, &comment()).expect("a new file");
            for k in 0..20u64 {
                writer.write(HostTime { ns: k }, Way::Up, &[k as u8; 50]).expect("written");
            }
            writer.finish().expect("written");
            let mut bytes = std::fs::read(&path).expect("there");
            for (at, value) in damage {
                let n = bytes.len();
                bytes[at.index(n)] = value;
            }
            bytes.truncate(1 + cut.index(2 * bytes.len()));
            std::fs::write(&path, &bytes).expect("written");
            let Ok(mut reader) = CaptureReader::open(&path) else { return Ok(()) };
            let (mut buffer, mut n) = (Vec::new(), 0);
            while let Ok(Some(_)) = reader.next(&mut buffer) {
                n += 1;
            }
            prop_assert!(n <= bytes.len() / 32, "{n} packets in {} bytes", bytes.len());
        }
    }
}
