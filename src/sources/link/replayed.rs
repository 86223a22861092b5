//! A capture of a link as a source of blocks.
//!
//! In: a capture, and the pairing key of the link. Out: the blocks that the run which made it got. Guarantees: nothing is
//! sent and no clock is read; packets count at the times at which they came.

use super::feed::Feed;
use super::{CaptureReader, Carrier, LinkAddress, LinkReport, PACKET_MAX, PairingKey, Secrecy, Way, entropy};
use crate::block::{Block, StreamInfo};
use crate::error::Error;
use crate::link::Settings;
use crate::sources::{ReadOutcome, SampleSource, block_of};
use crate::time::HostTime;
use crate::wire::session::{Access, Key};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A capture of a link.
pub struct CaptureSource {
    reader: CaptureReader,
    feed: Feed,
    info: StreamInfo,
    n_frames: u64,
    packet: Vec<u8>,
    now: HostTime,
    is_over: bool,
}

impl CaptureSource {
    /// Opens a capture; its stream is that of the run that made it.
    ///
    /// # Errors
    /// If it is no capture, the key isn't the one that it was made with, or no device answers in it.
    pub fn open(address: &LinkAddress) -> Result<Self, Error> {
        let Carrier::Capture(path) = &address.carrier else {
            return Err(
                Error::usage(address.to_string(), "it is no capture").legal("capture://FILE.pcapng?key=FILE")
            );
        };
        let mut first = CaptureSource::begin(path, &address.secrecy)?;
        // Its length, and what device it is, show at the end.
        let (mut n_frames, mut block) = (0, None);
        while first.advance()? {
            if first.feed.is_ready() {
                let Some(Ok(info)) = first.feed.info() else { continue };
                let block = block.get_or_insert_with(|| block_of(&info));
                while first.feed.pop(block).is_some() {
                    n_frames = block.end_sample().0;
                }
            }
        }
        let info = first.feed.info().unwrap_or_else(|| {
            Err(Error::input(path.display().to_string(), "no device answers in it")
                .legal("a capture from its beginning, with the key of the link")
                .hint("a wrong key opens nothing"))
        })?;
        let second = CaptureSource::begin(path, &address.secrecy)?;
        Ok(CaptureSource { info, n_frames, ..second })
    }

    fn begin(path: &Path, secrecy: &Secrecy) -> Result<Self, Error> {
        let reader = CaptureReader::open(path)?;
        let place = path.display().to_string();
        let (access, entropy) = match secrecy {
            Secrecy::Plain => (Access::Plain, [0; 32]),
            Secrecy::Key(key) => {
                let key = PairingKey::load(key)?;
                let entropy = unseal(&key, &reader.comment().sealed_entropy).ok_or_else(|| {
                    Error::input(&place, "the key doesn't open it")
                        .legal("the pairing key of the link that was captured")
                        .hint("`efference pair --show FILE` tells keys apart; a link in the clear needs `?plain`")
                })?;
                (Access::Paired(Key::from_bytes(*key.bytes())), entropy)
            }
        };
        let wanted = reader.comment().asked.wanted().ok_or_else(|| {
            Error::input(&place, format!("it holds `{}`", reader.comment().asked.mode))
                .legal("what this version knows: counts, crossings, snippets, power, band-power, quiet")
        })?;
        let settings = Settings { listens_only: true, ..Settings::new(access, entropy, wanted) };
        let info = StreamInfo {
            kind: crate::block::StreamKind::Counts,
            sample_rate: crate::time::SampleRate::new(1.0, "capture")?,
            uv_per_count: None,
            channels: Vec::new(),
            synthetic: true,
        };
        Ok(CaptureSource {
            reader,
            feed: Feed::new(settings, &place)?,
            info,
            n_frames: 0,
            packet: Vec::with_capacity(PACKET_MAX),
            now: HostTime::default(),
            is_over: false,
        })
    }

    /// Takes the next packet; false at the end.
    fn advance(&mut self) -> Result<bool, Error> {
        if self.is_over {
            return Ok(false);
        }
        let Some((at, way)) = self.reader.next(&mut self.packet)? else {
            self.is_over = true;
            self.feed.host().close(self.now, None);
            self.feed.collect(self.now);
            return Ok(true);
        };
        self.now = at.max(self.now);
        self.feed.pass_time(self.now, |_, _| {});
        match way {
            Way::Up => self.feed.host().handle_packet(self.now, &self.packet),
            Way::Down => self.feed.host().overhear(self.now, &self.packet),
        }
        self.feed.collect(self.now);
        Ok(true)
    }
}

impl SampleSource for CaptureSource {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn n_frames(&self) -> Option<u64> {
        Some(self.n_frames)
    }

    fn read(&mut self, block: &mut Block) -> Result<ReadOutcome, Error> {
        loop {
            if self.feed.pop(block).is_some() {
                return Ok(ReadOutcome::Block);
            }
            if !self.advance()? {
                return Ok(ReadOutcome::End);
            }
        }
    }

    fn link_report(&mut self) -> Option<LinkReport> {
        Some(self.feed.report())
    }
}

fn capture_cipher(key: &PairingKey) -> ChaCha20Poly1305 {
    let mut hash = Sha256::new();
    hash.update(b"efference link capture");
    hash.update(key.bytes());
    ChaCha20Poly1305::new(&hash.finalize())
}

/// Nonce and sealed bytes.
pub(super) fn seal(key: &PairingKey, bytes: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let nonce = entropy()?;
    let nonce = &nonce[..NONCE];
    let sealed = capture_cipher(key).encrypt(Nonce::from_slice(nonce), &bytes[..]);
    let sealed = sealed.map_err(|_| Error::output("--capture", "the session's entropy can't be sealed"))?;
    Ok([nonce, &sealed].concat())
}

fn unseal(key: &PairingKey, hex: &str) -> Option<[u8; 32]> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.len() > NONCE)?;
    let (nonce, sealed) = bytes.split_at(NONCE);
    capture_cipher(key).decrypt(Nonce::from_slice(nonce), sealed).ok()?.try_into().ok()
}

const NONCE: usize = 12;
