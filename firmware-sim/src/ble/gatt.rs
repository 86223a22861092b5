//! What a host finds on the implant: the link's own service, device information, battery.
//!
//! In: who the implant is. Out: TrouBLE's table of attributes, and where in it the characteristics are.

use efference::wire::gatt;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use trouble_host::prelude::*;

/// All services, for one host at a time.
pub(super) type Server<'t, P> = AttributeServer<'t, NoopRawMutex, P, ATTRIBUTES_MAX, 1>;

/// Where the characteristics are that change.
pub(super) struct Handles {
    /// See [`gatt::DATA`].
    pub(super) data: Characteristic<[u8]>,
    /// See [`gatt::CONTROL`].
    pub(super) control: Characteristic<[u8]>,
    /// See [`gatt::TELEMETRY`].
    pub(super) telemetry: Characteristic<[u8]>,
    /// Percent.
    pub(super) battery: Characteristic<u8>,
}

/// What it says of itself.
pub(super) struct Told<'t> {
    /// As advertised.
    pub(super) name: &'t str,
    /// Of the device.
    pub(super) model: &'t str,
}

/// The services; `None` where the stack won't have them.
pub(super) fn server<P: PacketPool>(told: Told<'_>) -> Option<(Server<'_, P>, Handles)> {
    use CharacteristicProp::{Indicate, Notify, Read, Write};
    let mut table = AttributeTable::new();
    GapConfig::default(told.name).build(&mut table).ok()?;

    // The order matters: of what is left of a response TrouBLE 0.8 cuts a long UUID off to a short one if just that fits.
    // At an ATT_MTU of 23 three characteristics with short UUIDs fill a response, so they come first, by threes: two of
    // GAP, one, and three.
    let mut power = table.add_service(Service::new(BATTERY));
    let battery = power.add_characteristic_small(BATTERY_LEVEL, [Read, Notify], 100_u8).build();
    power.build();

    let mut device = table.add_service(Service::new(DEVICE_INFORMATION));
    device.add_characteristic_ro(MANUFACTURER, MADE_BY).build();
    device.add_characteristic_ro(MODEL, told.model).build();
    device.add_characteristic_ro(FIRMWARE, env!("CARGO_PKG_VERSION")).build();
    device.build();

    let mut link = table.add_service(Service::new(gatt::SERVICE));
    // Nothing is kept in the table: values are handed on as they come.
    let empty = heapless::Vec::<u8, 1>::new;
    let data = link.add_characteristic_small(gatt::DATA, [Notify], empty()).build().to_raw();
    let control = link.add_characteristic_small(gatt::CONTROL, [Write, Indicate], empty()).build().to_raw();
    let telemetry = link.add_characteristic_small(gatt::TELEMETRY, [Notify], empty()).build().to_raw();
    link.add_characteristic_ro(gatt::VERSION, &efference::wire::packet::VERSION).build();
    link.build();

    Some((AttributeServer::new(table), Handles { data, control, telemetry, battery }))
}

/// Room for all of them.
const ATTRIBUTES_MAX: usize = 40;
/// What stands for the manufacturer.
pub(super) const MADE_BY: &str = "efference, synthetic";
// Assigned numbers of the Bluetooth SIG.
pub(super) const DEVICE_INFORMATION: u16 = 0x180a;
pub(super) const MANUFACTURER: u16 = 0x2a29;
pub(super) const MODEL: u16 = 0x2a24;
pub(super) const FIRMWARE: u16 = 0x2a26;
pub(super) const BATTERY: u16 = 0x180f;
pub(super) const BATTERY_LEVEL: u16 = 0x2a19;
