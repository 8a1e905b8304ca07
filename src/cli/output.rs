//! Writing a file that is either complete or not there: prepared before the work begins, so that nothing is lost.

use super::failure::Failure;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file being written. Until [`Output::keep`], what stood there before is untouched.
pub struct Output {
    /// As the user wrote it.
    shown: PathBuf,
    target: PathBuf,
    /// Where the bytes go meanwhile; `None` for what cannot be replaced, such as a pipe.
    temporary: Option<PathBuf>,
    file: BufWriter<File>,
}

impl Output {
    /// Makes sure that the file can be written. `source` is a file that must not be overwritten: the scenario.
    pub fn prepare(path: &Path, source: &Path) -> Result<Output, Failure> {
        let cannot = |error: &io::Error| Failure::file("write", path, error);
        // A link is followed: what it points to is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let existing = fs::metadata(&target).ok();
        if existing.as_ref().is_some_and(|m| m.is_dir()) {
            return Err(Failure::new(format!("cannot write `{}`: it is a directory", path.display())));
        }
        if fs::canonicalize(source).is_ok_and(|s| s == target) {
            let what = format!("`{}` is the scenario itself; it would be overwritten", path.display());
            return Err(Failure::new(what).hint("name another file"));
        }
        if existing.as_ref().is_some_and(|m| m.permissions().readonly()) {
            return Err(cannot(&io::ErrorKind::PermissionDenied.into()));
        }
        let (file, temporary) = if existing.is_some_and(|m| !m.is_file()) {
            (OpenOptions::new().write(true).open(&target).map_err(|e| cannot(&e))?, None)
        } else {
            let temporary = beside(&target).ok_or_else(|| cannot(&io::ErrorKind::InvalidFilename.into()))?;
            (File::create(&temporary).map_err(|e| cannot(&e))?, Some(temporary))
        };
        Ok(Output { shown: path.to_owned(), target, temporary, file: BufWriter::new(file) })
    }

    /// Where the bytes go.
    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.file
    }

    /// The file's name as the user wrote it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Puts what was written in its place. `written` is what came of writing it.
    pub fn keep(mut self, written: io::Result<()>) -> Result<(), Failure> {
        let done = written.and_then(|()| self.file.flush()).and_then(|()| match &self.temporary {
            Some(temporary) => fs::rename(temporary, &self.target),
            None => Ok(()),
        });
        match done {
            Ok(()) => {
                self.temporary = None;
                Ok(())
            }
            // The reader of a pipe went away; it has what it wanted.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(e) => Err(Failure::file("write", &self.shown, &e)),
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing can be done about a left-over that cannot be removed.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// A hidden name in the same directory, so that putting the file in its place is one step.
fn beside(target: &Path) -> Option<PathBuf> {
    let name = target.file_name()?.to_str()?;
    Some(target.with_file_name(format!(".{name}.{}.tmp", std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, source) = (dir.path().join("out.txt"), dir.path().join("lab.ron"));
        fs::write(&source, "()").unwrap();
        fs::write(&path, "old").unwrap();

        let mut given_up = Output::prepare(&path, &source).unwrap();
        given_up.writer().write_all(b"half").unwrap();
        drop(given_up);
        assert_eq!(fs::read(&path).unwrap(), b"old");

        let failed = Output::prepare(&path, &source).unwrap();
        assert!(failed.keep(Err(io::Error::other("full"))).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");

        let mut kept = Output::prepare(&path, &source).unwrap();
        let written = kept.writer().write_all(b"new");
        kept.keep(written).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("lab.ron");
        fs::write(&source, "()").unwrap();
        assert!(Output::prepare(&source, &source).is_err(), "the scenario itself");
        assert!(Output::prepare(dir.path(), &source).is_err(), "a directory");
        assert!(Output::prepare(&dir.path().join("no/out"), &source).is_err(), "no such directory");
        assert!(Output::prepare(Path::new("/dev/null"), &source).is_ok(), "a device is written to directly");
    }
}
