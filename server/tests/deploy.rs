//! What `deploy/` and the documents say of the server is so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod support;

use std::{fs, path::PathBuf};

use buckler_server::Config;
use support::Server;

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", name].iter().collect()
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

#[test]
fn the_example_of_all_settings_states_the_defaults_and_leaves_none_out() {
    let example = Config::read(&path("deploy/buckler.toml")).unwrap();
    example.check().unwrap();
    assert_eq!(format!("{example:?}"), format!("{:?}", Config::default()));
    let example = text("deploy/buckler.toml");
    for section in ["", "[engine]\n", "[image]\n", "[tls]\n", "[[keys]]\n"] {
        // An unknown setting is refused with the known ones.
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{section}nonsense = 1\n")).unwrap();
        let error = Config::read(file.path()).unwrap_err().to_string();
        let known = error.split("expected").nth(1).unwrap();
        let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(known.len() > 1, "{error}");
        for setting in known {
            let given = format!("{setting} = ");
            let table = [format!("[{setting}]"), format!("[[{setting}]]")];
            let mut lines = example.lines().map(|line| line.trim_start_matches("# "));
            assert!(
                lines.any(|line| line.starts_with(&given) || table.iter().any(|table| line == table)),
                "deploy/buckler.toml lacks `{setting}`"
            );
        }
    }
}

#[test]
fn the_keys_and_the_certificate_of_the_example_are_understood() {
    let lines = text("deploy/buckler.toml");
    let lines = lines.lines().map(|line| {
        let setting = line.strip_prefix("# ").filter(|line| {
            line.starts_with('[')
                || line
                    .split(" = ")
                    .next()
                    .is_some_and(|name| !name.contains(' '))
        });
        setting.unwrap_or(line)
    });
    let all = lines.collect::<Vec<_>>().join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), all).unwrap();
    let config = Config::read(file.path()).unwrap();
    config.check().unwrap();
    assert!(config.tls.is_some() && config.keys.len() == 1 && config.gradient_cache.is_some());
    assert_eq!(config.keys[0].scopes.len(), 3);
}

#[test]
fn the_settings_in_the_manifests_are_settings() {
    for name in ["deploy/kubernetes.yaml", "deploy/kserve.yaml"] {
        let manifest = text(name);
        let Some((_, rest)) = manifest.split_once("buckler.toml: |\n") else {
            continue;
        };
        let block: Vec<&str> = rest
            .lines()
            .take_while(|line| line.starts_with("    "))
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), block.join("\n")).unwrap();
        let config = Config::read(file.path()).unwrap();
        let ends = config.drain + config.grace;
        let limit = manifest
            .split("terminationGracePeriodSeconds: ")
            .nth(1)
            .unwrap();
        let limit: u64 = limit.lines().next().unwrap().parse().unwrap();
        assert!(ends.as_secs() < limit, "{name}: {ends:?} of {limit} s");
    }
}

#[tokio::test]
async fn the_probes_ask_for_what_the_server_answers() {
    let server = Server::sound().await;
    let mut probes = 0;
    for name in [
        "deploy/kubernetes.yaml",
        "deploy/kserve.yaml",
        "deploy/Dockerfile",
    ] {
        let manifest = text(name);
        let paths = manifest.split("/v2/health/").skip(1);
        for end in paths.map(|rest| {
            rest.split(|c: char| !c.is_ascii_lowercase())
                .next()
                .unwrap()
        }) {
            let answer = server
                .get(&format!("/v2/health/{end}"))
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 200, "{name}: {end}");
            probes += 1;
        }
    }
    assert!(probes >= 4, "{probes}");
    server.stop().await;
}

#[test]
fn a_pod_has_the_memory_that_requests_may_take_and_as_much_for_the_process_and_its_models() {
    let manifest = text("deploy/kubernetes.yaml");
    let limits = manifest
        .lines()
        .find_map(|line| line.trim().strip_prefix("limits: "))
        .unwrap();
    let number = |before: &str, after: char| -> usize {
        let rest = limits.split(before).nth(1).unwrap();
        rest.split(after).next().unwrap().parse().unwrap()
    };
    let processors = number("cpu: \"", '"');
    let memory = number("memory: ", 'G') << 30;
    let config = Config::default();
    let decoding = usize::try_from(config.image.max_alloc).unwrap() * processors;
    let requests = config.max_bytes_in_flight + config.load.queue_bytes + decoding;
    assert!(2 * requests <= memory, "{requests} of {memory}");
}
