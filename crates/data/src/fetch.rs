//! Where the files of a published data set are, and how they get there.
mod download;
mod published;
mod unpack;

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
};

use self::download::Client;
pub(crate) use self::published::Published;
use self::published::{Holds, Item};
use crate::{DataError, error::io_error};

/// The environment variable with the directory in which every data set has a directory of its name.
const ROOT: &str = "BUCKLER_DATA";
/// The environment variable with the directory for what was downloaded.
const CACHE: &str = "BUCKLER_CACHE";

/// The directory with the files of a data set for which none was given. They are downloaded when they are nowhere.
pub(crate) fn locate(published: &Published) -> Result<PathBuf, DataError> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set(CACHE).or_else(|| {
        directories::BaseDirs::new().map(|directories| directories.cache_dir().join("buckler"))
    });
    locate_in(published, set(ROOT), cache, &Client::default())
}

fn locate_in(
    published: &Published,
    root: Option<PathBuf>,
    cache: Option<PathBuf>,
    client: &Client,
) -> Result<PathBuf, DataError> {
    let name = published.name;
    if let Some(dir) = root.map(|root| root.join(name))
        && dir.is_dir()
    {
        return Ok(dir);
    }
    let dir = match cache {
        Some(cache) => cache.join("data").join(name),
        None => {
            return Err(DataError::NoDirectory {
                name,
                files: published.files,
            });
        }
    };
    if published.items.iter().any(|item| !is_there(item, &dir)) {
        fetch(published, &dir, client)?;
    }
    Ok(dir)
}

/// Things appear in `dir` complete or not at all, so that to be there is enough.
fn is_there(item: &Item, dir: &Path) -> bool {
    match &item.holds {
        Holds::File => dir.join(item.file_name()).is_file(),
        Holds::Archive { folder, .. } => dir.join(folder).is_dir(),
    }
}

fn fetch(published: &Published, dir: &Path, client: &Client) -> Result<(), DataError> {
    fs::create_dir_all(dir).map_err(|source| io_error("create", dir, source))?;
    // Of two processes that want the same files the second one waits and finds them. Where files cannot be locked they
    // may get into each other's way, which the checksums show.
    let lock = dir.join(".lock");
    let lock = File::create(&lock).map_err(|source| io_error("create", &lock, source))?;
    let _ = lock.lock();
    for item in &published.items {
        if is_there(item, dir) {
            continue;
        }
        let file = client.download(published, item, dir)?;
        if let Holds::Archive { folder, members } = &item.holds {
            unpack::unpack(&file, dir, folder, members)?;
            fs::remove_file(&file).map_err(|source| io_error("remove", &file, source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
