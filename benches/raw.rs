//! The figures of the codecs of raw samples: how small, and how fast on one core.
//!
//! In: the N1 recordings below EFFERENCE_DATA; without them ratios are left out, plainly, and speed is measured on
//! synthetic noise. `--test` takes few files. Out: a line of JSON. Ratios are of 16-bit samples: live, of the samples'
//! bytes over the bytes of all frames (390 samples, headers and a key frame a second included); of archives, of the
//! files' bytes over the archives'. Files of odd index by name had no part in any choice; their ratio is given apart.
//!
//! Speed is by the time that the thread had a core, the best of several rounds; what is decoded is compared.

use efference::recording::archive;
use efference::wire::codec::raw::{Converter, Decoder, Encoder, FRAME_MAX, bound_bytes};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::path::PathBuf;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let files = recordings(if is_test { 2 } else { usize::MAX });
    let codes: Vec<Vec<i16>> = match files.is_empty() {
        true => vec![noise(if is_test { 10_000 } else { 2_000_000 })],
        false => files.iter().map(codes).collect(),
    };
    let n_rounds = if is_test { 1 } else { 5 };
    let rounds: Vec<Live> = (0..n_rounds).map(|_| live(&codes)).collect();
    let best = |seconds: fn(&Live) -> f64| rounds.iter().map(seconds).fold(f64::INFINITY, f64::min);
    let mega = codes.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    let mut report = json!({
        "synthetic": files.is_empty(),
        "codec.raw.encode_msps": mega / best(|live| live.encode_seconds),
        "codec.raw.decode_msps": mega / best(|live| live.decode_seconds),
        "state_bytes": size_of::<Encoder>().max(size_of::<Decoder>()),
    });
    if files.is_empty() {
        println!(
            "skipped: no N1 recordings (EFFERENCE_DATA names the folder of neuralink-n1); ratios are left out"
        );
    } else {
        let live: Vec<(usize, usize)> =
            codes.iter().zip(&rounds[0].n_bytes).map(|(codes, &after)| (2 * codes.len(), after)).collect();
        let archives: Vec<(usize, usize)> = files.iter().map(packed).collect();
        report["files"] = json!(files.len());
        report["codec.n1.live.ratio"] = ratio(&live);
        report["codec.n1.archive.ratio"] = ratio(&archives);
        report["codec.n1.live.ratio_odd"] = ratio(&odd(&live));
        report["codec.n1.archive.ratio_odd"] = ratio(&odd(&archives));
        report["difference_entropy_ratio"] = json!(entropy_ratio(&codes));
    }
    println!("{report}");
}

struct Live {
    n_bytes: Vec<usize>,
    encode_seconds: f64,
    decode_seconds: f64,
}

/// All files once through the live codec.
fn live(files: &[Vec<i16>]) -> Live {
    let mut live = Live { n_bytes: Vec::new(), encode_seconds: 0.0, decode_seconds: 0.0 };
    for codes in files {
        let mut encoder = Encoder::new(Converter::NeuralinkN1, FRAME as u16);
        let n_frames = codes.len().div_ceil(FRAME);
        let mut bytes = vec![0; n_frames * bound_bytes(FRAME, 10)];
        let mut lengths = Vec::with_capacity(n_frames);
        let (mut at, started) = (0, cpu_now());
        for (number, frame) in codes.chunks(FRAME).enumerate() {
            let is_key = number % FRAMES_A_SECOND == 0;
            let n_bytes = encoder.encode(frame, is_key, &mut bytes[at..]).expect("room for any frame");
            lengths.push(n_bytes);
            at += n_bytes;
        }
        live.encode_seconds += cpu_now() - started;
        live.n_bytes.push(at);

        let mut decoder = Decoder::new(Converter::NeuralinkN1, FRAME as u16);
        let mut decoded = vec![0; codes.len() + FRAME_MAX];
        let (mut from, mut to, started) = (0, 0, cpu_now());
        for n_bytes in lengths {
            to += decoder.decode(&bytes[from..from + n_bytes], &mut decoded[to..]).expect("its own frames");
            from += n_bytes;
        }
        live.decode_seconds += cpu_now() - started;
        assert!(decoded[..to] == codes[..], "lossless");
    }
    live
}

/// Bytes of the file and of its archive.
fn packed(path: &PathBuf) -> (usize, usize) {
    let packed = archive::pack(path).expect("an N1 recording");
    let restored = archive::unpack(&packed.bytes, "archive").expect("its own archive");
    assert!(restored.bytes == std::fs::read(path).expect("a recording"), "lossless");
    (restored.bytes.len(), packed.bytes.len())
}

fn ratio(files: &[(usize, usize)]) -> Value {
    let (before, after) = files.iter().fold((0, 0), |sum, file| (sum.0 + file.0, sum.1 + file.1));
    json!(before as f64 / after as f64)
}

fn odd(files: &[(usize, usize)]) -> Vec<(usize, usize)> {
    files.iter().skip(1).step_by(2).copied().collect()
}

/// Of 16 bits over the entropy of differences, one table a file, no table sent.
fn entropy_ratio(files: &[Vec<i16>]) -> f64 {
    let (mut n_samples, mut bits) = (0.0, 0.0);
    for codes in files {
        let mut counts = vec![0.0; 2048];
        codes.windows(2).for_each(|pair| counts[(pair[1] - pair[0] + 1024) as usize] += 1.0);
        let n: f64 = counts.iter().sum();
        bits -=
            counts.iter().filter(|&&count| count > 0.0).map(|count| count * (count / n).log2()).sum::<f64>();
        n_samples += n;
    }
    16.0 * n_samples / bits
}

fn recordings(n_max: usize) -> Vec<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("EFFERENCE_DATA").map_or(default, PathBuf::from).join("neuralink-n1");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wav"));
    files.sort();
    files.truncate(n_max);
    files
}

/// A code is its sample's upper ten bits.
fn codes(path: &PathBuf) -> Vec<i16> {
    let mut file = hound::WavReader::open(path).expect("a WAV file");
    file.samples::<i16>().map(|sample| sample.expect("a whole file") >> 6).collect()
}

/// Noise as wide as the recordings', of a seed.
fn noise(n_samples: usize) -> Vec<i16> {
    let mut state = 1_u64;
    let mut part = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 60) as i16 - 8
    };
    (0..n_samples).map(|_| part() + part()).collect()
}

fn cpu_now() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// 20 ms at 19,531 Hz.
const FRAME: usize = 390;
/// A key frame every 0.998 s.
const FRAMES_A_SECOND: usize = 50;
