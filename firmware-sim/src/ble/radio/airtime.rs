//! How long packets of Bluetooth LE take on the air.
//!
//! In: bytes, PHY. Out: microseconds. From Bluetooth Core 5.4, vol. 6, part B: 2.1 (packet format) and 4.1.1 (the space
//! between two packets).

/// How fast bits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phy {
    /// 1 Mbit/s.
    Le1M,
    /// 2 Mbit/s.
    Le2M,
}

impl Phy {
    /// As the commands of HCI number it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Phy::Le1M => 1,
            Phy::Le2M => 2,
        }
    }
}

/// A packet of the link layer with `n_bytes` of payload, µs.
///
/// ```
/// use firmware_sim::ble::radio::airtime::{Phy, packet_us};
/// assert_eq!((packet_us(Phy::Le2M, 0), packet_us(Phy::Le2M, 251)), (44, 1_048));
/// ```
#[must_use]
pub const fn packet_us(phy: Phy, n_bytes: usize) -> u64 {
    // Preamble, access address (4), header (2), payload, CRC (3).
    match phy {
        Phy::Le1M => (1 + 9 + n_bytes as u64) * 8,
        Phy::Le2M => (2 + 9 + n_bytes as u64) * 4,
    }
}

/// One packet each way, and the space behind each, µs.
///
/// A notification of 244 bytes takes 1,392 µs on the 2M PHY: 244 and 7 bytes of ATT and L2CAP, and an empty packet back.
///
/// ```
/// use firmware_sim::ble::radio::airtime::{Phy, exchange_us};
/// assert_eq!(exchange_us(Phy::Le2M, 0, 244 + 7), 1_392);
/// ```
#[must_use]
pub const fn exchange_us(phy: Phy, n_bytes: usize, n_bytes_back: usize) -> u64 {
    packet_us(phy, n_bytes) + SPACE_US + packet_us(phy, n_bytes_back) + SPACE_US
}

/// Between two packets of the same connection event.
pub const SPACE_US: u64 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_so_many_notifications() {
        let fits = |phy, interval_us: u64| interval_us / exchange_us(phy, 0, 251);
        assert_eq!([7_500, 15_000, 30_000].map(|interval| fits(Phy::Le2M, interval)), [5, 10, 21]);
        assert_eq!(exchange_us(Phy::Le1M, 0, 251), 80 + 150 + 2_088 + 150);
        // 1.40 Mbit/s of notifications on 2M.
        assert_eq!(244 * 8 * 1_000_000 / exchange_us(Phy::Le2M, 0, 251), 1_402_298);
    }
}
