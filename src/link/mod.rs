//! The host's end of a link to an implant: packets in, bins out, without a socket and without a clock.
//!
//! In: packets as they come, with the host's time. Out: packets to send, and [`Event`]s: bins in order, each once, with
//! the channels that are not known; gaps with their cause; what the device is, how it is and what it gives up.
//! Guarantees: whatever the bytes, nothing panics and nothing ends; once a device has answered, no packet takes memory;
//! what decodes need not be restarted, since the stream's positions go on over silence, new sessions, jumps of the
//! device's clock and restarts; all that was sent is accounted for in a [`Ledger`]. The same packets at the same times
//! give the same bins, so that a capture can be replayed.
//!
//! ```
//! use efference::link::{Event, Host, Settings, Wanted};
//! use efference::wire::session::Access;
//! use efference::HostTime;
//!
//! let settings = Settings::new(Access::Plain, [7; 32], Wanted::default()); // Random bytes in life.
//! let mut host = Host::new(settings, "--source")?;
//! let mut packet = [0; 512];
//! let mut now = HostTime::default();
//! for _ in 0..3 {
//!     // A socket waits until `poll_timeout` for a packet; here none comes.
//!     let received: Option<&[u8]> = None;
//!     match received {
//!         Some(packet) => host.handle_packet(now, packet),
//!         None => host.handle_timeout(now),
//!     }
//!     while let Some(length) = host.poll_packet(now, &mut packet) {
//!         // The socket sends this.
//!         assert!(packet[..length].len() <= 512);
//!     }
//!     while let Some(event) = host.poll_event() {
//!         match event {
//!             Event::Bin(bin) => println!("{:?}: {} channels", bin.first_sample, bin.values.len()),
//!             Event::Gap(gap) => println!("{} bins are missing: {:?}", gap.n_bins, gap.cause),
//!             Event::FormatChanged(change) => println!("{change}"),
//!             Event::Connecting { attempt } => assert!(attempt > 0),
//!             _ => {}
//!         }
//!     }
//!     now = host.poll_timeout().expect("another hello").max(now);
//! }
//! assert!(host.ledger().is_balanced());
//! # Ok::<(), efference::Error>(())
//! ```

mod bins;
mod calling;
mod event;
mod frames;
mod host;
mod ledger;
mod outbox;
mod queue;
mod raw;
mod sequence;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod throughput;

pub use event::{Bin, Cause, Device, Ending, Event, FormatChange, Gap};
pub use frames::{Frame, RATIO_MAX, Resampler};
pub use host::Host;
pub use ledger::{Bins, Causes, Datagrams, Happenings, Ledger, Packets, Records, Upward};
pub use raw::{RawCounts, RawJoiner, RawRun, Taken};
pub use settings::{Entropy, Settings, Wanted};
