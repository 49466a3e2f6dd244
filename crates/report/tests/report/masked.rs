//! Classes that a model never chooses are not attacked, and an honest report of such a model holds.

use std::fs;

use buckler_attack::{AttackConfig, Limits};
use buckler_report::{Entry, Expected, Folder, FolderLock, Plan, run, verify, write};
use serde_json::{Value, json};

use crate::{
    subject,
    victim::{INPUT, Linear, samples},
};

fn plan() -> Plan {
    let entry = |eps: &str| {
        let config = format!(r#"{{"attack":"multi-targeted","eps":"{eps}","steps":4}}"#);
        let config: AttackConfig = serde_json::from_str(&config).unwrap();
        Entry {
            attack: config.validate(&Limits::for_input(INPUT)).unwrap(),
            halvings: None,
        }
    };
    Plan {
        entries: vec![entry("0.001"), entry("0.05")],
        linearity: Vec::new(),
    }
}

#[tokio::test]
async fn attacks_on_every_class_that_can_be_chosen_are_no_fewer_queries_than_due() {
    let dir = tempfile::tempdir().unwrap();
    let (victim, samples, plan) = (Linear::masked(), samples(60), plan());
    let subject = subject(&samples);
    let lock = FolderLock::acquire(dir.path(), false).unwrap();
    let folder = Folder::open(lock, &subject, &plan).unwrap();
    let run = run(
        &victim,
        &samples,
        &plan,
        subject.clone(),
        None,
        Some(&folder),
        |_| (),
    );
    write(&folder, &run.await.unwrap(), &samples, &[]).unwrap();
    let expected = Expected {
        subject: &subject,
        plan: Ok(&plan),
        no_gradient: None,
    };
    let path = dir.path().join("report.json");
    let verification = verify(&victim, &expected, &samples, &path).await.unwrap();
    assert!(verification.holds(), "{verification:?}");

    // One query less than towards the only other class.
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let records = report["evaluations"][0]["samples"].as_array_mut().unwrap();
    let held = records
        .iter_mut()
        .find(|r| r["outcome"] == "not_found")
        .unwrap();
    held["gradient_evaluations"] = json!(1);
    held["forward_evaluations"] = json!(3);
    fs::write(&path, report.to_string()).unwrap();
    let verification = verify(&victim, &expected, &samples, &path).await.unwrap();
    let problems = verification.problems.join("\n");
    assert!(
        problems.contains("took fewer queries (4 at least)"),
        "{problems}"
    );
}
