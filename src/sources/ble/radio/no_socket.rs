//! Where there is no BlueZ, notifications come as the platform brings them.

use uuid::Uuid;

/// There is none.
pub(super) enum Socket {}

impl Socket {
    /// Never.
    pub(super) async fn open(_device: &str, _characteristic: Uuid) -> Option<Self> {
        None
    }

    /// Never called.
    pub(super) async fn take(&mut self, _on: impl FnMut(&[u8])) -> bool {
        match *self {}
    }
}
