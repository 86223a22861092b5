//! Where every packet of one way is: counts that always sum to what was sent.

use std::fmt;

/// Packets of one way. `sent` is the sum of delivered, lost, dropped and in flight; copies made by `duplicate` are
/// counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Given to the radio, refused ones too.
    pub sent: u64,
    /// Taken by the receiver.
    pub delivered: u64,
    /// Lost under way, unknown to the sender, by cause; the order is that of [`Lost::ALL`].
    pub lost: [u64; Lost::ALL.len()],
    /// Refused, which the sender was told, by reason; the order is that of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// In the queue, on the air, or arrived and not yet received.
    pub in_flight: u64,
    /// Of those delivered, and of copies delivered, the ones whose bytes aren't those sent.
    pub damaged: u64,
    /// Second copies.
    pub copies: CopyLedger,
}

/// Copies of packets. `made` is the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyLedger {
    /// By a `duplicate`.
    pub made: u64,
    /// Taken by the receiver.
    pub delivered: u64,
    /// Lost with a broken link.
    pub lost: u64,
    /// Not yet received.
    pub in_flight: u64,
}

/// Why a packet never arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// By a `loss`.
    Alone,
    /// By a `burst-loss`.
    Burst,
    /// Under way when the link broke.
    Disconnected,
    /// Under way when the device lost power.
    DeviceOff,
}

/// Why a packet wasn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// The sender's queue is full.
    QueueFull,
    /// Longer than the MTU of the time.
    TooLong,
    /// The link is down.
    Disconnected,
    /// The device has no power.
    DeviceOff,
}

impl Ledger {
    /// Packets lost under way.
    pub fn lost_in_all(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Packets refused.
    pub fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether each packet and each copy stands here once. It always does.
    pub fn is_balanced(&self) -> bool {
        let copies = self.copies;
        self.sent == self.delivered + self.lost_in_all() + self.dropped_in_all() + self.in_flight
            && copies.made == copies.delivered + copies.lost + copies.in_flight
    }
}

impl Lost {
    /// All causes, in the ledger's order.
    pub const ALL: [Lost; 4] = [Lost::Alone, Lost::Burst, Lost::Disconnected, Lost::DeviceOff];
}

impl Dropped {
    /// All reasons, in the ledger's order.
    pub const ALL: [Dropped; 4] =
        [Dropped::QueueFull, Dropped::TooLong, Dropped::Disconnected, Dropped::DeviceOff];
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lost::Alone => "alone",
            Lost::Burst => "in bursts",
            Lost::Disconnected => "with the link",
            Lost::DeviceOff => "with the device's power",
        })
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dropped::QueueFull => "queue full",
            Dropped::TooLong => "longer than the MTU",
            Dropped::Disconnected => "link down",
            Dropped::DeviceOff => "device off",
        })
    }
}

impl std::error::Error for Dropped {}

/// One line for a report.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |counts: Vec<(String, u64)>| {
            let some = counts.into_iter().filter(|(_, count)| *count > 0);
            let words: Vec<String> = some.map(|(name, count)| format!("{count} {name}")).collect();
            if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
        };
        let lost = by(Lost::ALL.iter().map(Lost::to_string).zip(self.lost).collect());
        let dropped = by(Dropped::ALL.iter().map(Dropped::to_string).zip(self.dropped).collect());
        write!(
            f,
            "{} sent = {} delivered + {} lost{lost} + {} dropped{dropped} + {} in flight; {} damaged, {} of {} copies \
             delivered",
            self.sent,
            self.delivered,
            self.lost_in_all(),
            self.dropped_in_all(),
            self.in_flight,
            self.damaged,
            self.copies.delivered,
            self.copies.made
        )
    }
}
