mod archive;
mod server;

use std::time::Duration;

use md5::{Digest, Md5};
use tempfile::TempDir;

use self::server::{Answer, Server};
use super::*;

fn md5(bytes: &[u8]) -> String {
    format!("{:x}", Md5::digest(bytes))
}

fn client() -> Client {
    Client::new(Duration::from_millis(300), None)
}

fn published(server: &Server, body: &[u8], holds: Holds) -> Published {
    Published {
        name: "cifar10",
        files: "`a.bin` and `b.bin`",
        items: vec![Item {
            url: format!("{}/some/data.bin", server.url()),
            md5: md5(body),
            bytes: body.len() as u64,
            holds,
        }],
    }
}

/// Bytes without a pattern as long as a range, so that a wrong seam shows.
fn body() -> Vec<u8> {
    (0..300_000u32)
        .map(|i| (i.wrapping_mul(i) / 7).wrapping_add(i / 256) as u8)
        .collect()
}

struct Cache(TempDir);

impl Cache {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn locate(&self, published: &Published) -> Result<PathBuf, DataError> {
        locate_in(published, None, Some(self.0.path().to_owned()), &client())
    }

    fn refusal(&self, published: &Published) -> String {
        self.locate(published).unwrap_err().to_string()
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("data/cifar10")
    }

    fn part(&self) -> PathBuf {
        self.dir().join("data.bin.part")
    }

    /// All names but that of the lock.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_is_downloaded_once() {
    let body = body();
    let server = Server::start(&body, vec![Answer::Whole]);
    let published = published(&server, &body, Holds::File);
    let cache = Cache::new();
    let dir = cache.locate(&published).unwrap();
    assert_eq!(dir, cache.dir());
    assert_eq!(fs::read(dir.join("data.bin")).unwrap(), body);
    assert_eq!(cache.names(), ["data.bin"]);
    assert_eq!(cache.locate(&published).unwrap(), dir);
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let body = body();
    let cut = Answer::Cut { after: 100_000 };
    let server = Server::start(&body, vec![cut, cut, Answer::Whole]);
    let cache = Cache::new();
    let dir = cache
        .locate(&published(&server, &body, Holds::File))
        .unwrap();
    assert_eq!(fs::read(dir.join("data.bin")).unwrap(), body);
    let ranges = server.ranges();
    assert_eq!(ranges.len(), 3);
    assert_eq!(ranges[0], None);
    assert!(ranges[1] > Some(0) && ranges[2] > ranges[1], "{ranges:?}");
}

#[test]
fn a_later_run_goes_on_with_what_is_there() {
    let body = body();
    let server = Server::start(&body, vec![Answer::Whole]);
    let cache = Cache::new();
    fs::create_dir_all(cache.dir()).unwrap();
    fs::write(cache.part(), &body[..123_456]).unwrap();
    let dir = cache
        .locate(&published(&server, &body, Holds::File))
        .unwrap();
    assert_eq!(fs::read(dir.join("data.bin")).unwrap(), body);
    assert_eq!(server.ranges(), [Some(123_456)]);
}

#[test]
fn a_part_that_is_complete_is_not_asked_for() {
    let body = body();
    let server = Server::start(&body, vec![]);
    let cache = Cache::new();
    fs::create_dir_all(cache.dir()).unwrap();
    fs::write(cache.part(), &body).unwrap();
    cache
        .locate(&published(&server, &body, Holds::File))
        .unwrap();
    assert_eq!(cache.names(), ["data.bin"]);
    assert_eq!(server.ranges(), []);
}

#[test]
fn a_server_without_ranges_is_asked_for_everything() {
    let body = body();
    for answer in [
        Answer::IgnoreRange,
        Answer::WrongRange,
        Answer::Unsatisfiable,
    ] {
        let server = Server::start(&body, vec![answer, Answer::Whole]);
        let cache = Cache::new();
        fs::create_dir_all(cache.dir()).unwrap();
        fs::write(cache.part(), &body[..1000]).unwrap();
        let dir = cache
            .locate(&published(&server, &body, Holds::File))
            .unwrap();
        assert_eq!(fs::read(dir.join("data.bin")).unwrap(), body, "{answer:?}");
        assert_eq!(server.ranges()[0], Some(1000));
    }
}

#[test]
fn a_connection_that_always_breaks_is_given_up_and_the_part_kept() {
    let body = body();
    let cut = Answer::Cut { after: 10_000 };
    let server = Server::start(&body, vec![cut; 5]);
    let published = published(&server, &body, Holds::File);
    let cache = Cache::new();
    let message = cache.refusal(&published);
    let url = format!("{}/some/data.bin", server.url());
    for part in [
        &format!("cannot download `{url}`"),
        "of 300000 bytes",
        "the next run goes on from there",
        "Without a network, put `a.bin` and `b.bin` into a directory and write `cifar10:DIR`",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(server.ranges().len(), 5);
    let kept = fs::read(cache.part()).unwrap();
    assert!(
        !kept.is_empty() && body.starts_with(&kept),
        "{}",
        kept.len()
    );
    assert_eq!(cache.names(), ["data.bin.part"]);
}

#[test]
fn a_server_that_falls_silent_is_left() {
    let body = body();
    let stall = Answer::Stall { after: 5_000 };
    let server = Server::start(&body, vec![stall; 5]);
    let cache = Cache::new();
    let message = cache.refusal(&published(&server, &body, Holds::File));
    assert!(message.contains("timeout"), "{message}");
    let server = Server::start(&body, vec![Answer::Stall { after: 0 }]);
    let message = Cache::new().refusal(&published(&server, &body, Holds::File));
    assert!(message.contains("timeout"), "{message}");
}

#[test]
fn wrong_bytes_are_thrown_away() {
    let body = body();
    let server = Server::start(&body, vec![Answer::Wrong, Answer::Whole]);
    let published = published(&server, &body, Holds::File);
    let cache = Cache::new();
    let message = cache.refusal(&published);
    let expected = format!("expected {}; it was thrown away", md5(&body));
    assert!(message.contains(&expected), "{message}");
    assert!(cache.names().is_empty(), "{:?}", cache.names());
    cache.locate(&published).unwrap();
}

#[test]
fn more_bytes_than_published_are_refused() {
    let body = body();
    let longer = [&body[..], &[1; 100]].concat();
    let server = Server::start(&longer, vec![Answer::Whole]);
    let cache = Cache::new();
    let message = cache.refusal(&published(&server, &body, Holds::File));
    assert!(message.contains("more than the 300000 bytes"), "{message}");
    assert_eq!(fs::read(cache.part()).unwrap(), []);
}

#[test]
fn an_error_status_is_told() {
    let server = Server::start(&[], vec![Answer::NotFound]);
    let message = Cache::new().refusal(&published(&server, &body(), Holds::File));
    assert!(
        message.contains("the server answers 404 Not Found"),
        "{message}"
    );
}

#[test]
fn without_a_server_the_remedy_is_named() {
    let server = Server::start(&[], vec![]);
    let published = published(&server, &body(), Holds::File);
    drop(server);
    let message = Cache::new().refusal(&published);
    assert!(message.contains("refused"), "{message}");
    assert!(message.contains("write `cifar10:DIR`"), "{message}");
}

#[test]
fn two_who_want_the_same_download_it_once() {
    let body = body();
    let server = Server::start(&body, vec![Answer::Whole]);
    let published = published(&server, &body, Holds::File);
    let cache = Cache::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| cache.locate(&published).unwrap());
        }
    });
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn a_directory_under_the_root_wins_over_a_download() {
    let server = Server::start(&[], vec![]);
    let published = published(&server, &[1], Holds::File);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cifar10");
    fs::create_dir(&dir).unwrap();
    let found = locate_in(&published, Some(root.path().to_owned()), None, &client());
    assert_eq!(found.unwrap(), dir);
    assert_eq!(server.ranges(), []);
}

#[test]
fn without_any_directory_the_remedies_are_named() {
    let root = tempfile::tempdir().unwrap();
    let root = Some(root.path().to_owned());
    let message = locate_in(&Published::mnist(), root, None, &client())
        .unwrap_err()
        .to_string();
    for part in [
        "mnist:DIR",
        "BUCKLER_DATA",
        "BUCKLER_CACHE",
        "train-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
        "digits",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn published_files_have_checksums_and_names_of_their_own() {
    for published in [
        Published::mnist(),
        Published::cifar10(),
        Published::cifar100(),
    ] {
        let mut names: Vec<&str> = published.items.iter().map(Item::file_name).collect();
        names.dedup();
        assert_eq!(names.len(), published.items.len());
        for item in &published.items {
            assert_eq!(item.md5.len(), 32);
            assert!(item.md5.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(item.url.starts_with("https://") && item.bytes > 4000);
        }
    }
}
