//! The implant as a peripheral of a pretend BlueZ: the program as it is, on a bus of its own; what bluetoothd and a host do
//! is done here. In real time; synthetic.
#![cfg(all(feature = "ble", target_os = "linux"))]

use efference::HostTime;
use efference::link::{Settings, Wanted};
use efference::sources::link::{Feed, PACKET_MAX, PairingKey};
use efference::wire::gatt;
use efference::wire::packet::VERSION;
use efference::wire::session::{Access, Key};
use fake_bluez::{Bus, Registered, Server, Wrong, indicated};
use futures_util::{FutureExt, StreamExt};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};
use zbus::MessageStream;
use zbus::zvariant::Value;

/// The program, ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.0.kill();
        let _status = self.0.wait();
    }
}

fn key_file() -> PathBuf {
    let path = std::env::temp_dir().join(format!("efference-bluez-{}.key", std::process::id()));
    if !path.exists() {
        PairingKey::new().and_then(|key| key.save(&path)).expect("a new key");
    }
    path
}

fn serve(bus: &Bus, adapter: &str, key: &std::path::Path) -> Program {
    let device = "blackrock-utah,electrodes=32,seed=2";
    let program = Command::new(env!("CARGO_BIN_EXE_firmware-sim"))
        .args([
            "serve",
            device,
            "--spikes",
            "--ble",
            adapter,
            "--name",
            "Implant",
            "--seconds",
            "60",
            "--key",
        ])
        .arg(key)
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    Program(program.expect("the program starts"))
}

fn run<R>(test: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test)
}

/// A host beyond the pretend BlueZ.
struct Central<'a> {
    server: &'a Server,
    registered: Registered,
    feed: Feed,
    start: Instant,
    sockets: Vec<UnixStream>,
    indications: MessageStream,
    /// Packets of data and telemetry, and indications of nothing.
    n_packets: u32,
    n_questions: u32,
    /// An indication that is not confirmed yet.
    is_open: bool,
    confirms: bool,
}

impl<'a> Central<'a> {
    async fn connect(server: &'a Server, registered: Registered, key: &PairingKey) -> Central<'a> {
        let access = Access::Paired(Key::from_bytes(*key.bytes()));
        let feed = Feed::new(Settings::new(access, [7; 32], Wanted::default()), "test").expect("legal");
        let mut central = Central {
            indications: server.indications(&registered).await.expect("signals"),
            server,
            registered,
            feed,
            start: Instant::now(),
            sockets: Vec::new(),
            n_packets: 0,
            n_questions: 0,
            is_open: false,
            confirms: true,
        };
        central.listen().await;
        central
    }

    /// As when it connects: the subscriptions.
    async fn listen(&mut self) {
        for uuid in [gatt::DATA, gatt::TELEMETRY] {
            let socket = self.server.acquire(&self.registered, uuid, ATT_MTU).await.expect("a socket");
            let socket = std::os::unix::net::UnixStream::from(socket);
            self.sockets.push(UnixStream::from_std(socket).expect("a socket"));
        }
        self.server.call(&self.registered, gatt::CONTROL, "StartNotify", &()).await.expect("it listens");
        let now = self.now();
        self.feed.host().carrier_is_up(now, gatt::packet_max(ATT_MTU));
    }

    /// As when it goes.
    async fn go(&mut self) {
        self.sockets.clear();
        self.server.call(&self.registered, gatt::CONTROL, "StopNotify", &()).await.expect("it is told");
    }

    fn now(&self) -> HostTime {
        HostTime { ns: self.start.elapsed().as_nanos() as u64 }
    }

    /// What happens in a moment.
    async fn step(&mut self) {
        let (now, mut up) = (self.now(), Vec::new());
        let Central { feed, sockets, n_packets, .. } = self;
        feed.pass_time(now, |_, packet| up.push(packet.to_vec()));
        let mut packet = [0; PACKET_MAX];
        for socket in sockets {
            while let Ok(n @ 1..) = socket.try_read(&mut packet) {
                assert!(n <= gatt::packet_max(ATT_MTU), "{n} bytes");
                *n_packets += 1;
                feed.take(now, &packet[..n], |_, packet| up.push(packet.to_vec()));
            }
        }
        while let Some(Some(signal)) = self.indications.next().now_or_never() {
            assert!(!self.is_open, "one indication at a time");
            self.is_open = true;
            let value = indicated(&signal.expect("a signal")).expect("a value");
            match value.is_empty() {
                true => self.n_questions += 1,
                false => self.feed.take(now, &value, |_, packet| up.push(packet.to_vec())),
            }
        }
        if self.is_open && self.confirms {
            self.is_open = false;
            self.server.call(&self.registered, gatt::CONTROL, "Confirm", &()).await.expect("it is told");
        }
        for packet in up {
            let options: HashMap<&str, Value<'_>> = [("type", "request".into())].into();
            let body = (packet, options);
            let written = self.server.call(&self.registered, gatt::CONTROL, "WriteValue", &body).await;
            written.expect("it takes packets");
        }
        sleep(Duration::from_millis(1)).await;
    }

    fn n_whole(&mut self) -> u64 {
        self.feed.report().ledger.bins.whole
    }

    /// Steps until so many more bins have come.
    async fn bins(&mut self, n: u64) {
        let (wanted, end) = (self.n_whole() + n, Instant::now() + PATIENCE);
        while self.n_whole() < wanted {
            assert!(Instant::now() < end, "in vain: {:#?}", self.feed.report());
            self.step().await;
        }
    }
}

#[test]
fn a_host_streams_and_comes_back_and_nothing_piles_up_in_bluez() {
    let Some(bus) = Bus::start().expect("a bus") else { return println!("skipped: no dbus-daemon") };
    run(async {
        let path = key_file();
        let key = PairingKey::load(&path).expect("the key");
        let mut server = Server::start(bus.address(), Wrong::Nothing).await.expect("the service");
        let _program = serve(&bus, "bluez:hci0", &path);
        let registered = server.registered().await.expect("it registers");
        let advertised = |what: &str| registered.advertisement[what].try_clone().expect("no descriptor");
        assert_eq!(String::try_from(advertised("LocalName")).expect("text"), "Implant");
        let services = Vec::<String>::try_from(advertised("ServiceUUIDs")).expect("texts");
        assert_eq!(services, [efference::sources::ble::Peer::Known(gatt::SERVICE).to_string()]);
        for (uuid, value) in [(gatt::VERSION, vec![VERSION]), (BATTERY_LEVEL, vec![100])] {
            let options: HashMap<&str, Value<'_>> = HashMap::new();
            let answer = server.call(&registered, uuid, "ReadValue", &(options,)).await.expect("it is read");
            assert_eq!(answer.body().deserialize::<Vec<u8>>().expect("bytes"), value);
        }

        let mut central = Central::connect(&server, registered, &key).await;
        central.bins(60).await;
        assert!(central.n_questions >= 3, "{} questions", central.n_questions);
        let report = central.feed.report();
        assert!(report.balanced && report.ledger.bins.lost == 0, "{report:#?}");

        // A radio that takes nothing: what BlueZ is given has an end, and goes on when the radio does.
        central.confirms = false;
        while !central.is_open {
            central.step().await;
        }
        let before = central.n_packets;
        for _ in 0..1_500 {
            central.step().await;
        }
        let n_more = central.n_packets - before;
        assert!((8..=WINDOW).contains(&n_more), "{n_more} packets without a confirmation");
        central.confirms = true;
        central.bins(20).await;

        // The host goes and comes back.
        central.go().await;
        sleep(Duration::from_millis(300)).await;
        central.listen().await;
        central.bins(20).await;
        assert!(central.feed.report().balanced);
        let boots = central.feed.report().ledger.link.boots;
        assert_eq!(boots, 1, "the implant stayed the same");
        drop(central);

        // The adapter goes off and on, BlueZ ends and starts.
        server.power(false);
        sleep(Duration::from_millis(1_500)).await;
        server.power(true);
        let again = server.registered().await.expect("it registers anew");
        assert!(again.path(gatt::DATA).is_some());
        server.vanish().await.expect("it ends");
        let mut server = Server::start(bus.address(), Wrong::Nothing).await.expect("the service");
        let registered = server.registered().await.expect("it registers anew");
        let mut central = Central::connect(&server, registered, &key).await;
        central.bins(10).await;
    });
    let _gone = std::fs::remove_file(key_file());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what the program prints is read while it runs")]
fn what_can_t_work_is_said_at_once_and_what_may_pass_is_waited_for() {
    let path = std::env::temp_dir().join(format!("efference-bluez-errors-{}.key", std::process::id()));
    PairingKey::new().and_then(|key| key.save(&path)).expect("a new key");
    for (wrong, adapter, words) in [
        (Some(Wrong::NoAdapter), "bluez", "no Bluetooth adapter"),
        (Some(Wrong::Nothing), "bluez:hci7", "no adapter hci7. Legal: hci0"),
        (Some(Wrong::Forbidden), "bluez", "no permission"),
        (Some(Wrong::Busy), "bluez", "the adapter is busy"),
        (Some(Wrong::NameTaken("Implant")), "bluez", "`Implant` is the name of another device here, F0:F1"),
        (None, "bluez", "BlueZ doesn't run"),
    ] {
        let Some(bus) = Bus::start().expect("a bus") else { return println!("skipped: no dbus-daemon") };
        run(async {
            let server = match wrong {
                Some(wrong) => Some(Server::start(bus.address(), wrong).await.expect("the service")),
                None => None,
            };
            let mut program = serve(&bus, adapter, &path);
            let stderr = program.0.stderr.take().expect("piped");
            let read = std::thread::spawn(move || std::io::read_to_string(stderr).expect("text"));
            let end = Instant::now() + PATIENCE;
            while !read.is_finished() {
                assert!(Instant::now() < end, "{wrong:?}: it goes on");
                sleep(Duration::from_millis(5)).await;
            }
            let text = read.join().expect("text");
            assert!(text.contains(words), "{wrong:?}: {text}");
            assert!(!program.0.wait().expect("it ends").success());
            drop(server);
        });
    }
    let Some(bus) = Bus::start().expect("a bus") else { return println!("skipped: no dbus-daemon") };
    run(async {
        let mut server = Server::start(bus.address(), Wrong::Off).await.expect("the service");
        let mut program = serve(&bus, "bluez", &path);
        let stderr = BufReader::new(program.0.stderr.take().expect("piped"));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        while let Some(line) = told.recv().await {
            if line.contains("hci0 is switched off") {
                break;
            }
        }
        server.power(true);
        server.registered().await.expect("it registers");
    });
    let _gone = std::fs::remove_file(path);
}

const ATT_MTU: u16 = 247;
/// What may be handed over unconfirmed.
const WINDOW: u32 = 32;
/// 0x2A19 of the Bluetooth SIG.
const BATTERY_LEVEL: u128 = 0x0000_2a19_0000_1000_8000_0080_5f9b_34fb;
const PATIENCE: Duration = Duration::from_secs(20);
