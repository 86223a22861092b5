//! HCI between TrouBLE and a controller in the same process.

use bt_hci_transport::{PacketKind, PacketToController, PacketToHost, ReadHciError, WithIndicator};
use std::convert::Infallible;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// TrouBLE's end of it.
pub(super) struct Channel<M> {
    out: UnboundedSender<M>,
    packets: Mutex<UnboundedReceiver<Vec<u8>>>,
}

/// What can go wrong.
#[derive(Debug)]
pub(super) enum ChannelError {
    /// A packet that is none.
    Malformed(ReadHciError<Infallible>),
    /// The other end is no more.
    Closed,
}

impl<M: From<Vec<u8>>> Channel<M> {
    /// Of the controller's inbox, and the host's.
    pub(super) fn new(out: UnboundedSender<M>, packets: UnboundedReceiver<Vec<u8>>) -> Self {
        Channel { out, packets: Mutex::new(packets) }
    }
}

impl<M: From<Vec<u8>>> bt_hci_transport::Transport for Channel<M> {
    async fn read<'a, P: PacketToHost<'a>>(&self, room: &'a mut [u8]) -> Result<P, ChannelError> {
        let packet = self.packets.lock().await.recv().await.ok_or(ChannelError::Closed)?;
        let mut bytes = &packet[..];
        let kind = PacketKind::read(&mut bytes).map_err(ChannelError::Malformed)?;
        P::read_hci(kind, &mut bytes, room).map_err(ChannelError::Malformed)
    }

    async fn write<P: PacketToController>(&self, packet: &P) -> Result<(), ChannelError> {
        let mut bytes = Vec::new();
        WithIndicator::new(packet).write_hci(&mut bytes).map_err(|_| ChannelError::Closed)?;
        self.out.send(bytes.into()).map_err(|_| ChannelError::Closed)
    }
}

impl<M> embedded_io::ErrorType for Channel<M> {
    type Error = ChannelError;
}

impl embedded_io::Error for ChannelError {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl From<ReadHciError<Infallible>> for ChannelError {
    fn from(error: ReadHciError<Infallible>) -> Self {
        ChannelError::Malformed(error)
    }
}

impl std::error::Error for ChannelError {}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChannelError::Malformed(error) => write!(f, "a malformed packet of the controller: {error:?}"),
            ChannelError::Closed => f.write_str("the controller is gone"),
        }
    }
}
