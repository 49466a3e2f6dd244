//! One file over HTTP. What comes is kept beside the file under its name and `.part`, so that a download that was cut off
//! goes on where it was; the file itself appears when everything is there and has the published checksum.
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use md5::{Digest, Md5};
use ureq::{
    Agent, Proxy,
    http::{Response, StatusCode, header},
};

use super::published::{Item, Published};
use crate::{DataError, error::io_error};

/// How often a download that was cut off is taken up again before it is given up.
const ATTEMPTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may come.
const STALL: Duration = Duration::from_secs(30);

/// Downloads files.
pub(super) struct Client {
    agent: Agent,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(STALL, Proxy::try_from_env())
    }
}

/// Why one attempt did not get to the end.
enum Cut {
    /// The connection was lost; what came before is kept.
    Off(String),
    /// The server does not go on where the part ends: it has to be fetched from the beginning.
    Restart,
}

impl Client {
    pub(super) fn new(stall: Duration, proxy: Option<Proxy>) -> Self {
        let config = Agent::config_builder()
            .proxy(proxy)
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.into(),
        }
    }

    /// Fetches `item` into `dir`; the path of the file.
    pub(super) fn download(
        &self,
        published: &Published,
        item: &Item,
        dir: &Path,
    ) -> Result<PathBuf, DataError> {
        let failed = |reason: String| DataError::Download {
            url: item.url.clone(),
            reason,
            name: published.name,
            files: published.files,
        };
        let path = dir.join(item.file_name());
        // What is left of a run that ended while it unpacked.
        if let Ok(mut file) = File::open(&path)
            && checksum(&mut file).is_ok_and(|md5| md5 == item.md5)
        {
            return Ok(path);
        }
        let part = dir.join(format!("{}.part", item.file_name()));
        let on_disk = |source| io_error("write", &part, source);
        let progress = progress(item, dir);
        let mut attempt = 0;
        let mut file = loop {
            attempt += 1;
            let mut file = open(&part, item.bytes).map_err(on_disk)?;
            match self.attempt(item, &mut file, &progress, &failed, &on_disk)? {
                Ok(()) => break file,
                Err(Cut::Restart) if attempt < ATTEMPTS => file.set_len(0).map_err(on_disk)?,
                Err(Cut::Off(_)) if attempt < ATTEMPTS => {}
                Err(Cut::Restart) => {
                    return Err(failed(
                        "the server does not send it from the beginning".into(),
                    ));
                }
                Err(Cut::Off(reason)) => {
                    let kept = file.metadata().map_err(on_disk)?.len();
                    return Err(failed(format!(
                        "{reason} after {kept} of {} bytes, for the {ATTEMPTS}th time; they are kept, and the next run \
                         goes on from there",
                        item.bytes
                    )));
                }
            }
        };
        progress.finish_and_clear();
        let md5 = checksum(&mut file).map_err(on_disk)?;
        file.sync_all().map_err(on_disk)?;
        drop(file);
        if md5 != item.md5 {
            fs::remove_file(&part).map_err(on_disk)?;
            return Err(failed(format!(
                "what came has the MD5 checksum {md5}, expected {}; it was thrown away, and the next run begins anew",
                item.md5
            )));
        }
        fs::rename(&part, &path).map_err(|source| io_error("create", &path, source))?;
        Ok(path)
    }

    /// Asks once for what is not in `file` yet and appends it.
    fn attempt(
        &self,
        item: &Item,
        file: &mut File,
        progress: &ProgressBar,
        failed: &dyn Fn(String) -> DataError,
        on_disk: &dyn Fn(io::Error) -> DataError,
    ) -> Result<Result<(), Cut>, DataError> {
        let mut have = file.metadata().map_err(on_disk)?.len();
        if have == item.bytes {
            return Ok(Ok(()));
        }
        let mut request = self.agent.get(&item.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call().map_err(|error| failed(error.to_string()))?;
        match response.status() {
            StatusCode::OK => {
                have = 0;
                file.set_len(0).map_err(on_disk)?;
            }
            StatusCode::PARTIAL_CONTENT if begins_at(&response, have) => {}
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                return Ok(Err(Cut::Restart));
            }
            status => return Err(failed(format!("the server answers {status}"))),
        }
        progress.set_position(have);
        // One more than there should be shows what is too long.
        let mut body = response
            .into_body()
            .into_reader()
            .take(item.bytes - have + 1);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Ok(Err(Cut::Off(format!("the connection broke ({error})"))));
                }
            };
            let bytes = buffer.get(..read).unwrap_or(&buffer);
            file.write_all(bytes).map_err(on_disk)?;
            have += read as u64;
            progress.set_position(have);
        }
        if have > item.bytes {
            // Not the file that was published: of no use for another try either.
            file.set_len(0).map_err(on_disk)?;
            return Err(failed(format!(
                "the server sends more than the {} bytes that were published",
                item.bytes
            )));
        }
        Ok(match have == item.bytes {
            true => Ok(()),
            false => Err(Cut::Off("the connection was closed".into())),
        })
    }
}

/// The part of a file that is there, to append to; empty when it is longer than the file.
fn open(part: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(part)?;
    if file.metadata()?.len() > bytes {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Whether a partial answer begins with byte number `have`.
fn begins_at<B>(response: &Response<B>, have: u64) -> bool {
    response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn checksum(file: &mut File) -> io::Result<String> {
    io::Seek::rewind(file)?;
    let mut digest = Md5::new();
    io::copy(file, &mut digest)?;
    Ok(format!("{:x}", digest.finalize()))
}

/// A bar on a terminal, elsewhere one line.
fn progress(item: &Item, dir: &Path) -> ProgressBar {
    let bar = ProgressBar::new(item.bytes);
    if bar.is_hidden() {
        eprintln!(
            "downloading {} ({:.1} MB) to {}",
            item.url,
            item.bytes as f64 / 1e6,
            dir.display()
        );
    }
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix} [{bar:30}] {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}",
    ) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(item.file_name().to_owned());
    bar
}
