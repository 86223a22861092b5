//! Opening: which format a path has, and which mapping fits it.

use super::mapping::SHIPPED;
use super::mat::{Class, MatFile};
use super::{About, Mapping, Recording, Truth, archive, counts, flat, sidecar, trials, wav};
use crate::error::Error;
use crate::sources::SampleSource;
use crate::sources::link::{CaptureSource, LinkAddress};
use crate::sources::simulator;
use std::path::Path;

/// Opens the recording at `target`: a file, a folder of WAV files, an archive, or a simulator's `sim:` address.
///
/// `mapping` is the name of a mapping that is compiled in (`m1-reaching`, `reach-8dir`) or a TOML file
/// ([`super::mapping`]). Without one a MAT file is tried against those that are compiled in, WAV files are
/// taken for Neuralink N1 recordings, and flat binary needs its sidecar: the same name with `.toml` (the
/// section `[flat]` of a mapping) or `.json` (keys `sampling_rate` in Hz, `channels`, `dtype` as `"int16"`
/// or `"float32"`, and optionally `uV_per_bit`, `samples` in frames, and `synthetic` or `spikeinterface`).
///
/// # Errors
/// If the target is missing, empty, cut short, damaged, of no format that is read, or doesn't hold what
/// the mapping says.
///
/// ```no_run
/// let recording = efference::recording::open("m1_reaching.mat", Some("m1-reaching"))?;
/// println!("{} channels", recording.about.n_channels);
/// # Ok::<(), efference::Error>(())
/// ```
pub fn open(target: &str, mapping: Option<&str>) -> Result<Recording, Error> {
    if target.starts_with(simulator::ADDRESS_PREFIX) {
        return match mapping {
            None => simulator::open(target),
            Some(name) => Err(Error::usage(target, format!("a mapping, {name}, for the simulator"))
                .field("mapping")
                .legal("none: an address says all")),
        };
    }
    if LinkAddress::is_link(target) {
        let address = LinkAddress::parse(target, "RECORDING")?;
        let source = CaptureSource::open(&address)?;
        let n_frames = source.n_frames().unwrap_or(0);
        return Ok(of_source(&address.carrier.to_string(), "capture", Box::new(source), n_frames));
    }
    let path = Path::new(target);
    let mapping = mapping.map(Mapping::load).transpose()?;
    match format_of(path, mapping.as_ref())? {
        Format::Mat => open_mat(path, mapping),
        Format::Wav => match mapping {
            None => wav::open(path, None),
            Some(Mapping::Wav(mapping)) => wav::open(path, Some(&mapping)),
            Some(_) => Err(other_format(path, "WAV", "[wav]")),
        },
        Format::Archive => match mapping {
            None => archive::open(path),
            Some(_) => Err(Error::usage(target, "a mapping, for an archive")
                .field("mapping")
                .legal("none: an archive says what it holds")),
        },
        Format::Flat => match mapping {
            None => flat::open(path, &sidecar::read(path)?),
            Some(Mapping::Flat(mapping)) => flat::open(path, &mapping),
            Some(_) => Err(other_format(path, "flat binary", "[flat]")),
        },
    }
}

/// A stream of which nothing is known but what it says itself, `n_frames` long.
pub fn of_source(path: &str, format: &str, source: Box<dyn SampleSource>, n_frames: u64) -> Recording {
    let about = About::new(path, format, source.info(), n_frames);
    Recording { about, truth: Truth::None, source }
}

enum Format {
    Mat,
    Wav,
    Flat,
    Archive,
}

/// The name decides, so that a damaged file is reported as what it was meant to be.
fn format_of(path: &Path, mapping: Option<&Mapping>) -> Result<Format, Error> {
    let about = path.metadata().map_err(|e| Error::unreadable(path, &e))?;
    if about.is_dir() {
        return Ok(Format::Wav);
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match extension.as_str() {
        "mat" => Ok(Format::Mat),
        "wav" => Ok(Format::Wav),
        "efa" => Ok(Format::Archive),
        "json" | "toml" | "csv" => {
            Err(Error::input(path.display().to_string(), format!("a .{extension} file is not a recording"))
                .legal(FORMATS)
                .hint("the file of samples, beside which this one stands"))
        }
        known if FLAT_EXTENSIONS.contains(&known) => Ok(Format::Flat),
        _ if matches!(mapping, Some(Mapping::Flat(_))) || sidecar::find(path).is_some() => Ok(Format::Flat),
        _ => Err(Error::input(path.display().to_string(), "its format is not known by its name")
            .legal(FORMATS)
            .hint("a mapping with [flat], if it is flat binary")),
    }
}

fn open_mat(path: &Path, mapping: Option<Mapping>) -> Result<Recording, Error> {
    let file = MatFile::open(path)?;
    let (mapping, found) = match mapping {
        Some(mapping) => (mapping, None),
        None => {
            let (name, mapping) = fitting(&file)?;
            (mapping, Some(name))
        }
    };
    let mut recording = match mapping {
        Mapping::Counts(mapping) => counts::open(&file, &mapping),
        Mapping::Trials(mapping) => trials::open(&file, &mapping),
        _ => Err(other_format(path, "a MAT file", "[counts] or [trials]")),
    }?;
    recording.about.mapping = found.map(str::to_string);
    Ok(recording)
}

/// The mapping among those compiled in whose variables all exist with the right class and dimensions.
fn fitting(file: &MatFile) -> Result<(&'static str, Mapping), Error> {
    for (name, text) in SHIPPED {
        let mapping = Mapping::parse(text, name)?;
        if fits(file, &mapping) {
            return Ok((name, mapping));
        }
    }
    let names = SHIPPED.map(|(name, _)| name).join(", ");
    Err(Error::input(
        file.place(),
        format!(
            "no mapping was given, and those that are built in ({names}) don't fit; it has {}",
            file.list()
        ),
    )
    .field("mapping")
    .legal("a TOML file with [counts] (variable, channels_in, bin_width_ms) or [trials] that names variables")
    .hint("copy examples/mappings/m1-reaching.toml, put in this file's names, and give it with --mapping"))
}

fn fits(file: &MatFile, mapping: &Mapping) -> bool {
    let is = |name: &str, class: fn(Class) -> bool| {
        file.find(name).is_some_and(|info| class(info.class) && info.dims.len() == 2)
    };
    match mapping {
        Mapping::Counts(mapping) => {
            let kinematics = mapping.kinematics.iter();
            let mut others = kinematics.flat_map(|k| [&k.position, &k.velocity]).flatten();
            is(&mapping.variable, Class::is_numeric) && others.all(|name| is(name, Class::is_numeric))
        }
        Mapping::Trials(mapping) => is(&mapping.variable, |class| class == Class::Struct),
        Mapping::Wav(_) | Mapping::Flat(_) => false,
    }
}

fn other_format(path: &Path, format: &str, section: &str) -> Error {
    Error::input(path.display().to_string(), format!("it is {format}, and the mapping is for another format"))
        .field("mapping")
        .legal(format!("a mapping with {section}"))
        .hint("the mapping that was written for this recording, or none")
}

const FLAT_EXTENSIONS: [&str; 5] = ["i16", "f32", "bin", "dat", "raw"];
const FORMATS: &str = "a .mat file (MAT v5), a .wav file or a folder of them, an archive (.efa), or flat binary (.i16, .f32, \
                       .bin, .dat, .raw) beside a .json or .toml sidecar of the same name";
