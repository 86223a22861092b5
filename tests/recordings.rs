//! Recordings through the public door: what real files and small made ones hold, and what a wrong one says.
//!
//! Expected numbers are those that scipy.io.loadmat, scipy.io.wavfile and numpy.fromfile give. Tests of real
//! recordings read the folder that EFFERENCE_DATA names and say that they skip where it is absent.

use efference::block::{Block, Payload};
use efference::recording::{Mapping, Recording, Truth, mat, open, spikes};
use efference::sources::ReadOutcome;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).display().to_string()
}

/// A real recording, or `None` and a line that says so.
fn real(name: &str) -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("EFFERENCE_DATA").map_or(default, PathBuf::from).join(name);
    if !path.exists() {
        println!("skipped: {} is absent (EFFERENCE_DATA names the data folder)", path.display());
    }
    path.exists().then_some(path)
}

fn open_real(name: &str) -> Option<Recording> {
    let path = real(name)?;
    Some(open(path.to_str().expect("UTF-8"), None).expect("a good recording"))
}

/// Calls `each` with every sample's frame, channel and value; gives the frames that start a segment.
fn for_each_sample(recording: &mut Recording, mut each: impl FnMut(u64, usize, f64)) -> Vec<u64> {
    let n_channels = recording.source.info().n_channels();
    let mut block = recording.source.new_block();
    let mut starts = Vec::new();
    let mut next = 0;
    while recording.source.read(&mut block).expect("a good recording") == ReadOutcome::Block {
        assert_eq!((block.header.first_sample.0, block.header.lost_frames), (next, 0));
        starts.extend(block.header.starts_segment.then_some(next));
        for i in 0..block.header.n_frames as usize * n_channels {
            each(next + (i / n_channels) as u64, i % n_channels, value(&block, i));
        }
        next = block.end_sample().0;
    }
    assert_eq!(recording.source.n_frames(), Some(next));
    starts
}

fn value(block: &Block, i: usize) -> f64 {
    match &block.payload {
        Payload::Int16(samples) => f64::from(samples[i]),
        Payload::Float32(samples) => f64::from(samples[i]),
        Payload::Counts(samples) => f64::from(samples[i]),
        Payload::Crossings(_) => panic!("no recording holds single crossings"),
    }
}

fn message(target: &str, mapping: Option<&str>) -> String {
    let error = open(target, mapping).err().unwrap_or_else(|| panic!("{target} was opened"));
    assert_eq!(error.kind(), efference::ErrorKind::Input);
    error.to_string()
}

/// A folder that goes when the test ends, with files of the given names.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("a temporary file");
    }
    folder
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn m1_reaching_is_what_scipy_reads() {
    let Some(mut recording) = open_real("m1-reaching/m1_reaching.mat") else { return };
    let (mut sum, mut first_channel) = (0.0, Vec::new());
    let starts = for_each_sample(&mut recording, |frame, channel, count| {
        sum += count;
        if channel == 0 && frame < 14 {
            first_channel.push(count as u16);
        }
    });
    assert_eq!((sum, starts), (2_008_454.0, vec![0]));
    assert_eq!(first_channel, [1, 3, 1, 1, 0, 1, 3, 1, 1, 1, 0, 3, 0, 0]);
    let about = &recording.about;
    assert_eq!((about.n_channels, about.n_frames, about.sample_rate_hz), (196, 13_205, 20.0));
    assert_eq!(about.silent_channels, ["ch41", "ch122"]);
    let Truth::Kinematics(kinematics) = &recording.truth else { panic!("kinematics") };
    assert_eq!(kinematics.axes, ["x", "y"]);
    assert_eq!(kinematics.velocity.dim(), (13_205, 2));
    assert_eq!(kinematics.velocity[(0, 0)], -0.011200601280112014);
    assert_eq!(kinematics.position.as_ref().expect("positions")[(0, 1)], -0.3036357558384023);
    assert!((kinematics.velocity.column(1).sum() - 0.40171336).abs() < 1e-8);
}

#[test]
fn reach_8dir_streams_the_window_of_each_trial() {
    let Some(mut recording) = open_real("reach-8dir/reach_8dir.mat") else { return };
    let mut per_trial = vec![0.0; 728];
    let mut first_trial = vec![0.0; 97];
    let starts = for_each_sample(&mut recording, |frame, channel, count| {
        per_trial[frame as usize / 200] += count;
        if frame < 200 {
            first_trial[channel] += count;
        }
    });
    assert_eq!(starts, (0..728).map(|trial| 200 * trial).collect::<Vec<u64>>());
    assert_eq!(per_trial.iter().sum::<f64>(), 150_113.0);
    assert_eq!((per_trial[8 + 2], per_trial[727]), (187.0, 199.0));
    assert_eq!(per_trial[..488].iter().sum::<f64>(), 98_859.0);
    assert_eq!(first_trial[..8], [7.0, 1.0, 2.0, 1.0, 6.0, 0.0, 1.0, 11.0]);
    let Truth::Classes(classes) = &recording.truth else { panic!("classes") };
    assert_eq!((classes.names.len(), classes.frames_per_trial), (8, 200));
    assert!(classes.trials.iter().enumerate().all(|(trial, &class)| trial % 8 == usize::from(class)));
    assert_eq!((recording.about.n_trials, recording.about.n_channels), (728, 97));
}

#[test]
fn neuralink_n1_gives_every_code_back() {
    let Some(mut recording) = open_real("neuralink-n1") else { return };
    let about = &recording.about;
    assert_eq!((about.n_channels, about.n_frames, about.sample_rate_hz), (200, 98_605, 19_531.0));
    assert_eq!(recording.source.info().channels[0], "0052503c-2849-4f41-ab51-db382103690c");
    let mut first_channel = Vec::new();
    let (mut least, mut most, mut sum) = (0.0_f64, 0.0_f64, 0.0);
    for_each_sample(&mut recording, |frame, channel, code| {
        (least, most) = (least.min(code), most.max(code));
        sum += code;
        if channel == 0 && frame < 6 {
            first_channel.push(code as i16);
        }
    });
    assert_eq!(first_channel, [-25, -32, -37, -26, -30, -21]);
    assert!(least >= -512.0 && most <= 511.0, "{least} to {most}");
    assert_eq!(sum, 277_960_057.0);
}

#[test]
fn one_n1_file_keeps_all_its_frames() {
    let Some(path) = real("neuralink-n1/0052503c-2849-4f41-ab51-db382103690c.wav") else { return };
    let mut recording = open(path.to_str().expect("UTF-8"), None).expect("a good recording");
    let mut sum = 0.0;
    for_each_sample(&mut recording, |_, _, code| sum += code);
    assert_eq!((recording.about.n_frames, sum), (98_689, 1_120_068.0));
}

#[test]
fn ground_truth_is_what_numpy_reads() {
    for (name, sum, first, last) in [
        ("easy", -31_419_746.0, [-9.0, 26.0, -22.0], [29.0, -44.0, -6.0]),
        ("hard", -31_459_789.0, [-22.0, 62.0, -53.0], [70.0, -106.0, -13.0]),
    ] {
        let Some(mut recording) = open_real(&format!("ground-truth/{name}.i16")) else { return };
        let (mut total, mut head, mut tail) = (0.0, Vec::new(), Vec::new());
        for_each_sample(&mut recording, |frame, channel, value| {
            total += value;
            head.extend((frame == 0 && channel < 3).then_some(value));
            tail.extend((frame == 299_999 && channel >= 29).then_some(value));
        });
        assert_eq!((total, &head[..], &tail[..]), (sum, &first[..], &last[..]));
        let (info, about) = (recording.source.info(), &recording.about);
        assert!(about.synthetic && info.synthetic);
        assert_eq!((info.uv_per_count, about.n_channels, about.seconds), (Some(0.195), 32, 10.0));
        let Some(path) = real(&format!("ground-truth/{name}_spikes.csv")) else { return };
        let spikes = spikes::read(&path).expect("a good file");
        assert_eq!(
            (spikes.len(), spikes[1].sample.0, spikes[1].unit, spikes[1].peak_channel),
            (1184, 312, 7, 4)
        );
    }
}

#[test]
fn matlabs_own_files_are_what_scipy_reads() {
    let Some(path) = real("formats/neuralynx/LAHC1.mat") else { return };
    let file = mat::MatFile::open(&path).expect("a good file");
    let variable = file.variable("Header").expect("a cell");
    let mat::Data::Cell(cells) = variable.array().expect("a cell").data else { panic!("a cell") };
    assert!(matches!(&cells[0].data, mat::Data::Text(text) if text == "######## Neuralynx Data File Header"));
    let samples = file.variable("Samples").expect("numbers");
    let mat::Data::Numeric(numbers) = samples.array().expect("numbers").data else { panic!("numbers") };
    let sum: f64 = (0..numbers.len()).map(|i| numbers.value(i)).sum();
    assert_eq!((numbers.len(), sum), (512 * 23, 60_951.0));
    let Some(path) = real("ecog/ecog_kramer_1.mat") else { return };
    let file = mat::MatFile::open(&path).expect("a good file");
    let electrode = file.variable("E1").expect("numbers");
    let mat::Data::Numeric(numbers) = electrode.array().expect("numbers").data else { panic!("numbers") };
    assert_eq!(numbers.value(3 + 100 * 7), 0.31294713308754396);
}

#[test]
fn every_class_reads_alike_plain_compressed_and_big_endian() {
    let column_major = [1.0, 4.0, 2.0, 5.0, 3.0, 100.0];
    let all =
        ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"];
    let big = ["int16", "float64", "float32", "uint8", "int64"];
    for (name, variables) in
        [("classes_v6.mat", &all[..]), ("classes_v7.mat", &all[..]), ("classes_big_endian.mat", &big[..])]
    {
        let file = mat::MatFile::open(Path::new(&fixture(name))).expect("a good file");
        for variable in variables {
            let bytes = file.variable(variable).expect("listed");
            let array = bytes.array().expect("whole");
            let mat::Data::Numeric(numbers) = array.data else { panic!("{variable} in {name}") };
            let values: Vec<f64> = (0..numbers.len()).map(|i| numbers.value(i)).collect();
            assert_eq!(
                (values.as_slice(), array.dims),
                (&column_major[..], vec![2, 3]),
                "{variable} in {name}"
            );
        }
        let text = file.variable("text").expect("listed");
        assert!(matches!(text.array().expect("whole").data, mat::Data::Text(text) if text == "efference"));
    }
}

#[test]
fn cells_and_structs_nest_and_what_is_not_read_is_said() {
    for name in ["classes_v6.mat", "classes_v7.mat"] {
        let file = mat::MatFile::open(Path::new(&fixture(name))).expect("a good file");
        let cells = file.variable("cells").expect("listed");
        let mat::Data::Cell(cells) = cells.array().expect("whole").data else { panic!("a cell") };
        assert!(matches!(&cells[0].data, mat::Data::Text(text) if text == "añ"), "{:?}", cells[0]);
        assert_eq!(cells[2].dims, [0, 0]);
        let trials = file.variable("trials").expect("listed");
        let mat::Data::Struct { fields, values } = trials.array().expect("whole").data else {
            panic!("a struct")
        };
        assert_eq!((fields, values.len()), (vec!["id".to_string(), "spikes".to_string()], 4));
        let mat::Data::Numeric(id) = values[2].data else { panic!("a number") };
        assert_eq!(id.value(0), 8.0);
        for refused in ["sparse", "complex"] {
            let variable = file.variable(refused).expect("listed");
            assert!(matches!(variable.array().expect("whole").data, mat::Data::Unsupported), "{refused}");
        }
    }
}

#[test]
fn orientation_is_the_mappings_word() {
    let turned = folder(&[(
        "turned.toml",
        br#"
[counts]
variable = "spikes"
channels_in = "columns"
bin_width_ms = 50
exclude_channels = [2]
[kinematics]
position = "handPos"
axes_in = "columns"
axes = [{ name = "y", index = 1 }]
unit = "m"
"#,
    )]);
    let mut rows = open(&fixture("counts.mat"), None).expect("a good file");
    let mut columns =
        open(&fixture("counts_transposed.mat"), Some(&path_in(&turned, "turned.toml"))).expect("a good file");
    assert_eq!(columns.source.info().channels, ["ch0", "ch1", "ch3"]);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for_each_sample(&mut rows, |_, channel, count| a.extend((channel != 2).then_some(count)));
    for_each_sample(&mut columns, |_, _, count| b.push(count));
    assert_eq!(a, b);
    assert_eq!(rows.about.silent_channels, ["ch2"]);
    let (Truth::Kinematics(rows), Truth::Kinematics(columns)) = (&rows.truth, &columns.truth) else {
        panic!("kinematics")
    };
    let (two, one) = (rows.position.as_ref().expect("mapped"), columns.position.as_ref().expect("mapped"));
    assert_eq!(two.column(1), one.column(0));
    assert_eq!(columns.velocity[(7, 0)], (one[(7, 0)] - one[(6, 0)]) * 20.0);
}

#[test]
fn trials_follow_one_another_by_trial_then_class() {
    let mapping = folder(&[(
        "trials.toml",
        b"[trials]\nvariable = \"train_trial\"\nspikes = \"spikes\"\nclasses_in = \"columns\"\n\
          sample_rate_hz = 1000\nwindow_ms = [5, 15]\nclass_names = [\"left\", \"right\"]\n",
    )]);
    let mut recording =
        open(&fixture("trials.mat"), Some(&path_in(&mapping, "trials.toml"))).expect("a good file");
    let mut per_trial = [0.0; 6];
    let starts = for_each_sample(&mut recording, |frame, _, count| per_trial[frame as usize / 10] += count);
    assert_eq!(per_trial, [15.0, 16.0, 21.0, 12.0, 12.0, 15.0]);
    assert_eq!(starts, [0, 10, 20, 30, 40, 50]);
    let Truth::Classes(classes) = &recording.truth else { panic!("classes") };
    assert_eq!((&classes.trials[..], classes.names[1].as_str()), (&[0, 1, 0, 1, 0, 1][..], "right"));
}

#[test]
fn a_wrong_mat_file_says_what_and_where() {
    for (name, expected) in [
        ("counts_nan.mat", "field `handVel`: axis y has NaN at bin 17"),
        ("counts_short.mat", "field `handVel`: it has 49 bins, and `spikes` has 50"),
        ("counts_still.mat", "field `handVel`: axis x is constant (0.25)"),
        ("counts_stuck.mat", "field `spikes`: channel ch1 is constant (3 in every bin)"),
        ("counts_negative.mat", "field `spikes`: channel 3 has -1 at bin 9"),
        ("counts_large.mat", "field `spikes`: channel 3 has 65536 at bin 9"),
        (
            "trials.mat",
            "it has 5 channels × 20 frames. Legal: 5 channels as in the first trial, and at least 550",
        ),
        ("classes_v7.mat", "uint8 (2×3 uint8)"),
    ] {
        let message = message(&fixture(name), None);
        assert!(message.contains(name) && message.contains(expected), "{message}");
    }
    let message = message(&fixture("counts.mat"), Some("reach-8dir"));
    assert!(
        message.contains("field `train_trial`") && message.contains("handVel (3×50 double)"),
        "{message}"
    );
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    let mut v73 = b"MATLAB 7.3 MAT-file".to_vec();
    v73.resize(1024, b' ');
    let dir = folder(&[
        ("empty.mat", b""),
        ("v73.mat", &v73),
        ("text.mat", &[b'x'; 200]),
        ("a.xyz", b"1"),
        ("lone.i16", b"1234"),
        ("odd.i16", b"12345"),
        ("odd.toml", b"[flat]\nsample_rate_hz = 1000\nn_channels = 2\nsample_type = \"int16\"\n"),
        ("short.i16", b"12345678"),
        ("short.json", br#"{"sampling_rate": 1000, "channels": 2, "dtype": "int16", "samples": 3}"#),
        ("empty.wav", b""),
    ]);
    for (name, expected) in [
        ("absent.mat", "can't be read"),
        ("empty.mat", "it is empty (0 bytes)"),
        ("v73.mat", "HDF5"),
        ("text.mat", "its header is not that of a MAT v5 file"),
        ("a.xyz", "its format is not known"),
        ("lone.i16", "no sidecar"),
        ("odd.i16", "5 bytes are not whole frames"),
        ("odd.toml", "is not a recording"),
        ("short.i16", "it has 2 frames. Legal: 3 frames"),
        ("empty.wav", "it is empty (0 bytes)"),
    ] {
        let message = message(&path_in(&dir, name), None);
        assert!(message.contains(name) && message.contains(expected), "{message}");
    }
    let nothing = folder(&[("notes.txt", b"no recording")]);
    assert!(message(&nothing.path().display().to_string(), None).contains("holds no .wav file"));
    assert!(message(&path_in(&dir, "odd.i16"), Some("m1-reaching")).contains("a mapping with [flat]"));
}

/// A WAV file of `spec` with the given samples.
fn wav(spec: hound::WavSpec, samples: &[i16]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("a legal spec");
    for &sample in samples {
        match spec.sample_format {
            hound::SampleFormat::Int => writer.write_sample(sample).expect("in memory"),
            hound::SampleFormat::Float => writer.write_sample(f32::from(sample)).expect("in memory"),
        }
    }
    writer.finalize().expect("in memory");
    bytes.into_inner()
}

const N1_SPEC: hound::WavSpec = hound::WavSpec {
    channels: 1,
    sample_rate: 19_531,
    bits_per_sample: 16,
    sample_format: hound::SampleFormat::Int,
};

#[test]
fn wav_files_stand_side_by_side_as_long_as_the_shortest() {
    let dir = folder(&[
        ("b.wav", &wav(N1_SPEC, &[-1570, -2018, -2338])),
        ("a.wav", &wav(N1_SPEC, &[31, 31])),
        ("notes.txt", b"no recording"),
    ]);
    let mut recording = open(&dir.path().display().to_string(), None).expect("a good folder");
    let mut codes = Vec::new();
    for_each_sample(&mut recording, |_, _, code| codes.push(code));
    assert_eq!(codes, [0.0, -25.0, 0.0, -32.0]);
    assert_eq!(recording.source.info().channels, ["a", "b"]);
    assert_eq!(recording.about.silent_channels, ["a"]);
    assert!(recording.about.notes.iter().any(|note| note.contains("up to 1 frames")));
}

#[test]
fn a_wav_of_another_rig_says_how_to_declare_it() {
    let spec = |change: fn(&mut hound::WavSpec)| {
        let mut spec = N1_SPEC;
        change(&mut spec);
        spec
    };
    let dir = folder(&[
        ("rate.wav", &wav(spec(|s| s.sample_rate = 24_414), &[5, 6])),
        ("bits.wav", &wav(spec(|s| s.bits_per_sample = 24), &[5, 6])),
        ("stereo.wav", &wav(spec(|s| s.channels = 2), &[5, 6])),
        (
            "float.wav",
            &wav(spec(|s| (s.bits_per_sample, s.sample_format) = (32, hound::SampleFormat::Float)), &[5, 6]),
        ),
        ("lattice.wav", &wav(N1_SPEC, &[31, 32])),
        ("rig.toml", b"[wav]\nsample_rate_hz = 24414\ncode = \"linear\"\nuv_per_count = 0.25\n"),
    ]);
    for (name, expected) in [
        ("rate.wav", "field `sample rate`: it is 24414 Hz"),
        ("bits.wav", "field `bits per sample`: its samples are integers of 24 bits"),
        ("stereo.wav", "field `channels`: it has 2 channels"),
        ("float.wav", "its samples are floats of 32 bits"),
        ("lattice.wav", "field `sample 1`: 32 is not on the N1 lattice"),
    ] {
        let message = message(&path_in(&dir, name), None);
        assert!(message.contains(name) && message.contains(expected), "{message}");
        assert!(message.contains("[wav] sample_rate_hz"), "{message}");
    }
    let rig = path_in(&dir, "rig.toml");
    let mut recording = open(&path_in(&dir, "rate.wav"), Some(&rig)).expect("declared");
    let mut samples = Vec::new();
    for_each_sample(&mut recording, |_, _, sample| samples.push(sample));
    assert_eq!((samples, recording.source.info().uv_per_count), (vec![5.0, 6.0], Some(0.25)));
}

#[test]
fn flat_floats_stream_and_name_the_first_that_is_not_finite() {
    let sidecar = b"[flat]\nsample_rate_hz = 1000\nn_channels = 2\nsample_type = \"float32\"\n\
        channels = [\"p\", \"q\"]\n";
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let dir = folder(&[
        ("good.f32", &bytes(&[0.5, 1.0, -2.0, 1.0])),
        ("good.toml", sidecar),
        ("bad.f32", &bytes(&[0.5, 1.0, -2.0, f32::NAN])),
        ("bad.toml", sidecar),
    ]);
    let mut recording = open(&path_in(&dir, "good.f32"), None).expect("a good file");
    let mut samples = Vec::new();
    for_each_sample(&mut recording, |_, _, sample| samples.push(sample));
    assert_eq!(
        (samples, &recording.about.silent_channels[..]),
        (vec![0.5, 1.0, -2.0, 1.0], &["q".to_string()][..])
    );
    let mut recording = open(&path_in(&dir, "bad.f32"), None).expect("opened");
    let mut block = recording.source.new_block();
    let error = recording.source.read(&mut block).expect_err("not a number").to_string();
    assert!(error.contains("bad.f32, field `frame 1`: channel q has NaN"), "{error}");
}

#[test]
fn a_mapping_names_its_wrong_key_or_value() {
    let counts = "[counts]\nvariable = \"s\"\nchannels_in = \"rows\"\nbin_width_ms = 50\n";
    let kinematics = "[kinematics]\nvelocity = \"v\"\naxes_in = \"rows\"\nunit = \"m\"\naxes = ";
    for (text, expected) in [
        (counts.replace("bin_width_ms", "bin_widht_ms"), "`counts.bin_widht_ms`: the key is unknown"),
        (counts.replace("bin_width_ms", "bin_widht_ms"), "`bin_width_ms`, which is the nearest"),
        (
            counts.replace("50", "-1"),
            "`counts.bin_width_ms`: its value is -1. Legal: a number from 0.1 to 60000",
        ),
        (counts.replace("50", "nan"), "`counts.bin_width_ms`: its value is nan"),
        (counts.replace("\"rows\"", "\"row\""), "Legal: \"rows\" or \"columns\""),
        (counts.replace("variable = \"s\"\n", ""), "`counts.variable`: the key is missing"),
        (counts.replace("[counts]", "[count]"), "`count`: the key is unknown"),
        (format!("{counts}[wav]\n"), "it has 2 of the sections"),
        (format!("{counts}{kinematics}[]"), "`kinematics.axes`"),
        (format!("{counts}{kinematics}[{{ name = \"x\" }}]"), "`kinematics.axes`"),
        ("counts = 3".to_string(), "`counts`: its value is 3. Legal: a table"),
        ("[counts\n".to_string(), "line 1 is not TOML"),
        (String::new(), "it has 0 of the sections"),
    ] {
        let error = Mapping::parse(&text, "rig.toml").expect_err(&text).to_string();
        assert!(error.starts_with("rig.toml") && error.contains(expected), "{error}");
    }
    let good = format!("{counts}{kinematics}[{{ name = \"x\", index = 0 }}]");
    assert!(matches!(Mapping::parse(&good, "rig.toml"), Ok(Mapping::Counts(_))));
}
