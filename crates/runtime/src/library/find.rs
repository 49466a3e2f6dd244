//! Where an ONNX Runtime may already be. A function of its surroundings alone, so that tests can lay them out.
use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::Version;

/// How an ONNX Runtime was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Named by `ORT_DYLIB_PATH`.
    Configured,
    /// Beside the executable.
    Executable,
    /// In the cache directory.
    Cache,
    /// In the `onnxruntime` package of the Python on PATH.
    Python,
    /// Downloaded into the cache directory just now.
    Fetched,
}

impl Source {
    /// The places to look at, in order.
    pub(super) const SEARCHED: [Self; 4] = [
        Self::Configured,
        Self::Executable,
        Self::Cache,
        Self::Python,
    ];
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "ORT_DYLIB_PATH",
            Self::Executable => "beside the executable",
            Self::Cache => "the cache directory",
            Self::Python => "the Python on PATH",
            Self::Fetched => "fetched with pip",
        })
    }
}

/// A library that may be an ONNX Runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub path: PathBuf,
    pub source: Source,
    /// As far as names tell; the library itself is asked once it is loaded.
    pub version: Option<Version>,
}

impl Candidate {
    pub fn new(path: PathBuf, source: Source) -> Self {
        let version = file_version(&path).or_else(|| package_version(&path));
        Self {
            path,
            source,
            version,
        }
    }

    fn fits(&self) -> bool {
        self.version.is_none_or(Version::fits)
    }
}

/// What the search depends on.
pub(super) struct Surroundings {
    /// `ORT_DYLIB_PATH`: a library, or a directory with one.
    pub configured: Option<PathBuf>,
    /// The executable's directory.
    pub executable_dir: Option<PathBuf>,
    /// The directory that holds `onnxruntime-<version>` directories.
    pub cache: Option<PathBuf>,
    /// Finds the directory of Python's `onnxruntime` package. A function, because asking starts a process.
    pub python_package: Box<dyn Fn() -> Option<PathBuf>>,
}

/// Where this program keeps what it can make or fetch again: `BUCKLER_CACHE`, else `buckler` in the platform's cache directory.
pub fn cache_folder() -> Option<PathBuf> {
    set("BUCKLER_CACHE")
        .map(PathBuf::from)
        .or_else(|| directories::BaseDirs::new().map(|dirs| dirs.cache_dir().join("buckler")))
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

impl Surroundings {
    pub fn of_this_process() -> Self {
        Self {
            configured: set("ORT_DYLIB_PATH").map(PathBuf::from),
            executable_dir: env::current_exe()
                .ok()
                .and_then(|path| path.parent().map(Path::to_owned)),
            cache: cache_folder(),
            python_package: Box::new(python_package),
        }
    }

    /// The library to try from one place. `ORT_DYLIB_PATH` is taken at its word; the other places are passed over
    /// when their version is known not to fit.
    pub fn look(&self, source: Source) -> Option<Candidate> {
        let fitting = |path| Some(Candidate::new(path, source)).filter(Candidate::fits);
        match source {
            Source::Configured => {
                let path = self.configured.clone()?;
                let path = library_in(&path).unwrap_or(path);
                Some(Candidate::new(path, source))
            }
            Source::Executable => fitting(library_in(self.executable_dir.as_deref()?)?),
            Source::Cache => self.look_in_cache(),
            Source::Python => fitting(library_in(&(self.python_package)()?.join("capi"))?),
            Source::Fetched => None,
        }
    }

    /// The newest fitting version in the cache.
    fn look_in_cache(&self) -> Option<Candidate> {
        entries(self.cache.as_deref()?)
            .filter(|path| name(path).starts_with("onnxruntime-"))
            .filter_map(|directory| library_in(&directory))
            .map(|path| Candidate::new(path, Source::Cache))
            .filter(Candidate::fits)
            .max_by_key(|candidate| candidate.version)
    }
}

/// The ONNX Runtime library in a directory; of several versions the newest.
fn library_in(directory: &Path) -> Option<PathBuf> {
    entries(directory)
        .filter(|path| is_library_name(name(path)))
        .max_by_key(|path| (file_version(path), path.clone()))
}

fn is_library_name(name: &str) -> bool {
    match std::env::consts::OS {
        "windows" => name == "onnxruntime.dll",
        "macos" => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
        _ => name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so."),
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

/// From the file's name or, since `libonnxruntime.so` is often a link, from that of the file it leads to.
fn file_version(path: &Path) -> Option<Version> {
    Version::in_text(name(path)).or_else(|| Version::in_text(name(&fs::canonicalize(path).ok()?)))
}

/// Of `site-packages/onnxruntime/capi/<library>`, from `site-packages/onnxruntime*-<version>.dist-info`.
fn package_version(library: &Path) -> Option<Version> {
    let site_packages = library.ancestors().nth(3)?;
    entries(site_packages)
        .filter(|path| name(path).starts_with("onnxruntime") && name(path).ends_with(".dist-info"))
        .find_map(|path| Version::in_text(name(&path)))
}

/// Asks Python where the package is, without importing it.
fn python_package() -> Option<PathBuf> {
    const PROGRAM: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); \
                           print((s and s.submodule_search_locations or [''])[0])";
    let output = Command::new(PYTHON)
        .args(["-c", PROGRAM])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_dir())
}

/// The Python on PATH.
pub(super) const PYTHON: &str = if cfg!(windows) { "python" } else { "python3" };

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    struct Layout {
        root: tempfile::TempDir,
    }

    impl Layout {
        fn new() -> Self {
            Self {
                root: tempfile::tempdir().unwrap(),
            }
        }

        fn file(&self, path: &str) -> PathBuf {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"").unwrap();
            path
        }

        fn surroundings(&self) -> Surroundings {
            let package = self.root.path().join("site-packages/onnxruntime");
            Surroundings {
                configured: None,
                executable_dir: Some(self.root.path().join("bin")),
                cache: Some(self.root.path().join("cache")),
                python_package: Box::new(move || Some(package.clone())),
            }
        }
    }

    fn first(surroundings: &Surroundings) -> Option<(Source, PathBuf)> {
        let candidate = Source::SEARCHED
            .into_iter()
            .find_map(|source| surroundings.look(source))?;
        Some((candidate.source, candidate.path))
    }

    #[test]
    fn each_place_yields_to_the_one_before_it() {
        let layout = Layout::new();
        let mut surroundings = layout.surroundings();
        assert_eq!(first(&surroundings), None);
        let python = layout.file("site-packages/onnxruntime/capi/libonnxruntime.so.1.30.0");
        assert_eq!(first(&surroundings), Some((Source::Python, python)));
        let cached = layout.file("cache/onnxruntime-1.24.1/libonnxruntime.so.1.24.1");
        assert_eq!(first(&surroundings), Some((Source::Cache, cached)));
        let beside = layout.file("bin/libonnxruntime.so.1.25.0");
        assert_eq!(first(&surroundings), Some((Source::Executable, beside)));
        let configured = layout.file("elsewhere/my-build.so");
        surroundings.configured = Some(configured.clone());
        assert_eq!(first(&surroundings), Some((Source::Configured, configured)));
    }

    #[test]
    fn versions_that_do_not_fit_are_passed_over_and_the_newest_that_fits_is_taken() {
        let layout = Layout::new();
        layout.file("bin/libonnxruntime.so.1.23.0");
        layout.file("cache/onnxruntime-2.0.0/libonnxruntime.so.2.0.0");
        layout.file("cache/onnxruntime-1.9.0/libonnxruntime.so.1.9.0");
        layout.file("cache/onnxruntime-1.24.9/libonnxruntime.so.1.24.9");
        let newest = layout.file("cache/onnxruntime-1.24.10/libonnxruntime.so.1.24.10");
        assert_eq!(first(&layout.surroundings()), Some((Source::Cache, newest)));
    }

    #[test]
    fn a_configured_path_is_taken_at_its_word_even_when_it_does_not_exist() {
        let layout = Layout::new();
        layout.file("bin/libonnxruntime.so.1.25.0");
        let mut surroundings = layout.surroundings();
        surroundings.configured = Some("/nowhere/libonnxruntime.so".into());
        assert_eq!(first(&surroundings).unwrap().0, Source::Configured);
    }

    #[test]
    fn a_configured_directory_stands_for_the_library_in_it() {
        let layout = Layout::new();
        let library = layout.file("build/libonnxruntime.so");
        layout.file("build/libonnxruntime_providers_shared.so");
        let mut surroundings = layout.surroundings();
        surroundings.configured = Some(layout.root.path().join("build"));
        assert_eq!(first(&surroundings), Some((Source::Configured, library)));
    }

    #[test]
    fn the_version_of_a_nameless_library_is_that_of_its_package_or_of_the_file_it_links_to() {
        let layout = Layout::new();
        let packaged = layout.file("site-packages/onnxruntime/capi/libonnxruntime.so");
        layout.file("site-packages/onnxruntime_gpu-1.26.3.dist-info/METADATA");
        let version = |path: &Path| Candidate::new(path.to_owned(), Source::Python).version;
        assert_eq!(version(&packaged), Some(Version([1, 26, 3])));
        let target = layout.file("lib/libonnxruntime.so.1.27.0");
        let link = layout.root.path().join("lib/libonnxruntime.so");
        std::os::unix::fs::symlink(target, &link).unwrap();
        assert_eq!(version(&link), Some(Version([1, 27, 0])));
    }
}
