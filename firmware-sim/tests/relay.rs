//! A served implant behind a relay of UDP: the host's port changes on the way, strangers send what they like, and data and
//! commands go on. In real time over loopback; synthetic.

use efference::block::Payload;
use efference::link::Wanted;
use efference::sources::SampleSource;
use efference::sources::link::{Carrier, LinkAddress, LinkSource, PairingKey, Secrecy, Transport};
use efference::wire::session::{Access, Key};
use firmware_sim::body::Body;
use firmware_sim::faults::Script;
use firmware_sim::implant::Build;
use firmware_sim::radio::{Budget, Radio};
use firmware_sim::serve::serve;
use firmware_sim::tissue::Tissue;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);

/// Passes packets on, both ways; after so many of the host's it goes on from another port.
fn relay(near: &UdpSocket, device: SocketAddr, n_hops: &AtomicU64, stop: &AtomicBool) {
    let fresh = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a time");
        socket
    };
    let (mut far, mut host, mut n_down, mut packet) = (fresh(), None, 0, [0; 600]);
    near.set_read_timeout(Some(Duration::from_millis(1))).expect("a time");
    while !stop.load(Ordering::Relaxed) {
        if let Ok((n, from)) = near.recv_from(&mut packet) {
            host = Some(from);
            n_down += 1;
            if n_down % 12 == 0 {
                far = fresh();
                n_hops.fetch_add(1, Ordering::Relaxed);
            }
            far.send_to(&packet[..n], device).expect("loopback");
        }
        while let Ok((n, _)) = far.recv_from(&mut packet) {
            if let Some(host) = host {
                near.send_to(&packet[..n], host).expect("loopback");
            }
        }
    }
}

#[test]
fn a_relay_that_changes_its_port_loses_nothing_for_good_and_a_stranger_takes_nothing() {
    let folder = std::env::temp_dir().join(format!("efference-relay-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("implant.key");
    PairingKey::new().and_then(|key| key.save(&path)).expect("a new key");
    let key = PairingKey::load(&path).expect("the key that was written");
    let settings = efference::sources::simulator::Settings::parse("sim:blackrock-utah,electrodes=32,seed=2")
        .expect("legal");
    let build = Build {
        n_electrodes: settings.electrodes,
        sample_rate_hz: settings.sample_rate_hz,
        profile: settings.profile,
        name: "relayed".to_string(),
        boot: 7,
        mtu: 244,
        n_datagrams: 64,
        spikes_given: true,
        access: Access::Paired(Key::from_bytes(*key.bytes())),
    };
    let tissue = Tissue::open("blackrock-utah,electrodes=32,seed=2", true, 60.0).expect("legal");
    let mut body = Body::new(build, tissue, &Script::clean(), 1).expect("legal");
    let budget = Budget { bits_per_second: 1_000_000, latency_us: 2_000, mtu: 244, queue_packets: 16 };
    let mut radio = Radio::new(&Script::clean(), budget).expect("legal");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut transport = Transport::listen(&Carrier::Udp(any)).expect("a free port");
    let device = transport.local_address().expect("a socket");
    let near = UdpSocket::bind(any).expect("a free port");
    let relayed = near.local_addr().expect("a socket");
    let (stop, n_hops) = (AtomicBool::new(false), AtomicU64::new(0));

    std::thread::scope(|scope| {
        scope.spawn(|| serve(&mut body, &mut radio, &mut transport, 30.0, &stop).expect("a simulation"));
        scope.spawn(|| relay(&near, device, &n_hops, &stop));
        // Who has no key is answered nothing, and takes no data away.
        let stranger = scope.spawn(|| {
            let socket = UdpSocket::bind(any).expect("a free port");
            socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a time");
            let (mut n_heard, mut packet) = (0, [0; 600]);
            while !stop.load(Ordering::Relaxed) {
                socket.send_to(&[0x28; 60], device).expect("loopback");
                n_heard += u32::from(socket.recv_from(&mut packet).is_ok());
            }
            n_heard
        });
        let address = LinkAddress { carrier: Carrier::Udp(relayed), secrecy: Secrecy::Key(path.clone()) };
        let patience = Duration::from_secs(10);
        let mut source =
            LinkSource::connect(&address, Wanted::default(), None, &STOP, patience).expect("it answers");
        let (mut block, mut n_frames, mut n_spikes) = (source.new_block(), 0, 0);
        source.ask_impedances().expect("nothing else waits");
        while n_frames < 200 {
            source.read(&mut block).expect("a link");
            n_frames += block.header.n_frames;
            let Payload::Counts(counts) = &block.payload else { panic!("counts") };
            n_spikes += counts[..32].iter().map(|&count| u32::from(count.min(9))).sum::<u32>();
        }
        source.close().expect("no capture");
        stop.store(true, Ordering::Relaxed);
        let report = source.report();
        assert!(n_hops.load(Ordering::Relaxed) >= 1, "the relay changed its port");
        assert!(report.balanced && n_spikes > 0, "{:?}", report.ledger);
        assert_eq!(report.ledger.link.sessions, 1, "{:?}", report.happenings);
        assert_eq!(report.impedances.expect("commands are carried out").n_measured, 32);
        assert_eq!(stranger.join().expect("it ends"), 0, "a stranger hears nothing");
    });
    std::fs::remove_dir_all(&folder).expect("it was made");
}
