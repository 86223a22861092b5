//! The README's map as tests: what is absent from which folder, and what every file and command has.

#[path = "support/program.rs"]
mod program;

use program::run;
use std::path::{Path, PathBuf};

/// From broadband to intents, the values that travel, and spectra: same in, same out, wherever and whenever.
const PURE: [&str; 14] = [
    "filter",
    "detect",
    "binning",
    "decode",
    "intents",
    "pipeline",
    "block",
    "time",
    "spectrum",
    "link",
    "wire",
    "tasks",
    "calibration",
    "recalibration",
];
/// What stands beside the library of a package below `src`.
const BESIDE: [&str; 3] = ["src/wire/benches", "src/wire/examples", "src/wire/fuzz"];
/// Words by which code reaches a clock, a file, a socket, a thread, the terminal or a lock.
const IMPURE: [&str; 17] = [
    "Instant",
    "SystemTime",
    "std::fs",
    "fs::",
    "File::",
    "std::net",
    "std::env",
    "thread",
    "println!",
    "print!",
    "Mutex",
    "RwLock",
    "static mut",
    "crate::recording",
    "crate::sources",
    "crate::sinks",
    "crate::train",
];
/// Where `unsafe` is allowed, each use with its `// SAFETY`.
const UNSAFE: [&str; 6] = [
    "src/recording/mapped.rs",
    "src/rings/bell.rs",
    "src/rings/hand_over.rs",
    "src/rings/ring.rs",
    "src/rings/sync.rs",
    "src/simd.rs",
];
const LINES_MAX: usize = 600;

#[test]
fn pure_stages_reach_for_nothing() {
    let pure = sources("src").into_iter().filter(|file| {
        // Tests print their seeds.
        let is_test = file.path.ends_with("tests.rs") && file.path.starts_with("src/wire");
        if is_test || BESIDE.iter().any(|folder| file.path.starts_with(folder)) {
            return false;
        }
        let module = file.path.components().nth(1).expect("a file below src").as_os_str().to_string_lossy();
        PURE.contains(&module.trim_end_matches(".rs"))
    });
    let mut n_files = 0;
    for file in pure {
        n_files += 1;
        for (line, code) in file.code() {
            let found = IMPURE.iter().find(|word| code.contains(**word));
            assert!(found.is_none(), "{}:{line}: a pure stage says `{}`", file.path.display(), code.trim());
        }
    }
    assert!(n_files >= PURE.len(), "every pure module is there");
}

#[test]
fn unsafe_stands_where_it_may_and_says_why() {
    let keyword = ["un", "safe"].concat();
    let uses = |file: &Source| {
        let count = |word: &str| file.code().filter(|(_, code)| has_word(code, word)).count();
        count(&keyword)
    };
    let (mut found, mut elsewhere) = (Vec::new(), Vec::new());
    for file in [sources("src"), sources("tests"), sources("benches")].concat() {
        let name = file.path.display().to_string();
        match uses(&file) {
            0 => {}
            n if UNSAFE.contains(&name.as_str()) => {
                assert!(file.text.matches("// SAFETY:").count() >= n, "{name}: each use says why");
                found.push(name);
            }
            _ => elsewhere.push(name),
        }
    }
    assert_eq!(found, UNSAFE, "a file that needs it no longer leaves the list");
    assert!(elsewhere.is_empty(), "{elsewhere:?} must do without");
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    for file in [sources("src"), sources("tests"), sources("benches")].concat() {
        let name = file.path.display();
        assert!(file.text.starts_with("//! "), "{name} starts with what comes in and what goes out");
        let lines = file.text.lines().count();
        assert!(lines <= LINES_MAX || !file.path.starts_with("src"), "{name} has {lines} lines");
    }
}

#[test]
fn only_the_projects_own_words_stand_in_it() {
    let unwanted: Vec<String> =
        [["TO", "DO"], ["FIX", "ME"], ["issue", " #"], ["pro", "mpt"], ["/wo", "rk/"], ["/ro", "ot/"]]
            .map(|halves| halves.concat())
            .to_vec();
    let mut n_files = 0;
    for path in files(Path::new("")) {
        // Pictures and the like are no text.
        let Ok(text) = std::fs::read_to_string(in_repository(&path)) else { continue };
        n_files += 1;
        for (number, line) in text.lines().enumerate() {
            let found = unwanted.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{}:{}: {}", path.display(), number + 1, line.trim());
        }
    }
    assert!(n_files > 50, "the whole repository was read");
}

#[test]
fn every_command_shows_an_example() {
    let help = run(&["--help"]);
    let listed = help.stdout.split("Commands:").nth(1).expect("a list of commands");
    let commands: Vec<&str> = listed
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    for wanted in ["inspect", "train", "replay", "eval", "detect", "completions"] {
        assert!(commands.contains(&wanted), "{wanted} is listed: {listed}");
    }
    for command in commands {
        let help = run(&[command, "--help"]);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""), "{command} --help");
        let example = help.stdout.split("Example").nth(1).unwrap_or_default();
        assert!(example.contains(&format!("efference {command}")), "{command} --help shows an example");
    }
}

#[test]
fn the_readme_shows_the_figures() {
    let Ok(readme) = std::fs::read_to_string(in_repository(Path::new("README.md"))) else {
        println!("skipped: README.md is not written yet");
        return;
    };
    for figure in
        ["m1.wiener10.velocity_r2", "m1.kalman.velocity_r2", "reach8.lda.accuracy", "gt.easy.recall"]
    {
        let row = readme.lines().find(|line| line.starts_with('|') && line.contains(figure));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {figure}"));
        assert!(row.contains(|c: char| c.is_ascii_digit()), "{row}");
    }
    assert!(readme.contains("scripts/figures"), "README.md names the command that prints them");
}

/// A check that finds nothing anywhere proves nothing.
#[test]
fn the_checks_find_what_they_forbid() {
    let file = |text: &str| Source { path: PathBuf::from("src/x.rs"), text: text.to_string() };
    let bad = file("//! Says Instant.\n// Mutex\nlet now = Instant::now(); // thread\n");
    let code: Vec<(usize, &str)> = bad.code().collect();
    assert_eq!(code, [(3, "let now = Instant::now(); ")], "comments are no code");
    assert!(IMPURE.iter().any(|word| code[0].1.contains(word)));
    assert!(has_word("x = un { }", "un") && !has_word("x = unit", "un"));
}

/// A file of Rust.
#[derive(Clone)]
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Number and code of each line, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = |line: &'_ str| line.find("//").unwrap_or(line.len());
        let lines = self.text.lines().enumerate();
        lines.map(move |(at, line)| (at + 1, &line[..code(line)])).filter(|(_, code)| !code.trim().is_empty())
    }
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}

/// The files of Rust below a folder of the repository.
fn sources(folder: &str) -> Vec<Source> {
    let rust =
        files(Path::new(folder)).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(in_repository(&path)).expect("Rust is text");
        Source { path, text }
    };
    rust.map(read).collect()
}

/// Every file below a folder of the repository, but for what is built or git's own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(in_repository(&folder)).expect("a folder of the repository") {
            let path = folder.join(entry.expect("an entry").file_name());
            match in_repository(&path).is_dir() {
                _ if NOT_OURS.contains(&path.to_string_lossy().as_ref()) => {}
                true => open.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    found
}

fn in_repository(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const NOT_OURS: [&str; 2] = ["target", ".git"];
