//! Reading a scenario file: found or not, too large or not, right or wrong.

use super::{
    failure::{Failure, nearest, reason},
    terminal::Terminal,
};
use netsim::report::text::Style;
use netsim::scenario::{Diagnostic, MAX_SOURCE_BYTES, Scenario, diagnose, inspect};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// Names in one directory that are looked at for "did you mean".
const MOST_NAMES: usize = 1000;

/// A scenario that may be run.
pub struct Loaded {
    /// The file as the user wrote it.
    pub name: String,
    /// The file's name without directory and `.ron`.
    pub stem: String,
    pub scenario: Scenario,
    source: String,
}

impl Loaded {
    /// What turned out to be wrong only when the world was built.
    pub fn mistakes(&self, found: &[Diagnostic], terminal: &Terminal) -> Failure {
        let colour = terminal.err_style() == Style::COLOUR;
        Failure::Mistakes(diagnose::render(found, &self.source, &self.name, colour))
    }
}

/// What is known of a file after reading it.
pub struct Inspected {
    /// As the user wrote it.
    pub name: String,
    pub scenario: Option<Scenario>,
    found: Vec<Diagnostic>,
    source: String,
}

impl Inspected {
    /// The mistakes, underlined.
    pub fn mistakes(&self, colour: bool) -> String {
        diagnose::render(&self.found, &self.source, &self.name, colour)
    }
}

/// Reads a scenario (`-` is standard input). Warnings are noted; mistakes are a failure.
pub fn load(path: &Path, terminal: &Terminal) -> Result<Loaded, Failure> {
    let inspected = read(path)?;
    let text = inspected.mistakes(terminal.err_style() == Style::COLOUR);
    let Some(scenario) = inspected.scenario else { return Err(Failure::Mistakes(text)) };
    terminal.note(&text);
    let stem = path.file_stem().unwrap_or(OsStr::new("scenario")).to_string_lossy();
    let stem = if stem == "-" { "scenario".into() } else { stem.into_owned() };
    Ok(Loaded { name: inspected.name, stem, scenario, source: inspected.source })
}

/// Reads a file, whatever is in it.
pub fn read(path: &Path) -> Result<Inspected, Failure> {
    let bytes = bytes(path)?;
    let (scenario, found) = inspect(&bytes);
    let source = String::from_utf8_lossy(&bytes).into_owned();
    let name = if is_stdin(path) { "standard input".into() } else { path.display().to_string() };
    Ok(Inspected { name, scenario, found, source })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => not_found(path),
        _ => Failure::new(format!("cannot read `{}`: {}", path.display(), reason(&error))),
    };
    if is_stdin(path) {
        return limited(io::stdin().lock()).map_err(cannot);
    }
    let meta = std::fs::metadata(path).map_err(cannot)?;
    if meta.is_dir() {
        let failure = Failure::new(format!("`{}` is a directory, not a scenario", path.display()));
        let inside = scenarios_in(path).into_iter().next();
        return Err(failure.maybe_hint(inside.map(|p| format!("name a file in it, such as `{}`", p.display()))));
    }
    if meta.len() > MAX_SOURCE_BYTES as u64 {
        let mib = MAX_SOURCE_BYTES >> 20;
        let what = format!("`{}` has {} bytes; a scenario has at most {mib} MiB", path.display(), meta.len());
        return Err(Failure::new(what).hint("this is probably not a scenario; `netsim new` writes one to start from"));
    }
    limited(File::open(path).map_err(cannot)?).map_err(cannot)
}

/// One byte more than is allowed shows that there is too much; a device without end is not read further.
fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_SOURCE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The scenario files of a directory, sorted.
pub fn scenarios_in(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        entries(dir).into_iter().filter(|p| p.extension() == Some(OsStr::new("ron"))).collect();
    files.sort();
    files
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.take(MOST_NAMES).filter_map(|e| Some(e.ok()?.path())).collect()
}

fn not_found(path: &Path) -> Failure {
    let failure = Failure::new(format!("there is no file `{}`", path.display()));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.parent().filter(|p| !p.as_os_str().is_empty());
    let shared = Path::new("scenarios");
    // Beside the name that was given, without `./` where none was typed, then where scenarios usually are.
    let mut candidates: Vec<PathBuf> = match beside {
        Some(dir) => scenarios_in(dir),
        None => scenarios_in(Path::new(".")).iter().filter_map(|p| p.file_name().map(PathBuf::from)).collect(),
    };
    if beside != Some(shared) {
        candidates.extend(scenarios_in(shared));
    }
    let file_names: Vec<String> =
        candidates.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
    let typed = if name.ends_with(".ron") { name } else { format!("{name}.ron") };
    let near =
        nearest(&typed, file_names.iter().map(String::as_str)).and_then(|n| file_names.iter().position(|f| f == n));
    match near {
        Some(i) => failure.hint(format!("did you mean `{}`?", candidates[i].display())),
        None if candidates.is_empty() => failure.hint("`netsim new lab.ron` writes a scenario to start from"),
        None => failure.hint("`netsim list` shows the scenarios there are"),
    }
}
