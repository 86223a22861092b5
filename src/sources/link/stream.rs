//! Packets in a stream of bytes: each stands behind its length, 2 bytes little-endian.
//!
//! In: packets, or bytes as they come. Out: the same, whole. Guarantees: a length that no packet has is an error, after
//! which the stream is of no use; a packet that the other side doesn't take within [`SEND_TIME`] breaks it too.

use super::PACKET_MAX;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

/// An open connection.
pub(super) struct PacketStream {
    reader: Reader,
    writer: Box<dyn Write + Send>,
    inbox: Inbox,
    wait: Duration,
}

enum Reader {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
    #[cfg(unix)]
    Pipe(std::fs::File),
}

impl PacketStream {
    pub(super) fn of_tcp(socket: TcpStream) -> Result<Self> {
        socket.set_nonblocking(false)?;
        // Commands and bins are small and late ones are worthless.
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(SEND_TIME))?;
        let writer = Box::new(socket.try_clone()?);
        Ok(PacketStream { reader: Reader::Tcp(socket), writer, inbox: Inbox::new(), wait: Duration::ZERO })
    }

    #[cfg(unix)]
    pub(super) fn of_unix(socket: std::os::unix::net::UnixStream) -> Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(SEND_TIME))?;
        let writer = Box::new(socket.try_clone()?);
        Ok(PacketStream { reader: Reader::Unix(socket), writer, inbox: Inbox::new(), wait: Duration::ZERO })
    }

    /// Sends a packet; false if the other side doesn't take it now and nothing of it was sent.
    ///
    /// # Errors
    /// If the connection has ended, or part of the packet was sent.
    pub(super) fn send(&mut self, packet: &[u8]) -> Result<bool> {
        let mut framed = [0; 2 + PACKET_MAX];
        framed[..2].copy_from_slice(&(packet.len() as u16).to_le_bytes());
        framed[2..2 + packet.len()].copy_from_slice(packet);
        let framed = &framed[..2 + packet.len()];
        match self.writer.write(framed) {
            Ok(n) if n == framed.len() => Ok(true),
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Ok(n) => self.writer.write_all(&framed[n..]).map(|()| true),
            Err(error) if is_late(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The next packet, if one is whole within `wait`.
    ///
    /// # Errors
    /// If the connection has ended, or a length is none of a packet.
    pub(super) fn receive(&mut self, buffer: &mut [u8; PACKET_MAX], wait: Duration) -> Result<Option<usize>> {
        if let Some(n) = self.inbox.take(buffer)? {
            return Ok(Some(n));
        }
        let wanted = wait.max(Duration::from_micros(100));
        let room = self.inbox.room();
        let read = match &mut self.reader {
            Reader::Tcp(socket) => {
                #[cfg(unix)]
                if !is_ready(socket, wanted)? {
                    return Ok(None);
                }
                if self.wait != wanted {
                    socket.set_read_timeout(Some(wanted))?;
                    self.wait = wanted;
                }
                socket.read(room)
            }
            #[cfg(unix)]
            Reader::Unix(socket) => match is_ready(socket, wanted)? {
                true => socket.read(room),
                false => return Ok(None),
            },
            #[cfg(unix)]
            Reader::Pipe(file) => match is_ready(file, wanted)? {
                true => file.read(room),
                false => return Ok(None),
            },
        };
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.inbox.len += n;
                self.inbox.take(buffer)
            }
            Err(error) if is_late(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Bytes that have come and were not given out.
struct Inbox {
    bytes: Box<[u8; INBOX]>,
    len: usize,
}

impl Inbox {
    fn new() -> Self {
        Inbox { bytes: Box::new([0; INBOX]), len: 0 }
    }

    /// Never empty: whatever is whole was taken before.
    fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    fn take(&mut self, buffer: &mut [u8; PACKET_MAX]) -> Result<Option<usize>> {
        if self.len < 2 {
            return Ok(None);
        }
        let n = usize::from(u16::from_le_bytes([self.bytes[0], self.bytes[1]]));
        if n == 0 || n > PACKET_MAX {
            return Err(Error::new(ErrorKind::InvalidData, format!("a packet of {n} bytes")));
        }
        if self.len < 2 + n {
            return Ok(None);
        }
        buffer[..n].copy_from_slice(&self.bytes[2..2 + n]);
        self.bytes.copy_within(2 + n..self.len, 0);
        self.len -= 2 + n;
        Ok(Some(n))
    }
}

/// Opens the two named pipes; each end holds both ways of each open, so that none of them ends while the other end is
/// away.
#[cfg(unix)]
pub(super) fn pipes(path: &Path, is_device: bool) -> Result<PacketStream> {
    use std::os::unix::fs::OpenOptionsExt;
    let (up, down) = super::Carrier::pipes(path);
    let open = |path| {
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        std::fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
    };
    let (reads, writes) = if is_device { (down, up) } else { (up, down) };
    let (reader, writer) = (Reader::Pipe(open(reads)?), Box::new(open(writes)?));
    Ok(PacketStream { reader, writer, inbox: Inbox::new(), wait: Duration::ZERO })
}

/// Sees that the two named pipes are there; this system has no call that makes one.
#[cfg(target_vendor = "apple")]
pub(super) fn make_pipes(path: &Path) -> Result<()> {
    let (up, down) = super::Carrier::pipes(path);
    match up.exists() && down.exists() {
        true => Ok(()),
        false => Err(Error::other(format!("make them: mkfifo {} {}", up.display(), down.display()))),
    }
}

/// Makes the two named pipes where there are none.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(super) fn make_pipes(path: &Path) -> Result<()> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (up, down) = super::Carrier::pipes(path);
    for pipe in [up, down] {
        match mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether something can be read within `wait`: to the microsecond, where a socket's own timeout goes by the system's
/// ticks of several milliseconds.
#[cfg(unix)]
pub(super) fn is_ready(file: &impl std::os::fd::AsFd, wait: Duration) -> Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&wait)) {
        Ok(n) => Ok(n > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// How long the other side may leave a packet untaken.
const SEND_TIME: Duration = Duration::from_millis(20);
const INBOX: usize = 16 * (2 + PACKET_MAX);
