//! What a controller does on the commands of its host (Bluetooth Core 5.4, vol. 4, part E, 7).

use super::airtime::Phy;
use super::link::{Change, OCTETS_MIN};
use super::{CENTRAL, HANDLE, Initiating, OCTETS_MAX, RSSI, Radio};
use rand::RngExt;

impl Radio {
    /// Does a command and answers it; one that nobody knows is refused.
    pub(super) fn command(&mut self, side: usize, code: u16, arguments: &[u8]) {
        let arguments = Arguments(arguments);
        let mut answer = vec![0];
        match code {
            DISCONNECT => return self.on_disconnect(side, arguments.byte(2)),
            READ_REMOTE_VERSION => {
                self.status(side, code, 0);
                return self.event(side, 0x0c, &[0, HANDLE[0], HANDLE[1], 0x0c, 0xff, 0xff, 1, 0]);
            }
            // Masks, filters, timeouts and lists, which change nothing here.
            0x0c01 | 0x0c05 | 0x0c13 | 0x0c16 | 0x0c18 | 0x0c24 | 0x0c31 | 0x0c33 | 0x0c63 | 0x0c6d
            | 0x2001 | 0x2010 | 0x2011 | 0x2012 | 0x2031 => {}
            RESET => self.reset(side),
            0x0c14 => answer.extend([0; 248]),
            0x0c23 => answer.extend([0; 3]),
            0x0c6c => answer.extend([1, 0]),
            READ_LOCAL_VERSION => answer.extend([0x0c, 1, 0, 0x0c, 0xff, 0xff, 1, 0]),
            READ_LOCAL_COMMANDS => answer.extend(supported_commands()),
            READ_LOCAL_FEATURES => answer.extend([0, 0, 0, 0, 0x60, 0, 0, 0]),
            0x1004 => answer.extend([arguments.byte(0), 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            0x1005 => answer.extend([0; 7]),
            READ_ADDRESS => answer.extend(self.sides[side].address),
            READ_RSSI => answer.extend([HANDLE[0], HANDLE[1], RSSI]),
            LE_READ_BUFFERS => answer.extend([OCTETS_MAX as u8, 0, self.settings.buffers]),
            // Encryption, peripheral's feature exchange, longer packets; the 2M PHY.
            LE_READ_FEATURES => answer.extend([0x29, self.has_2m(), 0, 0, 0, 0, 0, 0]),
            0x2005 => self.sides[side].random_address = arguments.array(0),
            LE_SET_ADVERTISING_PARAMETERS => {
                let controller = &mut self.sides[side];
                controller.advertising_interval_us = u64::from(arguments.half(0).max(32)) * 625;
                (controller.advertising_kind, controller.own_kind) = (arguments.byte(4), arguments.byte(5));
            }
            0x2007 => answer.push(0),
            0x2008 => self.sides[side].advertisement = arguments.counted(),
            0x2009 => self.sides[side].scan_response = arguments.counted(),
            LE_SET_ADVERTISING => {
                self.sides[side].is_advertising = arguments.byte(0) == 1;
                self.advertising_us = self.now_us;
            }
            0x200b => self.sides[side].asks_more = arguments.byte(0) == 1,
            0x200c => self.sides[side].is_scanning = arguments.byte(0) == 1,
            LE_CONNECT => {
                self.sides[side].initiating = Some(Initiating {
                    is_any: arguments.byte(4) == 1,
                    peer_kind: arguments.byte(5),
                    peer: arguments.array(6),
                    own_kind: arguments.byte(12),
                    interval: arguments.half(15).max(6),
                    latency: arguments.half(17),
                    timeout: arguments.half(19).max(10),
                });
                return self.status(side, code, 0);
            }
            LE_CONNECT_CANCEL => {
                if self.sides[side].initiating.take().is_some() {
                    self.complete(side, code, &answer);
                    let mut event = [0; 18];
                    event[0] = UNKNOWN_CONNECTION;
                    return self.meta(side, 0x01, &event);
                }
                answer[0] = DISALLOWED;
            }
            0x200f => answer.push(16),
            LE_UPDATE_CONNECTION => return self.on_update(side, &arguments),
            LE_READ_REMOTE_FEATURES => {
                self.status(side, code, 0);
                let features = [0, HANDLE[0], HANDLE[1], 0x29, self.has_2m(), 0, 0, 0, 0, 0, 0];
                return self.meta(side, 0x04, &features);
            }
            LE_RANDOM => answer.extend(self.rng.random::<[u8; 8]>()),
            LE_START_ENCRYPTION => {
                self.status(side, code, 0);
                self.sides[side].long_term_key = Some(arguments.array(12));
                let mut event = vec![HANDLE[0], HANDLE[1]];
                event.extend(arguments.array::<10>(2));
                return self.meta(1 - side, 0x05, &event);
            }
            LE_KEY | LE_NO_KEY => return self.on_key(side, code, &arguments),
            0x201c => answer.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0x03, 0, 0]),
            LE_SET_DATA_LENGTH => {
                answer.extend(HANDLE);
                self.complete(side, code, &answer);
                let octets = arguments.half(2).clamp(OCTETS_MIN, self.settings.octets);
                if let Some(link) = self.link.as_mut().filter(|link| link.octets != octets) {
                    link.change_after(1, Change::Octets(octets));
                }
                return;
            }
            0x2023 => {
                answer.extend(self.sides[side].suggested_octets.to_le_bytes());
                answer.extend(328_u16.to_le_bytes());
            }
            0x2024 => self.sides[side].suggested_octets = arguments.half(0),
            LE_READ_LENGTHS_MAX => {
                for _ in 0..2 {
                    answer.extend(OCTETS_MAX.to_le_bytes());
                    answer.extend(2_120_u16.to_le_bytes());
                }
            }
            LE_READ_PHY => {
                let phy = self.link.as_ref().map_or(Phy::Le1M, |link| link.phy).code();
                answer.extend([HANDLE[0], HANDLE[1], phy, phy]);
            }
            LE_SET_PHY => {
                self.status(side, code, 0);
                let is_fast = arguments.byte(3) & 2 != 0 && self.settings.phy == Phy::Le2M;
                let phy = if is_fast { Phy::Le2M } else { Phy::Le1M };
                if let Some(link) = &mut self.link {
                    link.change_after(6, Change::Phy(phy));
                }
                return;
            }
            _ => answer[0] = UNKNOWN_COMMAND,
        }
        self.complete(side, code, &answer);
    }

    fn on_disconnect(&mut self, side: usize, reason: u8) {
        let (from, to) = self.blackout_us();
        let is_silent = (from..to).contains(&self.now_us);
        let is_known = self.link.as_ref().is_some_and(|link| !link.is_gone[side]);
        self.status(side, DISCONNECT, if is_known { 0 } else { UNKNOWN_CONNECTION });
        let Some(link) = self.link.as_mut().filter(|link| !link.is_gone[side]) else { return };
        if is_silent {
            // The other side doesn't hear of it, and misses it in time.
            link.is_gone[side] = true;
            return self.event(side, 0x05, &[0, HANDLE[0], HANDLE[1], BY_LOCAL_HOST]);
        }
        let mut reasons = [reason; 2];
        reasons[side] = BY_LOCAL_HOST;
        self.disconnect(reasons);
    }

    fn on_update(&mut self, side: usize, arguments: &Arguments<'_>) {
        self.status(side, LE_UPDATE_CONNECTION, 0);
        let settings = &self.settings;
        let Some(link) = &mut self.link else { return };
        let asked_us = u64::from(arguments.half(4).max(6)) * 1_250;
        let interval_us = if settings.is_interval_fixed { link.interval_us } else { asked_us };
        let timeout_us = u64::from(arguments.half(8).max(10)) * 10_000;
        let timeout_us = settings.supervision_us.unwrap_or(timeout_us);
        link.change_after(6, Change::Parameters { interval_us, latency: arguments.half(6), timeout_us });
    }

    fn on_key(&mut self, side: usize, code: u16, arguments: &Arguments<'_>) {
        let mut answer = vec![0];
        answer.extend(HANDLE);
        self.complete(side, code, &answer);
        if code == LE_NO_KEY {
            return self.event(1 - side, 0x08, &[KEY_MISSING, HANDLE[0], HANDLE[1], 0]);
        }
        let is_right = self.sides[1 - side].long_term_key == Some(arguments.array(2));
        let status = if is_right { 0 } else { MIC_FAILURE };
        for side in [CENTRAL, 1 - CENTRAL] {
            self.event(side, 0x08, &[status, HANDLE[0], HANDLE[1], u8::from(is_right)]);
        }
    }

    fn has_2m(&self) -> u8 {
        u8::from(self.settings.phy == Phy::Le2M)
    }

    fn complete(&mut self, side: usize, code: u16, answer: &[u8]) {
        let mut event = vec![1];
        event.extend(code.to_le_bytes());
        event.extend(answer);
        self.event(side, 0x0e, &event);
    }

    fn status(&mut self, side: usize, code: u16, status: u8) {
        let [low, high] = code.to_le_bytes();
        self.event(side, 0x0f, &[status, 1, low, high]);
    }
}

/// A command's; what is missing is 0.
struct Arguments<'a>(&'a [u8]);

impl Arguments<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at + 1)])
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|k| self.byte(at + k))
    }

    /// Bytes behind their number.
    fn counted(&self) -> Vec<u8> {
        let n = usize::from(self.byte(0));
        self.0.get(1..).map_or(&[][..], |rest| &rest[..n.min(rest.len())]).to_vec()
    }
}

/// Those that the hosts look for.
fn supported_commands() -> [u8; 64] {
    let mut commands = [0; 64];
    let set = [
        (0, 0x20),
        (2, 0x80),
        (5, 0xc0),
        (14, 0xa8),
        (15, 0x02),
        (25, 0xf7),
        (26, 0xff),
        (27, 0xf7),
        (28, 0x07),
        (33, 0x70),
        (34, 0x01),
        (35, 0x38),
        (36, 0x03),
    ];
    for (at, bits) in set {
        commands[at] = bits;
    }
    commands
}

const DISCONNECT: u16 = 0x0406;
const READ_REMOTE_VERSION: u16 = 0x041d;
const RESET: u16 = 0x0c03;
const READ_LOCAL_VERSION: u16 = 0x1001;
const READ_LOCAL_COMMANDS: u16 = 0x1002;
const READ_LOCAL_FEATURES: u16 = 0x1003;
const READ_ADDRESS: u16 = 0x1009;
const READ_RSSI: u16 = 0x1405;
const LE_READ_BUFFERS: u16 = 0x2002;
const LE_READ_FEATURES: u16 = 0x2003;
const LE_SET_ADVERTISING_PARAMETERS: u16 = 0x2006;
const LE_SET_ADVERTISING: u16 = 0x200a;
const LE_CONNECT: u16 = 0x200d;
const LE_CONNECT_CANCEL: u16 = 0x200e;
const LE_UPDATE_CONNECTION: u16 = 0x2013;
const LE_READ_REMOTE_FEATURES: u16 = 0x2016;
const LE_RANDOM: u16 = 0x2018;
const LE_START_ENCRYPTION: u16 = 0x2019;
const LE_KEY: u16 = 0x201a;
const LE_NO_KEY: u16 = 0x201b;
const LE_SET_DATA_LENGTH: u16 = 0x2022;
const LE_READ_LENGTHS_MAX: u16 = 0x202f;
const LE_READ_PHY: u16 = 0x2030;
const LE_SET_PHY: u16 = 0x2032;
/// Errors and reasons.
const UNKNOWN_COMMAND: u8 = 0x01;
const UNKNOWN_CONNECTION: u8 = 0x02;
const KEY_MISSING: u8 = 0x06;
const DISALLOWED: u8 = 0x0c;
const BY_LOCAL_HOST: u8 = 0x16;
const MIC_FAILURE: u8 = 0x3d;
