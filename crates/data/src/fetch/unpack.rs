use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
};

use flate2::bufread::GzDecoder;
use tar::{Archive, EntryType};

use crate::{
    DataError,
    error::{format_error, io_error},
};

/// More than any file of a published data set has.
const MAX_MEMBER: u64 = 1 << 28;

/// Takes the files `members` of the directory `folder` out of a packed archive and puts that directory into `dir`. It
/// appears complete or not at all. Everything else in the archive is left, and one that wants to write elsewhere is
/// refused as a whole.
pub(super) fn unpack(
    archive: &Path,
    dir: &Path,
    folder: &str,
    members: &[&str],
) -> Result<(), DataError> {
    let failed = |source| io_error("unpack", archive, source);
    let temporary = tempfile::Builder::new()
        .prefix(".unpack")
        .tempdir_in(dir)
        .map_err(|source| io_error("create a directory in", dir, source))?;
    let target = temporary.path().join(folder);
    fs::create_dir(&target).map_err(|source| io_error("create", &target, source))?;

    let file = File::open(archive).map_err(failed)?;
    let mut reader = Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut found = Vec::new();
    for entry in reader.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?.into_owned();
        let Some(path) = inside(&path) else {
            return Err(format_error(
                archive,
                "the path of an entry".into(),
                format!("`{}`", path.display()),
                "one inside the archive",
            ));
        };
        let Some(&name) = members
            .iter()
            .find(|name| path == Path::new(folder).join(name))
        else {
            continue;
        };
        if entry.header().entry_type() != EntryType::Regular || found.contains(&name) {
            return Err(format_error(
                archive,
                format!("entry `{name}`"),
                "a link or there twice",
                "one file",
            ));
        }
        let output = target.join(name);
        let copied = File::create_new(&output)
            .and_then(|mut file| {
                let copied = io::copy(&mut entry.by_ref().take(MAX_MEMBER + 1), &mut file)?;
                file.sync_all()?;
                Ok(copied)
            })
            .map_err(failed)?;
        if copied > MAX_MEMBER {
            return Err(format_error(
                archive,
                format!("the size of `{name}`"),
                "more",
                format!("at most {MAX_MEMBER} bytes"),
            ));
        }
        found.push(name);
    }
    if let Some(name) = members.iter().find(|name| !found.contains(name)) {
        return Err(format_error(
            archive,
            format!("`{folder}/{name}`"),
            "missing",
            "a file",
        ));
    }
    let place = dir.join(folder);
    fs::rename(&target, &place).map_err(|source| io_error("create", &place, source))
}

/// The path without `.`, or `None` when it leads out of the directory it is relative to.
fn inside(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}
