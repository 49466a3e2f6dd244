use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

const FOLDER: &str = "cifar-10-batches-bin";
const MEMBERS: &[&str] = &["a.bin", "b.bin"];

/// A packed archive of files with these paths and contents. Paths are written as they are, even those that a sane
/// archiver would refuse to write.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, contents) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *contents).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn fetch_archive(body: &[u8]) -> (Cache, Result<PathBuf, DataError>) {
    let server = Server::start(body, vec![Answer::Whole]);
    let holds = Holds::Archive {
        folder: FOLDER,
        members: MEMBERS,
    };
    let cache = Cache::new();
    let result = cache.locate(&published(&server, body, holds));
    (cache, result)
}

#[test]
fn an_archive_is_unpacked_and_only_what_is_wanted_kept() {
    let body = archive(&[
        ("cifar-10-batches-bin/readme.html", b"read"),
        ("./cifar-10-batches-bin/a.bin", b"first"),
        ("elsewhere/b.bin", b"not this"),
        ("cifar-10-batches-bin/b.bin", b"second"),
    ]);
    let (cache, dir) = fetch_archive(&body);
    let folder = dir.unwrap().join(FOLDER);
    assert_eq!(fs::read(folder.join("a.bin")).unwrap(), b"first");
    assert_eq!(fs::read(folder.join("b.bin")).unwrap(), b"second");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    assert_eq!(cache.names(), [FOLDER]);
}

#[test]
fn an_archive_that_is_there_already_is_unpacked_and_not_fetched_again() {
    let body = archive(&[
        ("cifar-10-batches-bin/a.bin", b"first"),
        ("cifar-10-batches-bin/b.bin", b"second"),
    ]);
    for (there, requests) in [(&body[..], vec![]), (b"something else", vec![None])] {
        let server = Server::start(&body, vec![Answer::Whole; requests.len()]);
        let holds = Holds::Archive {
            folder: FOLDER,
            members: MEMBERS,
        };
        let cache = Cache::new();
        fs::create_dir_all(cache.dir()).unwrap();
        fs::write(cache.dir().join("data.bin"), there).unwrap();
        cache.locate(&published(&server, &body, holds)).unwrap();
        assert_eq!(cache.names(), [FOLDER]);
        assert_eq!(server.ranges(), requests);
    }
}

#[test]
fn archives_that_reach_out_lack_files_or_hold_links_are_refused() {
    let whole: [(&str, &[u8]); 2] = [
        ("cifar-10-batches-bin/a.bin", b"first"),
        ("cifar-10-batches-bin/b.bin", b"second"),
    ];
    for (entry, complaint) in [
        (
            "../evil.bin",
            "`../evil.bin`, expected one inside the archive",
        ),
        ("cifar-10-batches-bin/../../a.bin", "expected one inside"),
        (
            "/elsewhere/evil.bin",
            "`/elsewhere/evil.bin`, expected one inside",
        ),
        ("cifar-10-batches-bin/a.bin", "a link or there twice"),
    ] {
        let body = archive(&[whole[0], whole[1], (entry, b"evil")]);
        let (cache, result) = fetch_archive(&body);
        let message = result.unwrap_err().to_string();
        assert!(message.contains(complaint), "{message}");
        assert_eq!(cache.names(), ["data.bin"], "nothing of it is unpacked");
    }
    let (_, result) = fetch_archive(&archive(&whole[..1]));
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("`cifar-10-batches-bin/b.bin` is missing"),
        "{message}"
    );

    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder
        .append_link(&mut header, whole[0].0, "/etc/passwd")
        .unwrap();
    let body = builder.into_inner().unwrap().finish().unwrap();
    let (_, result) = fetch_archive(&body);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("a link"), "{message}");

    let mut cut = archive(&whole);
    cut.truncate(cut.len() / 2);
    assert!(fetch_archive(&cut).1.is_err());
    let mut noise = GzEncoder::new(Vec::new(), Compression::fast());
    noise.write_all(&[7; 2000]).unwrap();
    assert!(fetch_archive(&noise.finish().unwrap()).1.is_err());
}
