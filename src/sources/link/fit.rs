//! What a device is to send so that a model can decode it.
//!
//! In: a model's words, what the user asked for, and the device's own words. Out: what to ask of the device, and what
//! stream comes of it; or a refusal that says what would do, before anything is decoded.

use crate::block::{PowerBand, StreamInfo, StreamKind};
use crate::config::{BinsConfig, Features};
use crate::error::Error;
use crate::link::{Device, Wanted};
use crate::model::{Model, ModelAbout};
use crate::time::SampleRate;
use crate::wire::Mode;

/// The word for what a device sends, as `--mode` takes it.
pub fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Quiet => "quiet",
        Mode::Counts => "counts",
        Mode::SpikeBandPower => "power",
        Mode::BandPower => "band-power",
        Mode::Crossings => "crossings",
        Mode::Snippets => "snippets",
    }
}

/// The mode of a word; `None` of any other.
pub(super) fn mode_named(name: &str) -> Option<Mode> {
    [Mode::Quiet].into_iter().chain(MODES).find(|&mode| name_of(mode) == name)
}

/// The blocks hold raw samples: nothing else was asked for.
pub(super) fn is_raw(wanted: &Wanted) -> bool {
    wanted.mode == Mode::Quiet && !wanted.raw_electrodes.is_empty()
}

/// What a model needs: the mode, with [`Mode::Quiet`] for raw samples alone, and the bin width in ms. `asked` is the
/// mode that the user named, `raw` the electrodes. Without a model, whatever was asked.
///
/// # Errors
/// If what was asked can't feed the model, with what can.
pub fn plan(model: Option<&ModelAbout>, asked: Option<Mode>, raw: &[u32]) -> Result<(Mode, f64), Error> {
    let Some(model) = model else {
        if asked == Some(Mode::Quiet) || asked.is_none() && !raw.is_empty() {
            return Err(Error::usage("--mode", "raw samples, of which no noise has been measured")
                .legal("counts, crossings, snippets, power, band-power; raw samples with --model")
                .hint("a model that was trained on these electrodes brings its thresholds along"));
        }
        return Ok((asked.unwrap_or(Mode::Counts), BIN_WIDTH_MS));
    };
    let (legal, width_ms) = modes_of(model);
    let wanted = asked.unwrap_or(match legal.first() {
        Some(&first) if raw.is_empty() || first == Mode::Quiet => first,
        _ if legal.contains(&Mode::Quiet) => Mode::Quiet,
        _ => Mode::Counts,
    });
    if !legal.contains(&wanted) || wanted != Mode::Quiet && !raw.is_empty() {
        return Err(refused(model, wanted, raw, &legal));
    }
    if wanted == Mode::Quiet && raw.len() != model.stream.n_channels {
        let n = model.stream.n_channels;
        return Err(Error::model("--raw", format!("{} electrodes", raw.len()))
            .field("channels")
            .legal(format!("the {n} electrodes that the model was trained on, at most {RAW_MAX}"))
            .hint(match n > RAW_MAX {
                true => "a model of counts or of power, which a radio carries of all electrodes",
                false => "--raw 0,1,2 names electrodes, counted from 0",
            }));
    }
    Ok((wanted, width_ms))
}

/// Looks at the device, before its data are.
///
/// # Errors
/// If it doesn't send what is wanted, with what it does send; if it isn't what the model was trained on.
pub fn check(device: &Device, wanted: &Wanted, model: Option<&Model>, place: &str) -> Result<(), Error> {
    if !device.offers(wanted.mode) {
        let offered: Vec<&str> = MODES.into_iter().filter(|&mode| device.offers(mode)).map(name_of).collect();
        return Err(Error::usage("--mode", format!("the device doesn't send {}", name_of(wanted.mode)))
            .legal(offered.join(", "))
            .hint("what this device's firmware has memory and filters for"));
    }
    let raw = &wanted.raw_electrodes;
    if raw.len() > device.n_raw_max || raw.iter().any(|&electrode| electrode as usize >= device.n_electrodes)
    {
        return Err(Error::usage("--raw", format!("{raw:?}"))
            .legal(format!("at most {} electrodes below {}", device.n_raw_max, device.n_electrodes)));
    }
    let Some(model) = model else { return Ok(()) };
    let is_of_broadband = model.about.stream.kind == StreamKind::Broadband.name();
    let is_power = matches!(wanted.mode, Mode::SpikeBandPower | Mode::BandPower);
    let info = match is_power && is_of_broadband {
        // Power that the device measures of the broadband that the model was trained on.
        true => broadband(device, None)?,
        false => stream_of(device, wanted)?,
    };
    model.check_stream(&info, place)
}

/// What blocks of a device hold that sends what is wanted.
///
/// # Errors
/// A rate that no stream has.
pub fn stream_of(device: &Device, wanted: &Wanted) -> Result<StreamInfo, Error> {
    if is_raw(wanted) {
        return broadband(device, Some(&wanted.raw_electrodes));
    }
    let kind = match wanted.mode {
        Mode::SpikeBandPower => StreamKind::Power(PowerBand::Spikes),
        Mode::BandPower => StreamKind::Power(PowerBand::Field),
        _ => StreamKind::Counts,
    };
    // The frames are the device's bins, which are whole samples long; the name of the width is what was asked for.
    Ok(StreamInfo {
        kind,
        sample_rate: SampleRate::new(1e6 / f64::from(wanted.bin_width_us), "link")?,
        uv_per_count: if kind == StreamKind::Counts { None } else { uv_per_count(device) },
        channels: (1..=device.n_electrodes).map(channel).collect(),
        synthetic: device.synthetic,
    })
}

/// The device's own broadband, of all electrodes or of those chosen.
fn broadband(device: &Device, electrodes: Option<&[u32]>) -> Result<StreamInfo, Error> {
    Ok(StreamInfo {
        kind: StreamKind::Broadband,
        sample_rate: SampleRate::new(f64::from(device.sample_rate_millihertz) / 1e3, "link")?,
        uv_per_count: uv_per_count(device),
        channels: match electrodes {
            None => (1..=device.n_electrodes).map(channel).collect(),
            Some(chosen) => chosen.iter().map(|&electrode| channel(electrode as usize + 1)).collect(),
        },
        synthetic: device.synthetic,
    })
}

/// The name of an electrode, counted from 1.
fn channel(electrode: usize) -> String {
    format!("e{electrode:05}")
}

fn uv_per_count(device: &Device) -> Option<f32> {
    device.nv_per_count.map(|nv| (f64::from(nv) / 1e3) as f32)
}

/// The modes that can feed a model, the best first, and its bin width in ms.
fn modes_of(model: &ModelAbout) -> (Vec<Mode>, f64) {
    let BinsConfig { width_ms, features } = &model.config.bins;
    let kind = |kind: StreamKind| model.stream.kind == kind.name();
    if kind(StreamKind::Counts) {
        let modes = vec![Mode::Counts, Mode::Crossings, Mode::Snippets];
        return (modes, 1e3 / model.stream.sample_rate_hz);
    }
    for band in [PowerBand::Spikes, PowerBand::Field] {
        if kind(StreamKind::Power(band)) {
            return (vec![mode_of(band)], 1e3 / model.stream.sample_rate_hz);
        }
    }
    let band = model.config.front_end.device_band().filter(|_| *features == Features::Power);
    if let (Some(band), true) = (band, kind(StreamKind::Broadband)) {
        return (vec![mode_of(band), Mode::Quiet], *width_ms);
    }
    let modes = if kind(StreamKind::Broadband) { vec![Mode::Quiet] } else { Vec::new() };
    (modes, *width_ms)
}

fn mode_of(band: PowerBand) -> Mode {
    match band {
        PowerBand::Spikes => Mode::SpikeBandPower,
        PowerBand::Field => Mode::BandPower,
    }
}

fn refused(model: &ModelAbout, wanted: Mode, raw: &[u32], legal: &[Mode]) -> Error {
    let what = match (wanted, raw.is_empty()) {
        (Mode::Quiet, true) => "nothing".to_string(),
        (Mode::Quiet, false) => "raw samples".to_string(),
        (mode, true) => name_of(mode).to_string(),
        (mode, false) => format!("{} beside raw samples", name_of(mode)),
    };
    let legal: Vec<&str> = legal
        .iter()
        .map(|&mode| {
            if mode == Mode::Quiet { "raw samples of its electrodes (--raw 0,1,…)" } else { name_of(mode) }
        })
        .collect();
    let features = match model.config.bins.features {
        Features::Counts => "counts",
        Features::Power => "power",
        Features::CountsAndPower => "counts and power",
    };
    let trained = format!("{features} of a stream of {}", model.stream.kind);
    Error::model("--mode", format!("{what}, and the model was trained on {trained}"))
        .field("mode")
        .legal(match legal.is_empty() {
            true => "none that a link carries".to_string(),
            false => legal.join(", "),
        })
        .hint(
            "a model of `kind=counts`; or of broadband with `features = \"power\"` in the band that the device \
             measures (250 to 5,000 Hz or 70 to 150 Hz, order 2, no reference, notch or blanking)",
        )
}

/// The field's usual width, for a device without a model.
const BIN_WIDTH_MS: f64 = 20.0;
/// Electrodes that a device sends raw at most.
pub const RAW_MAX: usize = 16;
const MODES: [Mode; 5] =
    [Mode::Counts, Mode::SpikeBandPower, Mode::BandPower, Mode::Crossings, Mode::Snippets];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::model::{OutputAbout, Provenance, StreamAbout};

    fn device() -> Device {
        Device {
            boot: 1,
            firmware: (1, 0),
            n_electrodes: 8,
            sample_rate_millihertz: 20_000_000,
            bits: 12,
            nv_per_count: Some(500),
            modes: 0b1_0111,
            mtu_max: 512,
            n_raw_max: 4,
            synthetic: true,
            name: "test".to_string(),
            profile: "test".to_string(),
        }
    }

    /// The words of a model of this stream with these settings.
    fn about(info: &StreamInfo, settings: &str) -> ModelAbout {
        ModelAbout {
            format: crate::model::FORMAT,
            synthetic: true,
            output: OutputAbout::Classes { names: Vec::new(), window_frames: [0, 1] },
            provenance: Provenance {
                efference: String::new(),
                data: String::new(),
                data_sha256: None,
                bins: [0, 1],
                command: String::new(),
            },
            choices: crate::train::Choices::default(),
            stream: StreamAbout::of(info),
            config: Config::parse(settings, "test").expect("legal"),
            held_out: crate::score::Score::default(),
            held_out_of: None,
        }
    }

    fn of(mode: Mode, raw: &[u32]) -> StreamInfo {
        let wanted = Wanted { mode, raw_electrodes: raw.to_vec(), ..Wanted::default() };
        stream_of(&device(), &wanted).expect("legal")
    }

    #[test]
    fn each_model_is_fed_with_what_it_was_trained_on_and_nothing_else() {
        let counts = about(&of(Mode::Counts, &[]), "[bins]\nwidth_ms = 20");
        let power = "[bins]\nwidth_ms = 40\nfeatures = \"power\"";
        let field = format!("[front_end]\nlow_cut_hz = 70\nhigh_cut_hz = 150\n{power}");
        let referenced = format!("[front_end]\ncar_group = 8\n{power}");
        let broadband = broadband(&device(), None).expect("legal");
        let raw = of(Mode::Quiet, &[5, 2]);
        for (model, asked, electrodes, expected) in [
            (&counts, None, &[][..], Ok((Mode::Counts, 20.0))),
            (&counts, Some(Mode::Crossings), &[], Ok((Mode::Crossings, 20.0))),
            (&counts, Some(Mode::SpikeBandPower), &[], Err("Legal: counts, crossings, snippets")),
            (&counts, None, &[1], Err("counts beside raw samples")),
            (&about(&broadband, power), None, &[], Ok((Mode::SpikeBandPower, 40.0))),
            (&about(&broadband, &field), None, &[], Ok((Mode::BandPower, 40.0))),
            (&about(&broadband, &field), Some(Mode::SpikeBandPower), &[], Err("Legal: band-power")),
            (&about(&broadband, &referenced), None, &[], Err("the 8 electrodes")),
            (&about(&of(Mode::BandPower, &[]), power), None, &[], Ok((Mode::BandPower, 20.0))),
            (&about(&raw, "[bins]\nwidth_ms = 20"), None, &[5, 2], Ok((Mode::Quiet, 20.0))),
            (&about(&raw, "[bins]\nwidth_ms = 20"), None, &[5], Err("the 2 electrodes")),
            (&about(&raw, "[bins]\nwidth_ms = 20"), Some(Mode::Counts), &[], Err("--raw 0,1")),
        ] {
            match (plan(Some(model), asked, electrodes), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(expected)) => {
                    let text = error.to_string();
                    assert!(text.contains(expected) && text.contains("Try: "), "{text}");
                }
                (found, expected) => panic!("{asked:?}, {electrodes:?}: {found:?} and not {expected:?}"),
            }
        }
        assert_eq!(plan(None, None, &[]).expect("counts"), (Mode::Counts, 20.0));
        assert!(plan(None, None, &[3]).expect_err("no thresholds").to_string().contains("--model"));
    }

    #[test]
    fn what_a_device_doesnt_send_is_refused_with_what_it_does() {
        let wanted = |mode, raw: &[u32]| Wanted { mode, raw_electrodes: raw.to_vec(), ..Wanted::default() };
        let refused = |wanted| check(&device(), &wanted, None, "test").expect_err("refused").to_string();
        assert!(check(&device(), &wanted(Mode::Crossings, &[]), None, "test").is_ok());
        let text = refused(wanted(Mode::Snippets, &[]));
        assert!(text.contains("Legal: counts, power, crossings"), "{text}");
        for raw in [&[8][..], &[0, 1, 2, 3, 4]] {
            let text = refused(wanted(Mode::Quiet, raw));
            assert!(text.contains("at most 4 electrodes below 8"), "{text}");
        }
    }

    #[test]
    fn every_mode_has_a_word_of_its_own() {
        for mode in MODES.into_iter().chain([Mode::Quiet]) {
            assert_eq!(mode_named(name_of(mode)), Some(mode));
        }
        assert_eq!(mode_named("spikes"), None);
    }
}
