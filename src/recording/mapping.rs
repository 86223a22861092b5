//! Mappings: small TOML files that say what a recording's variables mean.
//!
//! In: the name of a mapping that is compiled in, or a file. Out: checked types. A mapping has one of four
//! sections and says everything that the recording's format leaves open:
//!
//! ```toml
//! [counts]                      # a MAT file of binned counts
//! variable = "spikes"
//! channels_in = "rows"          # or "columns"
//! bin_width_ms = 50.0
//! exclude_channels = [17]       # optional: channels to leave out, from 0
//!
//! [kinematics]                  # optional, beside [counts]
//! position = "handPos"          # at least one of the two; velocity is derived where it is absent
//! velocity = "handVel"
//! axes_in = "rows"
//! axes = [{ name = "x", index = 0 }, { name = "y", index = 1 }]
//! unit = "m"                    # of position; velocity is this a second
//! ```
//! ```toml
//! [trials]                      # a MAT struct array, trials × classes
//! variable = "train_trial"
//! spikes = "spikes"             # the field of counts, channels × frames
//! classes_in = "columns"        # or "rows"
//! sample_rate_hz = 1000.0
//! window_ms = [350.0, 550.0]    # of each trial, half open
//! class_names = ["left", "right"]  # optional
//! exclude_channels = []         # optional
//! ```
//! ```toml
//! [wav]                         # WAV files of 16 bits, one electrode each
//! sample_rate_hz = 24414
//! code = "linear"               # or "neuralink-n1"
//! uv_per_count = 0.195          # optional
//! ```
//! ```toml
//! [flat]                        # flat binary, little-endian, frame by frame; also a sidecar of its own
//! sample_rate_hz = 30000.0
//! n_channels = 32
//! sample_type = "int16"         # or "float32"
//! n_frames = 300000             # optional, checked where present
//! uv_per_count = 0.195          # optional
//! channels = ["a", "b"]         # optional names
//! synthetic = false             # optional
//! hybrid = false                # optional: spikes were added, each to one electrode alone; synthetic then
//! ```

use super::files::read_text;
use super::keys::{Keys, check, number};
use crate::block::CHANNELS_MAX;
use crate::error::Error;
use crate::intents::AXES_MAX;
use crate::time::SampleRate;
use std::path::Path;
use toml::{Table, Value};

/// What a recording's variables mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Mapping {
    /// A MAT file of binned counts.
    Counts(CountsMapping),
    /// A MAT struct array of trials.
    Trials(TrialsMapping),
    /// WAV files.
    Wav(WavMapping),
    /// Flat binary.
    Flat(FlatMapping),
}

/// `[counts]` and `[kinematics]`.
#[derive(Clone, Debug, PartialEq)]
pub struct CountsMapping {
    /// The variable of counts.
    pub variable: String,
    /// Along which dimension the channels lie; bins along the other.
    pub channels_in: Dimension,
    /// Width of a bin.
    pub bin_width_ms: f64,
    /// Channels to leave out, from 0.
    pub exclude_channels: Vec<usize>,
    /// Where the movement is.
    pub kinematics: Option<KinematicsMapping>,
}

/// `[kinematics]`.
#[derive(Clone, Debug, PartialEq)]
pub struct KinematicsMapping {
    /// The variable of positions.
    pub position: Option<String>,
    /// The variable of velocities; derived from position where absent.
    pub velocity: Option<String>,
    /// Along which dimension the axes lie; bins along the other.
    pub axes_in: Dimension,
    /// Name and index (from 0) of each axis to decode.
    pub axes: Vec<(String, usize)>,
    /// Unit of position.
    pub unit: String,
}

/// `[trials]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialsMapping {
    /// The struct array.
    pub variable: String,
    /// Its field of counts, channels × frames.
    pub spikes: String,
    /// Along which dimension the classes lie; trials along the other.
    pub classes_in: Dimension,
    /// Frames a second.
    pub sample_rate: SampleRate,
    /// First frame of the window, and the one after its last.
    pub window_frames: (usize, usize),
    /// Names of the classes; empty where they are numbered.
    pub class_names: Vec<String>,
    /// Channels to leave out, from 0.
    pub exclude_channels: Vec<usize>,
}

/// `[wav]`.
#[derive(Clone, Debug, PartialEq)]
pub struct WavMapping {
    /// The rate that every file must have.
    pub sample_rate_hz: u32,
    /// What the 16 bits hold.
    pub code: WavCode,
    /// Microvolt of one count.
    pub uv_per_count: Option<f32>,
}

/// What the samples of a WAV file hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavCode {
    /// Counts as they are.
    Linear,
    /// Neuralink's 10-bit code on its 16-bit lattice.
    NeuralinkN1,
}

/// `[flat]`, and what a JSON sidecar says in its own words.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatMapping {
    /// Frames a second.
    pub sample_rate: SampleRate,
    /// Channels of a frame.
    pub n_channels: usize,
    /// Type of a sample.
    pub sample_type: SampleType,
    /// Frames that the file must have.
    pub n_frames: Option<u64>,
    /// Microvolt of one count.
    pub uv_per_count: Option<f32>,
    /// Names of the channels; empty where they are numbered.
    pub channels: Vec<String>,
    /// Made by a generator.
    pub synthetic: bool,
    /// A background with synthetic spikes added, each to one electrode alone ([`crate::hybrid`]); synthetic too.
    pub hybrid: bool,
}

/// Type of a sample in a flat file, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleType {
    /// 16-bit integers.
    Int16,
    /// 32-bit floats.
    Float32,
}

/// A dimension of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The first.
    Rows,
    /// The second.
    Columns,
}

impl Mapping {
    /// The mapping called `name`: one that is compiled in (`m1-reaching`, `reach-8dir`) or a file.
    ///
    /// # Errors
    /// If there is none, or its text isn't a mapping.
    pub fn load(name: &str) -> Result<Self, Error> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Mapping::parse(text, name);
        }
        let path = Path::new(name);
        if !path.exists() {
            let names = SHIPPED.map(|(shipped, _)| shipped);
            return Err(Error::input(name, "no mapping has this name, and no file is there")
                .field("mapping")
                .legal(format!("a TOML file, or one of {}", names.join(", ")))
                .hint("check the path")
                .suggest(name, names));
        }
        Mapping::parse(&read_text(path, MAPPING_BYTES_MAX)?, &path.display().to_string())
    }

    /// The mapping in `text`; `place` names it in errors.
    ///
    /// # Errors
    /// If it isn't TOML, has an unknown key, a missing one or a value out of range.
    ///
    /// ```
    /// use efference::recording::Mapping;
    /// let error = Mapping::parse("[wav]\nsample_rat_hz = 24414", "rig.toml").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "rig.toml, field `wav.sample_rat_hz`: the key is unknown. Legal: sample_rate_hz, code, \
    ///      uv_per_count. Try: `sample_rate_hz`, which is the nearest in spelling."
    /// );
    /// ```
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            let line = e.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            Error::input(place, format!("line {line} is not TOML ({})", e.message())).legal("a TOML file")
        })?;
        check(place, "", &table, &["counts", "kinematics", "trials", "wav", "flat"])?;
        let sections: Vec<&str> =
            ["counts", "trials", "wav", "flat"].into_iter().filter(|s| table.contains_key(*s)).collect();
        match sections[..] {
            ["counts"] => counts(place, &table).map(Mapping::Counts),
            [_] if table.contains_key("kinematics") => {
                Err(Error::input(place, "it stands beside a section that has no movement")
                    .field("kinematics")
                    .legal("[kinematics] beside [counts]")
                    .hint("leave it out"))
            }
            ["trials"] => trials(place, &table["trials"]).map(Mapping::Trials),
            ["wav"] => wav(place, &table["wav"]).map(Mapping::Wav),
            ["flat"] => flat(place, &table["flat"]).map(Mapping::Flat),
            _ => Err(Error::input(
                place,
                format!("it has {} of the sections that say the kind", sections.len()),
            )
            .legal("exactly one of [counts], [trials], [wav], [flat]")
            .hint("start from one of those in examples/mappings")),
        }
    }
}

fn counts(place: &str, table: &Table) -> Result<CountsMapping, Error> {
    let legal = ["variable", "channels_in", "bin_width_ms", "exclude_channels"];
    let keys = Keys::new(place, "counts", &table["counts"], &legal)?;
    Ok(CountsMapping {
        variable: keys.required("variable", keys.text("variable")?, "a variable's name")?,
        channels_in: dimension(&keys, "channels_in")?,
        bin_width_ms: keys.required(
            "bin_width_ms",
            keys.number("bin_width_ms", BIN_WIDTH_MS)?,
            "a width in ms",
        )?,
        exclude_channels: excluded(&keys)?,
        kinematics: table.get("kinematics").map(|section| kinematics(place, section)).transpose()?,
    })
}

fn kinematics(place: &str, section: &Value) -> Result<KinematicsMapping, Error> {
    let keys = Keys::new(place, "kinematics", section, &["position", "velocity", "axes_in", "axes", "unit"])?;
    let legal = "[{ name = \"x\", index = 0 }, …], one to three axes, each counted from 0 once and with a name of its own, not `mean`";
    let axes = keys.list("axes", legal, |value| {
        let axis = value.as_table().filter(|axis| axis.len() == 2)?;
        let index = usize::try_from(axis.get("index")?.as_integer()?).ok()?;
        Some((axis.get("name")?.as_str()?.to_string(), index))
    })?;
    let axes = keys.required("axes", axes, legal)?;
    let twice = axes.iter().enumerate().any(|(i, a)| axes[..i].iter().any(|b| a.0 == b.0 || a.1 == b.1));
    // `mean` stands beside the axes in every score.
    let taken = axes.iter().any(|(name, _)| name == "mean");
    if axes.is_empty() || axes.len() > AXES_MAX || twice || taken {
        return Err(keys.refuse("axes", format!("its value is {axes:?}"), legal));
    }
    let (position, velocity) = (keys.text("position")?, keys.text("velocity")?);
    if position.is_none() && velocity.is_none() {
        return Err(keys.refuse("velocity", "neither velocity nor position is named", "one of them or both"));
    }
    Ok(KinematicsMapping {
        position,
        velocity,
        axes_in: dimension(&keys, "axes_in")?,
        axes,
        unit: keys.required("unit", keys.text("unit")?, "the unit of position, as \"m\"")?,
    })
}

fn trials(place: &str, section: &Value) -> Result<TrialsMapping, Error> {
    let legal = [
        "variable",
        "spikes",
        "classes_in",
        "sample_rate_hz",
        "window_ms",
        "class_names",
        "exclude_channels",
    ];
    let keys = Keys::new(place, "trials", section, &legal)?;
    let rate = keys.required("sample_rate_hz", keys.number("sample_rate_hz", RATE_HZ)?, "a rate in Hz")?;
    let legal = "[from, to] in ms, from 0 up, whole frames, at most 1,000,000 ms";
    let window = keys.required("window_ms", keys.list("window_ms", legal, number)?, legal)?;
    let frames: Vec<f64> = window.iter().map(|ms| ms * rate / 1e3).collect();
    let whole = |frames: &f64| (frames - frames.round()).abs() < 1e-6;
    let window_frames = match frames[..] {
        [from, to] if from >= 0.0 && from < to && window[1] <= WINDOW_MS_MAX && frames.iter().all(whole) => {
            (from.round() as usize, to.round() as usize)
        }
        _ => return Err(keys.refuse("window_ms", format!("its value is {window:?}"), legal)),
    };
    let names = keys.list("class_names", "a list of names", |v| v.as_str().map(str::to_string))?;
    Ok(TrialsMapping {
        variable: keys.required("variable", keys.text("variable")?, "a variable's name")?,
        spikes: keys.required("spikes", keys.text("spikes")?, "a field's name")?,
        classes_in: dimension(&keys, "classes_in")?,
        sample_rate: SampleRate::new(rate, place)?,
        window_frames,
        class_names: names.unwrap_or_default(),
        exclude_channels: excluded(&keys)?,
    })
}

fn wav(place: &str, section: &Value) -> Result<WavMapping, Error> {
    let keys = Keys::new(place, "wav", section, &["sample_rate_hz", "code", "uv_per_count"])?;
    let codes = [("linear", WavCode::Linear), ("neuralink-n1", WavCode::NeuralinkN1)];
    let rate = keys.whole("sample_rate_hz", 1..=RATE_HZ_WHOLE_MAX)?;
    Ok(WavMapping {
        sample_rate_hz: keys.required("sample_rate_hz", rate, "the files' rate in Hz")? as u32,
        code: keys.required("code", keys.word("code", &codes)?, "\"linear\" or \"neuralink-n1\"")?,
        uv_per_count: keys.number("uv_per_count", UV_PER_COUNT)?.map(|uv| uv as f32),
    })
}

fn flat(place: &str, section: &Value) -> Result<FlatMapping, Error> {
    let legal = [
        "sample_rate_hz",
        "n_channels",
        "sample_type",
        "n_frames",
        "uv_per_count",
        "channels",
        "synthetic",
        "hybrid",
    ];
    let keys = Keys::new(place, "flat", section, &legal)?;
    let hybrid = keys.flag("hybrid")?.unwrap_or(false);
    let types = [("int16", SampleType::Int16), ("float32", SampleType::Float32)];
    let rate = keys.required("sample_rate_hz", keys.number("sample_rate_hz", RATE_HZ)?, "a rate in Hz")?;
    let n_channels = keys.whole("n_channels", 1..=CHANNELS_MAX as u64)?;
    let n_channels = keys.required("n_channels", n_channels, "how many channels a frame has")? as usize;
    let channels =
        keys.list("channels", "a list of names", |v| v.as_str().map(str::to_string))?.unwrap_or_default();
    if !channels.is_empty() && channels.len() != n_channels {
        return Err(keys.refuse(
            "channels",
            format!("{} names for {n_channels} channels", channels.len()),
            "one per channel",
        ));
    }
    Ok(FlatMapping {
        sample_rate: SampleRate::new(rate, place)?,
        n_channels,
        sample_type: keys.required(
            "sample_type",
            keys.word("sample_type", &types)?,
            "\"int16\" or \"float32\"",
        )?,
        n_frames: keys.whole("n_frames", 1..=u64::MAX)?,
        uv_per_count: keys.number("uv_per_count", UV_PER_COUNT)?.map(|uv| uv as f32),
        channels,
        synthetic: keys.flag("synthetic")?.unwrap_or(false) || hybrid,
        hybrid,
    })
}

fn dimension(keys: &Keys, key: &str) -> Result<Dimension, Error> {
    let words = [("rows", Dimension::Rows), ("columns", Dimension::Columns)];
    keys.required(key, keys.word(key, &words)?, "\"rows\" or \"columns\"")
}

fn excluded(keys: &Keys) -> Result<Vec<usize>, Error> {
    let legal = "a list of channels, counted from 0";
    let channels = keys.list("exclude_channels", legal, |v| usize::try_from(v.as_integer()?).ok())?;
    Ok(channels.unwrap_or_default())
}

/// The mappings that are compiled in, by name.
pub(super) const SHIPPED: [(&str, &str); 2] = [
    ("m1-reaching", include_str!("../../examples/mappings/m1-reaching.toml")),
    ("reach-8dir", include_str!("../../examples/mappings/reach-8dir.toml")),
];
const MAPPING_BYTES_MAX: u64 = 1 << 20;
const BIN_WIDTH_MS: std::ops::RangeInclusive<f64> = 0.1..=60_000.0;
const RATE_HZ: std::ops::RangeInclusive<f64> = 0.001..=1e6;
const RATE_HZ_WHOLE_MAX: u64 = 1_000_000;
const WINDOW_MS_MAX: f64 = 1e6;
const UV_PER_COUNT: std::ops::RangeInclusive<f64> = 1e-6..=1e6;
