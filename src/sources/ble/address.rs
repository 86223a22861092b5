//! Which implant over Bluetooth LE: `ble://NAME`, `ble://XX:XX:XX:XX:XX:XX`, with `adapter=hci1` where there are several,
//! and `signals` where BlueZ's socket is not to be used.
//!
//! In: what stands behind `ble://`, and the adapter. Out: a [`BleAddress`]. Guarantees that it is written as it is read;
//! nothing has been looked for yet.

use crate::error::Error;
use std::fmt;

/// An implant, and through which adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BleAddress {
    /// Which implant.
    pub peer: Peer,
    /// The adapter's name (`hci1`) or address; `None` for whichever hears the implant first.
    pub adapter: Option<String>,
    /// Notifications are taken as signals on the system's bus even where BlueZ has a socket for them.
    pub signals: bool,
}

/// What tells an implant from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The name that it advertises.
    Named(String),
    /// Its address, the highest byte first.
    At([u8; 6]),
    /// The number that macOS gives it in place of an address; it differs from computer to computer.
    Known(u128),
}

impl BleAddress {
    /// Reads what stands between `ble://` and the `?`. `text` is the whole for errors, `place` names the argument.
    ///
    /// # Errors
    /// If it names nobody, or has a `%` without two hexadecimal digits.
    pub fn parse(peer: &str, text: &str, place: &str) -> Result<Self, Error> {
        let peer = match (parse_address(peer), parse_number(peer)) {
            (Some(address), _) => Peer::At(address),
            (None, Some(number)) => Peer::Known(number),
            (None, None) => {
                let name = unescape(peer).filter(|name| !name.trim().is_empty()).ok_or_else(|| {
                    Error::usage(place, format!("`{text}` names no implant"))
                        .legal(LEGAL)
                        .hint("`efference devices` lists those within reach; `%20` is a space")
                })?;
                Peer::Named(name)
            }
        };
        Ok(BleAddress { peer, adapter: None, signals: false })
    }

    /// The same through one adapter.
    ///
    /// # Errors
    /// If there is one already, or none is named.
    pub fn through(self, adapter: &str, place: &str) -> Result<Self, Error> {
        let adapter = unescape(adapter).filter(|name| !name.is_empty() && self.adapter.is_none());
        let adapter = adapter.ok_or_else(|| {
            Error::usage(place, "no adapter, or more than one").legal("adapter=NAME, such as adapter=hci1")
        })?;
        Ok(BleAddress { adapter: Some(adapter), ..self })
    }
}

impl fmt::Display for BleAddress {
    /// Without the adapter, as `ble://…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ble://{}", self.peer)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Named(name) => f.write_str(&escape(name)),
            Peer::At(bytes) => {
                for (at, byte) in bytes.iter().enumerate() {
                    write!(f, "{}{byte:02X}", if at > 0 { ":" } else { "" })?;
                }
                Ok(())
            }
            Peer::Known(number) => {
                let digits = format!("{number:032x}");
                let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
                f.write_str(&parts.join("-"))
            }
        }
    }
}

/// A name as it stands in an address.
pub(crate) fn escape(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        match c {
            '%' | '?' | '&' | ' ' | '#' | '\'' | '"' | '\0'..='\x1f' => {
                text.push_str(&format!("%{:02X}", c as u32))
            }
            c => text.push(c),
        }
    }
    text
}

/// `None` where a `%` stands without two digits, or the bytes are no text.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

fn parse_address(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() != 6 {
        return None;
    }
    for (byte, part) in address.iter_mut().zip(parts) {
        let is_digits = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
        *byte = u8::from_str_radix(part, 16).ok().filter(|_| is_digits)?;
    }
    Some(address)
}

/// 8-4-4-4-12 digits.
fn parse_number(text: &str) -> Option<u128> {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let digits = text.replace('-', "");
    let is_digits = lengths == [8, 4, 4, 4, 12] && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u128::from_str_radix(&digits, 16).ok().filter(|_| is_digits)
}

const LEGAL: &str =
    "ble://NAME or ble://XX:XX:XX:XX:XX:XX, with ?adapter=hci1 where there are several adapters";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_addresses_and_numbers_are_told_apart() {
        let read = |text| BleAddress::parse(text, text, "--source").expect("legal").peer;
        assert_eq!(read("N1-0042"), Peer::Named("N1-0042".to_string()));
        assert_eq!(read("my%20implant"), Peer::Named("my implant".to_string()));
        assert_eq!(read("F0:f1:F2:F3:F4:05"), Peer::At([0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 5]));
        assert_eq!(read("F0:F1"), Peer::Named("F0:F1".to_string()));
        assert_eq!(read("+0:f1:F2:F3:F4:05"), Peer::Named("+0:f1:F2:F3:F4:05".to_string()));
        let number = 0x7d1e_0001_52c4_4b8f_9a6d_e1f0_c3b2_a597;
        assert_eq!(read("7d1e0001-52c4-4b8f-9a6d-e1f0c3b2a597"), Peer::Known(number));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in ["", "%20", "%", "%2", "%zz", "a%ff"] {
            let message = BleAddress::parse(text, text, "--source").expect_err("refused").to_string();
            assert!(message.contains("names no implant") && message.contains("Legal: ble://"), "{message}");
        }
        let address = BleAddress::parse("a", "ble://a", "--source").expect("legal");
        let through = address.through("hci1", "--source").expect("legal");
        assert!(through.clone().through("hci0", "--source").is_err());
        assert!(address_of("b").through("", "--source").is_err());
        assert_eq!(through.adapter.as_deref(), Some("hci1"));
    }

    fn address_of(name: &str) -> BleAddress {
        BleAddress { peer: Peer::Named(name.to_string()), adapter: None, signals: false }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]
        #[test]
        fn every_peer_is_read_as_it_was_written(name in "\\PC{1,30}", address: [u8; 6], number: u128) {
            let named = Peer::Named(name.clone());
            for peer in [named, Peer::At(address), Peer::Known(number)] {
                let text = peer.to_string();
                let is_blank = name.trim().is_empty() && matches!(peer, Peer::Named(_));
                match BleAddress::parse(&text, &text, "--source") {
                    Ok(read) => prop_assert_eq!(read.peer, peer),
                    Err(_) => prop_assert!(is_blank),
                }
            }
        }
    }
}
