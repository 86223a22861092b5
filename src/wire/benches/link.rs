//! What the link costs: sealing and opening a datagram, putting fragments together, a handshake.
//!
//! In: packets of one size. Out: time a datagram, by criterion. One end's sealing alone, then both ends together.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use efference_wire::packet::MTU_MAX;
use efference_wire::session::{Access, Device, Endpoint, Host, Key, Received, records_max};

/// All packets that an end has to send, to the other.
fn carry<A>(from: &mut Endpoint<A>, mtu: usize, mut take: impl FnMut(&[u8])) {
    let mut packet = [0; MTU_MAX];
    while let Some(length) = from.poll_packet(mtu, &mut packet) {
        take(&packet[..length]);
    }
}

fn connect(host: &mut Endpoint<Host>, device: &mut Endpoint<Device>, entropy: u8) {
    host.connect([entropy; 32]);
    carry(host, 512, |packet| assert_eq!(device.receive(packet), Ok(Received::Hello)));
    device.answer([!entropy; 32], &[127, 0]).expect("it was asked");
    carry(device, 512, |packet| assert!(host.receive(packet).is_ok()));
    host.seal(&[127, 0]).expect("there is a session");
    carry(host, 512, |packet| assert!(device.receive(packet).is_ok()));
}

fn ends(access: &Access) -> (Endpoint<Host>, Endpoint<Device>) {
    (Endpoint::host(access.clone(), 1), Endpoint::device(access.clone()))
}

fn link(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("link");
    let paired = Access::Paired(Key::from_bytes([7; 32]));
    for (name, access, mtu) in
        [("sealed", &paired, 512), ("plain", &Access::Plain, 512), ("sealed", &paired, 20)]
    {
        let (mut host, mut device) = ends(access);
        connect(&mut host, &mut device, 1);
        let records = vec![0xA5; records_max(mtu, access)];
        group.throughput(Throughput::Bytes(records.len() as u64));
        group.bench_function(format!("{name}/mtu {mtu}/seal"), |bencher| {
            bencher.iter(|| {
                device.seal(&records).expect("the one before is out");
                carry(&mut device, mtu, |packet| assert!(packet.len() <= mtu));
            });
        });
        group.bench_function(format!("{name}/mtu {mtu}/seal and open"), |bencher| {
            bencher.iter(|| {
                device.seal(&records).expect("the one before is out");
                carry(&mut device, mtu, |packet| assert!(host.receive(packet).is_ok()));
            });
        });
    }
    group.finish();
    criterion.bench_function("link/handshake, both ends", |bencher| {
        let (mut host, mut device) = ends(&paired);
        let mut entropy = 0u8;
        bencher.iter(|| {
            entropy = entropy.wrapping_add(1);
            connect(&mut host, &mut device, entropy);
        });
    });
}

criterion_group!(benches, link);
criterion_main!(benches);
