//! The loop closed through a sealed link: a simulated user watches the screen of a host that calibrates, its implant's firmware
//! sends what it intends, and the host decodes it. And one who doesn't look. In real time over loopback; synthetic.

use efference::Error;
use efference::calibration::{Happens, Plan, Round};
use efference::closed_loop::{Calibrated, CalibrationSettings, Subject, View, calibrate};
use efference::config::Config;
use efference::link::Wanted;
use efference::sources::link::{Carrier, LinkAddress, LinkSource, PairingKey, Secrecy, Transport};
use efference::sources::simulator::Settings;
use efference::tasks::user::UserSettings;
use efference::wire::session::{Access, Key};
use firmware_sim::body::Body;
use firmware_sim::faults::Script;
use firmware_sim::implant::Build;
use firmware_sim::radio::{Budget, Radio};
use firmware_sim::serve::serve;
use firmware_sim::tissue::Tissue;
use firmware_sim::watch::Watcher;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);

const DEVICE: &str = "blackrock-utah,seed=3";

/// Calibrates through a link of its own. Without `looks` the user sees nothing of the screen and rests.
fn through_a_link(name: &str, looks: bool) -> Result<Option<Calibrated>, Error> {
    let path = std::env::temp_dir().join(format!("efference-{name}-{}.key", std::process::id()));
    PairingKey::new().and_then(|key| key.save(&path)).expect("a new key");
    let key = PairingKey::load(&path).expect("the key that was written");
    let settings = Settings::parse(&format!("sim:{DEVICE}")).expect("legal");
    let build = Build {
        n_electrodes: settings.electrodes,
        sample_rate_hz: settings.sample_rate_hz,
        profile: settings.profile,
        name: name.to_string(),
        boot: 7,
        mtu: 244,
        n_datagrams: 64,
        spikes_given: true,
        access: Access::Paired(Key::from_bytes(*key.bytes())),
    };
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let watcher = Watcher::open(any, UserSettings::expert(), 3).expect("a free port");
    let eyes = watcher.address().expect("it is bound");
    let mut tissue = Tissue::open(DEVICE, true, 120.0).expect("legal");
    tissue.watch(DEVICE, true, watcher).expect("legal");
    let mut body = Body::new(build, tissue, &Script::clean(), 1).expect("legal");
    let budget = Budget { bits_per_second: 1_000_000, latency_us: 2_000, mtu: 244, queue_packets: 16 };
    let mut radio = Radio::new(&Script::clean(), budget).expect("legal");
    let mut transport = Transport::listen(&Carrier::Udp(any)).expect("a free port");
    let device = transport.local_address().expect("a socket");
    let stop = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        scope.spawn(|| serve(&mut body, &mut radio, &mut transport, 110.0, &stop).expect("a simulation"));
        let address = LinkAddress { carrier: Carrier::Udp(device), secrecy: Secrecy::Key(path.clone()) };
        let patience = Duration::from_secs(10);
        let source =
            LinkSource::connect(&address, Wanted::default(), None, &STOP, patience).expect("it answers");
        let screen = UdpSocket::bind(any).expect("a free port");
        let mut attend = |view: &View| {
            if looks {
                let line = serde_json::to_vec(view).expect("plain values");
                screen.send_to(&line, eyes).expect("loopback");
            }
            view.problem.is_some().then_some(Happens::Cancel)
        };
        let round = |assistance| Round { seconds: 3.0, assistance };
        let settings = CalibrationSettings {
            config: Config::default(),
            plan: Plan { observe_seconds: 24.0, assisted: vec![round(0.5), round(0.0)] },
            clicks: false,
            keeps_statistics: false,
            seed: 1,
        };
        let done = calibrate(&settings, Subject::Person(Box::new(source)), &mut attend);
        stop.store(true, Ordering::Relaxed);
        done
    });
    std::fs::remove_file(&path).expect("it was made");
    Ok(done?.map(|(calibrated, _, _)| calibrated))
}

#[test]
fn who_watches_the_screen_drives_through_a_sealed_link() {
    let calibrated = through_a_link("watched", true).expect("it can be fitted").expect("nobody cancelled");
    let judged = calibrated.judged.expect("it was asked for");
    let r2 = judged.held_out.velocity_r2.expect("it moves").mean;
    println!("synthetic: {} bins, velocity R² {r2:.3} of going along", judged.n_bins);
    assert!(r2 > 0.3, "R² {r2}");
    assert_eq!(calibrated.fits.len(), 3);
    assert!(calibrated.fits[2].n_targets > calibrated.fits[0].n_targets, "{:?}", calibrated.fits);
}

#[test]
fn who_looks_away_is_told_that_it_cannot_be_learnt() {
    let error = through_a_link("unwatched", false).expect_err("nothing was meant").to_string();
    assert!(error.starts_with("calibration"), "{error}");
}
