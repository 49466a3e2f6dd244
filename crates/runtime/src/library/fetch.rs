//! Fetching the pinned ONNX Runtime from the Python package index, through pip.
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::find::PYTHON;

/// The version of the pinned wheels.
const VERSION: &str = "1.31.1";

/// A wheel whose contents are known.
struct Wheel {
    os: &'static str,
    arch: &'static str,
    /// The platform tag under which pip finds it.
    platform: &'static str,
    sha256: &'static str,
    /// The library inside it.
    member: &'static str,
}

/// The wheels for Python 3.11, whatever the Python that runs pip: the library inside does not depend on it.
const WHEELS: [Wheel; 2] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        sha256: "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        sha256: "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
        member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
    },
];

/// Why fetching failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("no wheel is pinned for {os} on {arch}")]
    Platform {
        os: &'static str,
        arch: &'static str,
    },
    #[error("there is no cache directory on this system; set BUCKLER_CACHE to one")]
    NoCache,
    #[error("`{PYTHON}` could not be started ({0})")]
    NoPython(io::Error),
    #[error("pip failed ({0}); is the machine offline?")]
    Pip(String),
    #[error("pip downloaded {0} files instead of one wheel")]
    NotOneFile(usize),
    #[error("the wheel's SHA-256 is {got} instead of {expected}; it was not used")]
    Checksum { expected: &'static str, got: String },
    #[error("the wheel cannot be read ({0})")]
    Archive(#[from] zip::result::ZipError),
    #[error("`{path}` cannot be written ({source})")]
    Write { path: PathBuf, source: io::Error },
    #[error("a temporary directory cannot be used ({0})")]
    Temporary(io::Error),
}

/// Downloads the pinned wheel for this machine and puts its library into `<cache>/onnxruntime-<version>/`.
pub(super) fn fetch(cache: Option<&Path>) -> Result<PathBuf, FetchError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel = WHEELS
        .iter()
        .find(|wheel| wheel.os == os && wheel.arch == arch)
        .ok_or(FetchError::Platform { os, arch })?;
    let cache = cache.ok_or(FetchError::NoCache)?;
    let directory = cache.join(format!("onnxruntime-{VERSION}"));
    tracing::warn!(
        "no ONNX Runtime found: fetching onnxruntime {VERSION} with pip into {}",
        directory.display()
    );
    let downloads = tempfile::tempdir().map_err(FetchError::Temporary)?;
    let archive = download(wheel, downloads.path())?;
    check(&archive, wheel.sha256)?;
    install(&archive, wheel.member, &directory)
}

fn download(wheel: &Wheel, into: &Path) -> Result<PathBuf, FetchError> {
    let output = Command::new(PYTHON)
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--only-binary=:all:"])
        .args(["--implementation", "cp", "--python-version", "3.11"])
        .args(["--platform", wheel.platform, "--dest"])
        .arg(into)
        .arg(format!("onnxruntime=={VERSION}"))
        .stdin(Stdio::null())
        .output()
        .map_err(FetchError::NoPython)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = errors.lines().rfind(|line| !line.trim().is_empty());
        return Err(FetchError::Pip(last.unwrap_or("no message").to_owned()));
    }
    let files: Vec<PathBuf> = fs::read_dir(into)
        .map_err(FetchError::Temporary)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    match <[PathBuf; 1]>::try_from(files) {
        Ok([file]) => Ok(file),
        Err(files) => Err(FetchError::NotOneFile(files.len())),
    }
}

fn check(archive: &Path, expected: &'static str) -> Result<(), FetchError> {
    let mut digest = Sha256::new();
    let mut file = File::open(archive).map_err(FetchError::Temporary)?;
    io::copy(&mut file, &mut digest).map_err(FetchError::Temporary)?;
    let got = format!("{:x}", digest.finalize());
    if got == expected {
        Ok(())
    } else {
        Err(FetchError::Checksum { expected, got })
    }
}

/// Unpacks one member of the archive. The library appears under its name at once and whole, so that processes which
/// fetch at the same time do no more than the same work twice.
fn install(archive: &Path, member: &str, directory: &Path) -> Result<PathBuf, FetchError> {
    let file = File::open(archive).map_err(FetchError::Temporary)?;
    let mut archive = zip::ZipArchive::new(file)?;
    let mut member_file = archive.by_name(member)?;
    let name = Path::new(member).file_name().unwrap_or(member.as_ref());
    let path = directory.join(name);
    let write = || -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
        io::copy(&mut member_file, &mut temporary)?;
        temporary.as_file().sync_all()?;
        temporary.persist(&path)?;
        Ok(())
    };
    let result = { write }();
    match result {
        Ok(()) => Ok(path),
        Err(source) => Err(FetchError::Write { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive(directory: &Path) -> PathBuf {
        let path = directory.join("package.whl");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer
            .start_file("package/capi/lib.so.1.2.3", options)
            .unwrap();
        writer.write_all(&[7; 100_000]).unwrap();
        writer.finish().unwrap();
        path
    }

    #[test]
    fn processes_that_install_at_once_all_see_the_whole_library() {
        let root = tempfile::tempdir().unwrap();
        let archive = archive(root.path());
        let target = root.path().join("cache/package-1.2.3");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let path = install(&archive, "package/capi/lib.so.1.2.3", &target).unwrap();
                    assert_eq!(fs::read(path).unwrap(), [7; 100_000]);
                });
            }
        });
        assert_eq!(fs::read_dir(target).unwrap().count(), 1);
    }

    #[test]
    fn an_archive_with_another_checksum_is_refused_by_both_sums() {
        let root = tempfile::tempdir().unwrap();
        let archive = archive(root.path());
        let message = check(&archive, WHEELS[0].sha256).unwrap_err().to_string();
        assert!(message.contains(WHEELS[0].sha256), "{message}");
        let got = format!("{:x}", Sha256::digest(fs::read(&archive).unwrap()));
        assert!(message.contains(&got), "{message}");
    }

    #[test]
    fn the_image_holds_what_is_fetched_elsewhere() {
        let pinned = include_str!("../../../../deploy/onnxruntime.txt");
        assert!(pinned.contains(&format!("onnxruntime=={VERSION} ")));
        for wheel in WHEELS.iter().filter(|wheel| wheel.os == "linux") {
            assert!(pinned.contains(wheel.sha256), "{}", wheel.arch);
        }
        let dockerfile = include_str!("../../../../deploy/Dockerfile");
        let library = format!("ORT_DYLIB_PATH=/usr/local/lib/libonnxruntime.so.{VERSION} ");
        assert!(dockerfile.contains(&library), "{dockerfile}");
    }

    #[test]
    fn a_missing_member_and_a_broken_archive_are_errors_that_leave_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("cache");
        assert!(install(&archive(root.path()), "package/other.so", &target).is_err());
        let broken = root.path().join("broken.whl");
        fs::write(&broken, b"not a zip").unwrap();
        assert!(install(&broken, "package/capi/lib.so.1.2.3", &target).is_err());
        assert!(!target.exists());
    }
}
