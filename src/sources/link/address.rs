//! Where a link leads and with which key: `udp://HOST:PORT?key=FILE`, `tcp://…`, `unix://…`, `pipe://…`, `ble://…`,
//! `capture://…`.
//!
//! In: the text of `--source` or `--listen`. Out: a [`LinkAddress`]. Guarantees that nothing has been opened yet, and
//! that nobody gets a link in the clear who didn't write `plain`.

use crate::error::Error;
use crate::sources::ble::{BleAddress, escape};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;

/// A link's other end, and how to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// What carries the packets.
    pub carrier: Carrier,
    /// How they are sealed.
    pub secrecy: Secrecy,
}

/// How packets are sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// With the pairing key in this file.
    Key(PathBuf),
    /// Not at all: everyone on the way can read and forge them.
    Plain,
}

/// What carries a link's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A packet in each datagram of UDP.
    Udp(SocketAddr),
    /// Packets one after another, each behind its length.
    Tcp(SocketAddr),
    /// The same over a socket in the file system.
    Unix(PathBuf),
    /// The same over two named pipes, `PATH.up` from the device and `PATH.down` to it.
    Pipe(PathBuf),
    /// A packet in each value of a characteristic over Bluetooth LE.
    Ble(BleAddress),
    /// Packets that were captured earlier; nobody answers.
    Capture(PathBuf),
}

impl Carrier {
    /// Reads what stands before the `?`.
    fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(unknown(text, place));
        };
        let path = || match rest.is_empty() {
            true => Err(Error::usage(place, format!("`{text}` names no file")).legal(LEGAL)),
            false => Ok(PathBuf::from(rest)),
        };
        match scheme {
            "udp" => Ok(Carrier::Udp(socket(rest, text, place)?)),
            "tcp" => Ok(Carrier::Tcp(socket(rest, text, place)?)),
            "unix" => Ok(Carrier::Unix(path()?)),
            "pipe" => Ok(Carrier::Pipe(path()?)),
            "ble" => Ok(Carrier::Ble(BleAddress::parse(rest, text, place)?)),
            "capture" => Ok(Carrier::Capture(path()?)),
            _ => Err(unknown(text, place)),
        }
    }

    /// The named pipe from the device, and the one to it.
    #[cfg(unix)]
    pub(super) fn pipes(path: &Path) -> (PathBuf, PathBuf) {
        let with = |end: &str| PathBuf::from(format!("{}.{end}", path.display()));
        (with("up"), with("down"))
    }
}

impl LinkAddress {
    /// Whether a source's text means a link.
    pub fn is_link(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://")))
    }

    /// Reads an address. `place` names the argument in errors.
    ///
    /// # Errors
    /// If the scheme is unknown, what follows isn't a host with a port or a path, or neither a key nor `plain` is named.
    ///
    /// ```
    /// use efference::sources::link::LinkAddress;
    /// let address = LinkAddress::parse("udp://127.0.0.1:47500?key=pairing.key", "--source")?;
    /// assert_eq!(address.to_string(), "udp://127.0.0.1:47500?key=pairing.key");
    /// let message = LinkAddress::parse("udp://127.0.0.1:47500", "--source").unwrap_err().to_string();
    /// assert!(message.contains("?key=FILE"));
    /// # Ok::<(), efference::Error>(())
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let (carrier, words) = text.split_once('?').unwrap_or((text, ""));
        let mut carrier = Carrier::parse(carrier, place)?;
        let mut secrecy = None;
        for word in words.split('&').filter(|word| !word.is_empty()) {
            let found = match word.split_once('=') {
                Some(("adapter", adapter)) if matches!(carrier, Carrier::Ble(_)) => {
                    if let Carrier::Ble(address) = carrier {
                        carrier = Carrier::Ble(address.through(adapter, place)?);
                    }
                    continue;
                }
                None if word == "signals" && matches!(carrier, Carrier::Ble(_)) => {
                    if let Carrier::Ble(address) = carrier {
                        carrier = Carrier::Ble(BleAddress { signals: true, ..address });
                    }
                    continue;
                }
                Some(("key", path)) if !path.is_empty() => Secrecy::Key(PathBuf::from(path)),
                None if word == "plain" => Secrecy::Plain,
                _ => {
                    return Err(
                        Error::usage(place, format!("`{word}` means nothing in an address")).legal(SECRECY)
                    );
                }
            };
            if secrecy.replace(found).is_some() {
                return Err(Error::usage(place, "more than one key, or a key and `plain`").legal(SECRECY));
            }
        }
        let secrecy = secrecy.ok_or_else(|| {
            Error::usage(place, format!("`{text}` names no pairing key"))
                .legal(SECRECY)
                .hint("`efference pair FILE` makes a key; `?plain` sends everything in the clear")
        })?;
        Ok(LinkAddress { carrier, secrecy })
    }
}

impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}?", self.carrier)?;
        if let Carrier::Ble(BleAddress { adapter: Some(adapter), .. }) = &self.carrier {
            write!(f, "adapter={}&", escape(adapter))?;
        }
        match &self.secrecy {
            Secrecy::Key(path) => write!(f, "key={}", path.display()),
            Secrecy::Plain => f.write_str("plain"),
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Carrier::Udp(address) => write!(f, "udp://{address}"),
            Carrier::Tcp(address) => write!(f, "tcp://{address}"),
            Carrier::Unix(path) => write!(f, "unix://{}", path.display()),
            Carrier::Pipe(path) => write!(f, "pipe://{}", path.display()),
            Carrier::Ble(address) => address.fmt(f),
            Carrier::Capture(path) => write!(f, "capture://{}", path.display()),
        }
    }
}

fn socket(rest: &str, text: &str, place: &str) -> Result<SocketAddr, Error> {
    let found = rest.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        Error::usage(place, format!("`{text}` is no host with a port"))
            .legal("HOST:PORT, such as 127.0.0.1:47500")
            .hint("if the host is a name, ask the system for it: `getent hosts NAME`")
    })
}

fn unknown(text: &str, place: &str) -> Error {
    Error::usage(place, format!("`{text}` is no address of a link")).legal(LEGAL)
}

const SCHEMES: [&str; 6] = ["udp", "tcp", "unix", "pipe", "ble", "capture"];
const SECRECY: &str = "?key=FILE, or ?plain; for ble:// also &adapter=NAME";
const LEGAL: &str =
    "udp://HOST:PORT, tcp://HOST:PORT, unix://PATH, pipe://PATH, ble://NAME, capture://FILE.pcapng";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for carrier in [
            "udp://127.0.0.1:1",
            "tcp://[::1]:9",
            "unix:///tmp/x",
            "pipe://p",
            "ble://N1%20a",
            "capture://a.pcapng",
        ] {
            assert!(LinkAddress::is_link(carrier));
            for text in [format!("{carrier}?key=a/b.key"), format!("{carrier}?plain")] {
                assert_eq!(LinkAddress::parse(&text, "--source").expect("legal").to_string(), text);
            }
        }
        let text = "ble://F0:F1:F2:F3:F4:F5?adapter=hci1&key=a/b.key";
        assert_eq!(LinkAddress::parse(text, "--source").expect("legal").to_string(), text);
        assert!(!LinkAddress::is_link("sim:neuralink-n1") && !LinkAddress::is_link("udp.wav"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_would_be() {
        for text in [
            "udp://nowhere?plain",
            "tcp://127.0.0.1:99999?plain",
            "ftp://x:1?plain",
            "unix://?plain",
            "x",
            "unix://x",
            "unix://x?",
            "unix://x?key=",
            "unix://x?plain&key=a",
            "unix://x?plane",
            "unix://x?adapter=hci0&plain",
            "ble://?plain",
            "ble://a",
            "ble://a?adapter=hci0",
            "ble://a?adapter=&plain",
            "ble://a?adapter=a&adapter=b&plain",
        ] {
            let message = LinkAddress::parse(text, "--source").expect_err("refused").to_string();
            assert!(message.starts_with("--source: ") && message.contains("Legal: "), "{message}");
        }
    }
}
