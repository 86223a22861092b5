//! Packets over sockets, pipes and Bluetooth: the same few calls, whatever carries them.
//!
//! In: packets to send. Out: packets as they come, none longer than [`PACKET_MAX`]. Guarantees: what can't be sent at
//! once is not waited for; a connection that breaks is opened again by the next call; damaged framing closes the
//! connection rather than give wrong packets.

use super::Carrier;
use super::stream::PacketStream;
#[cfg(unix)]
use super::stream::pipes;
use crate::error::Error;
use crate::sources::ble::{BleLink, BleReport, News};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Duration;

/// The longest packet of a link, bytes.
pub const PACKET_MAX: usize = 512;

/// What a wait for a packet brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of the buffer.
    Packet(usize),
    /// The time is over.
    Nothing,
    /// Nothing will come any more: a capture has ended.
    End,
}

/// One end of a link.
pub struct Transport {
    kind: Kind,
    /// Packets that the system didn't take.
    unsent: u64,
    /// Connections that ended, by the other side or by damage.
    broken: u64,
}

enum Kind {
    Udp {
        socket: UdpSocket,
        peer: Option<SocketAddr>,
        last_from: Option<SocketAddr>,
        wait: Duration,
    },
    Tcp {
        listener: Option<TcpListener>,
        address: SocketAddr,
        stream: Option<PacketStream>,
    },
    #[cfg(unix)]
    Unix {
        listener: Option<(std::os::unix::net::UnixListener, PathBuf)>,
        path: PathBuf,
        stream: Option<PacketStream>,
    },
    #[cfg(unix)]
    Pipe {
        stream: Option<PacketStream>,
        path: PathBuf,
        listens: bool,
    },
    Ble(BleLink),
}

impl Transport {
    /// The host's end.
    ///
    /// # Errors
    /// If the system has no such socket or file. Whether anybody is at the other end shows later.
    pub fn connect(address: &Carrier) -> Result<Self, Error> {
        let kind = match address {
            Carrier::Udp(to) => {
                let any: SocketAddr =
                    if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let open = || {
                    let socket = UdpSocket::bind(any)?;
                    socket.connect(to)?;
                    Ok(socket)
                };
                let socket = open().map_err(|error| unopened(address, &error))?;
                Kind::Udp { socket, peer: Some(*to), last_from: None, wait: Duration::ZERO }
            }
            Carrier::Tcp(to) => Kind::Tcp { listener: None, address: *to, stream: None },
            #[cfg(unix)]
            Carrier::Unix(path) => Kind::Unix { listener: None, path: path.clone(), stream: None },
            #[cfg(unix)]
            Carrier::Pipe(path) => Kind::Pipe { stream: None, path: path.clone(), listens: false },
            Carrier::Ble(implant) => Kind::Ble(BleLink::start(implant)?),
            other => return Err(unfit(other)),
        };
        Ok(Transport { kind, unsent: 0, broken: 0 })
    }

    /// The device's end: waits for a host. Named pipes are made if they aren't there.
    ///
    /// # Errors
    /// If the system refuses the port or the path.
    pub fn listen(address: &Carrier) -> Result<Self, Error> {
        let kind = match address {
            Carrier::Udp(at) => {
                let socket = UdpSocket::bind(at).map_err(|error| unopened(address, &error))?;
                Kind::Udp { socket, peer: None, last_from: None, wait: Duration::ZERO }
            }
            Carrier::Tcp(at) => {
                let listener = TcpListener::bind(at).map_err(|error| unopened(address, &error))?;
                listener.set_nonblocking(true).map_err(|error| unopened(address, &error))?;
                Kind::Tcp { listener: Some(listener), address: *at, stream: None }
            }
            #[cfg(unix)]
            Carrier::Unix(path) => {
                let bind = || {
                    let listener = std::os::unix::net::UnixListener::bind(path)?;
                    listener.set_nonblocking(true)?;
                    Ok(listener)
                };
                let listener = bind().map_err(|error| unopened(address, &error))?;
                Kind::Unix { listener: Some((listener, path.clone())), path: path.clone(), stream: None }
            }
            #[cfg(unix)]
            Carrier::Pipe(path) => {
                super::stream::make_pipes(path).map_err(|error| unopened(address, &error))?;
                Kind::Pipe { stream: None, path: path.clone(), listens: true }
            }
            other => return Err(unfit(other)),
        };
        Ok(Transport { kind, unsent: 0, broken: 0 })
    }

    /// The address that a listening socket has got, where the port was left to the system.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Udp { socket, .. } => socket.local_addr().ok(),
            Kind::Tcp { listener: Some(listener), .. } => listener.local_addr().ok(),
            _ => None,
        }
    }

    /// Packets that the system didn't take, and connections that ended.
    pub fn counts(&self) -> (u64, u64) {
        (self.unsent, self.broken)
    }

    /// Sends a packet, or counts it as unsent.
    pub fn send(&mut self, packet: &[u8]) {
        debug_assert!(packet.len() <= PACKET_MAX);
        self.open();
        let sent = match &mut self.kind {
            Kind::Udp { socket, peer: Some(peer), .. } => {
                // A connected socket takes no address.
                let sent = if socket.peer_addr().is_ok() {
                    socket.send(packet)
                } else {
                    socket.send_to(packet, *peer)
                };
                sent.is_ok()
            }
            Kind::Udp { peer: None, .. } => false,
            Kind::Tcp { stream, .. } => send_on(stream, packet, &mut self.broken),
            #[cfg(unix)]
            Kind::Unix { stream, .. } | Kind::Pipe { stream, .. } => {
                send_on(stream, packet, &mut self.broken)
            }
            Kind::Ble(link) => link.send(packet),
        };
        self.unsent += u64::from(!sent);
    }

    /// Waits for a packet, at most `wait`.
    pub fn receive(&mut self, buffer: &mut [u8; PACKET_MAX], wait: Duration) -> Received {
        self.open();
        match &mut self.kind {
            Kind::Udp { socket, last_from, wait: set, .. } => {
                // A time of 0 would mean for ever.
                let wanted = wait.max(SHORTEST_WAIT);
                #[cfg(unix)]
                if !super::stream::is_ready(socket, wait).unwrap_or(true) {
                    return Received::Nothing;
                }
                if *set != wanted && socket.set_read_timeout(Some(wanted)).is_ok() {
                    *set = wanted;
                }
                // One byte more shows what is too long, and is no packet of ours.
                let mut long = [0; PACKET_MAX + 1];
                match socket.recv_from(&mut long) {
                    Ok((n, from)) if n <= PACKET_MAX => {
                        *last_from = Some(from);
                        buffer[..n].copy_from_slice(&long[..n]);
                        Received::Packet(n)
                    }
                    Ok(_) => Received::Nothing,
                    Err(error) => {
                        // Nobody listens there yet: the system says so at once, and would again.
                        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                            std::thread::sleep(wait.min(RETRY));
                        }
                        Received::Nothing
                    }
                }
            }
            Kind::Tcp { stream, .. } => receive_on(stream, buffer, wait, &mut self.broken),
            #[cfg(unix)]
            Kind::Unix { stream, .. } | Kind::Pipe { stream, .. } => {
                receive_on(stream, buffer, wait, &mut self.broken)
            }
            Kind::Ble(link) => link.receive(buffer, wait).map_or(Received::Nothing, Received::Packet),
        }
    }

    /// What has happened below the packets, one thing at a time; only Bluetooth tells.
    pub fn news(&mut self) -> Option<News> {
        match &mut self.kind {
            Kind::Ble(link) => link.news(),
            _ => None,
        }
    }

    /// How the link does below the packets, over Bluetooth.
    pub fn bluetooth(&self) -> Option<BleReport> {
        match &self.kind {
            Kind::Ble(link) => Some(link.report()),
            _ => None,
        }
    }

    /// Where the last packet came from, on a carrier where anybody can send.
    pub fn last_from(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Udp { last_from, .. } => *last_from,
            _ => None,
        }
    }

    /// A packet from there was genuine: answers go there.
    pub fn accept_peer(&mut self, from: SocketAddr) {
        if let Kind::Udp { peer, .. } = &mut self.kind {
            *peer = Some(from);
        }
    }

    /// Takes a connection that waits, or makes one.
    fn open(&mut self) {
        match &mut self.kind {
            Kind::Udp { .. } | Kind::Ble(_) => {}
            Kind::Tcp { listener, address, stream } => {
                let found = match listener {
                    // Who comes last is served: the host may have lost the connection before we did.
                    Some(listener) => listener.accept().ok().map(|(socket, _)| socket),
                    None if stream.is_none() => TcpStream::connect_timeout(address, CONNECT).ok(),
                    None => None,
                };
                if let Some(opened) = found.and_then(|socket| PacketStream::of_tcp(socket).ok()) {
                    self.broken += u64::from(stream.is_some());
                    *stream = Some(opened);
                }
            }
            #[cfg(unix)]
            Kind::Unix { listener, path, stream } => {
                let found = match listener {
                    Some((listener, _)) => listener.accept().ok().map(|(socket, _)| socket),
                    None if stream.is_none() => std::os::unix::net::UnixStream::connect(path).ok(),
                    None => None,
                };
                if let Some(opened) = found.and_then(|socket| PacketStream::of_unix(socket).ok()) {
                    self.broken += u64::from(stream.is_some());
                    *stream = Some(opened);
                }
            }
            #[cfg(unix)]
            Kind::Pipe { stream, path, listens } => {
                if stream.is_none() {
                    *stream = pipes(path, *listens).ok();
                }
            }
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Kind::Unix { listener: Some((_, path)), .. } = &self.kind {
            // A path that stays would refuse the next one who listens.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn send_on(stream: &mut Option<PacketStream>, packet: &[u8], broken: &mut u64) -> bool {
    let Some(open) = stream else { return false };
    match open.send(packet) {
        Ok(sent) => sent,
        Err(_) => {
            *stream = None;
            *broken += 1;
            false
        }
    }
}

fn receive_on(
    stream: &mut Option<PacketStream>,
    buffer: &mut [u8; PACKET_MAX],
    wait: Duration,
    broken: &mut u64,
) -> Received {
    let Some(open) = stream else {
        std::thread::sleep(wait.min(RETRY));
        return Received::Nothing;
    };
    match open.receive(buffer, wait) {
        Ok(Some(n)) => Received::Packet(n),
        Ok(None) => Received::Nothing,
        Err(_) => {
            *stream = None;
            *broken += 1;
            Received::Nothing
        }
    }
}

fn unopened(address: &Carrier, error: &std::io::Error) -> Error {
    Error::usage(address.to_string(), format!("it can't be opened ({error})"))
        .legal("a free port of this machine, or a path in a folder that you may write to")
        .hint("another port, or end the program that has it")
}

fn unfit(address: &Carrier) -> Error {
    Error::usage(address.to_string(), "nothing can be sent there")
        .legal("udp://, tcp://, on Unix unix:// and pipe://; to call, ble://")
}

/// How long a missing other end is left alone.
const RETRY: Duration = Duration::from_millis(5);
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_millis(200);
/// The shortest wait that the system takes for one.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends packets both ways until all have come; the device learns its peer by the first that it takes for genuine.
    fn both_ways(device: &mut Transport, host: &mut Transport) {
        let (mut buffer, wait) = ([0; PACKET_MAX], Duration::from_millis(50));
        let receive = |end: &mut Transport, buffer: &mut [u8; PACKET_MAX]| {
            (0..100).find_map(|_| match end.receive(buffer, wait) {
                Received::Packet(n) => Some(buffer[..n].to_vec()),
                _ => None,
            })
        };
        // The device opens its end only when it is called.
        while device.receive(&mut buffer, Duration::from_millis(1)) == Received::Nothing {
            host.send(&[7]);
        }
        if let Some(from) = device.last_from() {
            device.accept_peer(from);
        }
        for n in [1, 20, 511, PACKET_MAX] {
            let packet: Vec<u8> = (0..n).map(|k| k as u8 ^ n as u8).collect();
            device.send(&packet);
            assert_eq!(receive(host, &mut buffer), Some(packet.clone()), "up, {n} bytes");
            host.send(&packet);
            let got = std::iter::from_fn(|| receive(device, &mut buffer)).find(|got| got != &[7]);
            assert_eq!(got, Some(packet), "down, {n} bytes");
        }
    }

    fn at(transport: &Transport, scheme: &str) -> Carrier {
        let address = transport.local_address().expect("a socket");
        match scheme {
            "udp" => Carrier::Udp(address),
            _ => Carrier::Tcp(address),
        }
    }

    #[test]
    fn packets_go_both_ways_over_every_carrier() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut device = Transport::listen(&Carrier::Udp(any)).expect("a free port");
        let mut host = Transport::connect(&at(&device, "udp")).expect("a socket");
        both_ways(&mut device, &mut host);
        let mut device = Transport::listen(&Carrier::Tcp(any)).expect("a free port");
        let mut host = Transport::connect(&at(&device, "tcp")).expect("a socket");
        both_ways(&mut device, &mut host);
        #[cfg(unix)]
        {
            let folder = tempfile::tempdir().expect("a folder");
            for carrier in [Carrier::Unix(folder.path().join("s")), Carrier::Pipe(folder.path().join("p"))] {
                let mut device = Transport::listen(&carrier).expect("a free path");
                let mut host = Transport::connect(&carrier).expect("a path");
                both_ways(&mut device, &mut host);
            }
        }
    }

    #[test]
    fn a_connection_that_ends_or_is_damaged_is_opened_again() {
        use std::io::Write;
        let mut device = Transport::listen(&Carrier::Tcp(([127, 0, 0, 1], 0).into())).expect("a free port");
        let carrier = at(&device, "tcp");
        let Carrier::Tcp(address) = carrier else { panic!("tcp") };
        let mut stranger = TcpStream::connect(address).expect("somebody listens");
        stranger.write_all(&[255; 4]).expect("taken");
        let mut buffer = [0; PACKET_MAX];
        while device.counts().1 == 0 {
            assert_eq!(device.receive(&mut buffer, Duration::from_millis(20)), Received::Nothing);
        }
        drop(stranger);
        both_ways(&mut device, &mut Transport::connect(&carrier).expect("a socket"));
        both_ways(&mut device, &mut Transport::connect(&carrier).expect("a socket"));
    }

    #[test]
    fn what_cannot_be_opened_is_an_error() {
        let device = Transport::listen(&Carrier::Udp(([127, 0, 0, 1], 0).into())).expect("a free port");
        let message = Transport::listen(&at(&device, "udp")).err().expect("taken").to_string();
        assert!(message.contains("Legal: a free port"), "{message}");
        assert!(Transport::connect(&Carrier::Capture("a".into())).is_err());
    }
}
