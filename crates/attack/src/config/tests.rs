use super::*;
use crate::{Attack, InputSpec};

fn limits() -> Limits {
    Limits::for_input(InputSpec {
        channels: 3,
        height: 32,
        width: 32,
    })
}

fn read(json: &str) -> Result<AttackConfig, serde_json::Error> {
    serde_json::from_str(json)
}

fn message(json: &str) -> String {
    read(json)
        .unwrap()
        .validate(&limits())
        .unwrap_err()
        .to_string()
}

#[test]
fn nothing_written_is_the_documented_default() {
    let attack = read("{}").unwrap().validate(&limits()).unwrap();
    assert_eq!(
        attack.to_string(),
        "pgd linf eps=8/255 steps=20 step_size=0.003922 restarts=1 objective=cross_entropy seed=0"
    );
    assert_eq!(attack.describe(), attack.to_string());
    let l2 = read(r#"{"norm":"l2"}"#)
        .unwrap()
        .validate(&limits())
        .unwrap();
    assert_eq!(l2.parameters().eps.to_string(), "128/255");
}

#[test]
fn every_attack_goes_by_its_name_and_says_all_that_is_needed_to_run_it_again() {
    for kind in AttackKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        let config = read(&format!(r#"{{"attack":"{kind}","seed":5}}"#)).unwrap();
        let attack = config.validate(&limits()).unwrap();
        assert_eq!(attack.name(), kind.name());
        assert_eq!(attack.threat().norm, kind.norms()[0]);
        let line = attack.describe();
        assert!(line.starts_with(&format!("{kind} ")), "{line}");
    }
}

#[test]
fn a_shared_configuration_keeps_what_the_attack_takes() {
    let config = read(r#"{"attack":"fgsm","steps":7,"objective":"margin","seed":2}"#).unwrap();
    let (fitted, left_out) = config.fitted();
    assert_eq!(left_out, ["steps"]);
    let expected = read(r#"{"attack":"fgsm","objective":"margin","seed":2}"#).unwrap();
    assert_eq!(fitted, expected);
    assert!(fitted.validate(&limits()).is_ok());
}

#[test]
fn numbers_and_text_read_alike() {
    let numbers = r#"{"attack":"pgd","norm":"l2","eps":0.5,"steps":7,"step_size":0.125,
        "restarts":3,"objective":"margin","seed":18446744073709551615}"#;
    let text = r#"{"attack":"pgd","norm":"l2","eps":"0.5","steps":" 7 ","step_size":"0.125",
        "restarts":"3","objective":"margin","seed":"18446744073709551615"}"#;
    assert_eq!(read(numbers).unwrap(), read(text).unwrap());
    assert_eq!(
        read(numbers)
            .unwrap()
            .validate(&limits())
            .unwrap()
            .to_string(),
        "pgd l2 eps=0.5 steps=7 step_size=0.125 restarts=3 objective=margin seed=18446744073709551615"
    );
}

#[test]
fn fractions_read_as_the_literature_writes_them() {
    let config = read(r#"{"eps":"4/255","step_size":"2/255"}"#).unwrap();
    assert_eq!(config.eps.unwrap().to_string(), "4/255");
    let parameters = config.validate(&limits()).unwrap().parameters();
    assert_eq!(parameters.step_size, Some(2.0 / 255.0));
}

#[test]
fn fields_left_blank_are_not_given() {
    let blank = r#"{"eps":"","steps":"","step_size":" ","restarts":"","seed":""}"#;
    assert_eq!(read(blank).unwrap(), AttackConfig::default());
    assert_eq!(
        read(r#"{"eps":null,"steps":null}"#).unwrap(),
        AttackConfig::default()
    );
}

#[test]
fn a_configuration_survives_a_round_trip() {
    let config = read(r#"{"attack":"fgsm","eps":"8/255","seed":3}"#).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(read(&json).unwrap(), config);
    assert!(json.contains(r#""eps":"8/255""#), "{json}");
}

#[test]
fn unreadable_values_name_the_field_the_value_and_the_remedy() {
    for (json, parts) in [
        (r#"{"eps":-0.1}"#, ["eps `-0.1`", "2/255", "number"]),
        (r#"{"eps":"NaN"}"#, ["eps `NaN`", "number", "fraction"]),
        (r#"{"eps":"8/0"}"#, ["eps `8/0`", "number", "fraction"]),
        (r#"{"step_size":-1}"#, ["step_size `-1`", "2/255", "number"]),
        (r#"{"step_size":"x"}"#, ["step_size `x`", "2/255", "number"]),
        (r#"{"steps":-1}"#, ["steps `-1`", "whole number", "20"]),
        (r#"{"steps":1.5}"#, ["steps `1.5`", "whole number", "20"]),
        (
            r#"{"restarts":"many"}"#,
            ["restarts `many`", "whole number", "1"],
        ),
        (r#"{"seed":-3}"#, ["seed `-3`", "whole number", "0"]),
        (r#"{"attack":"magic"}"#, ["`magic`", "`fgsm`", "`pgd`"]),
        (r#"{"norm":"l7"}"#, ["`l7`", "`linf`", "`l2`"]),
        (
            r#"{"objective":"luck"}"#,
            ["`luck`", "`cross_entropy`", "`margin`"],
        ),
        (
            r#"{"variants":"ni,xi"}"#,
            ["variants `ni,xi`", "`ni`", "`ti`"],
        ),
        (r#"{"epsilon":1}"#, ["`epsilon`", "`eps`", "`steps`"]),
    ] {
        let message = read(json).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{json}: `{message}` lacks `{part}`");
        }
    }
    let message = "magic".parse::<AttackKind>().unwrap_err().to_string();
    assert!(message.starts_with("unknown attack `magic`: use `fgsm`, `pgd`, "));
}

#[test]
fn values_outside_the_limits_name_value_limit_and_remedy() {
    for (json, parts) in [
        (r#"{"eps":8}"#, ["eps 8", "limit of 1 for linf", "8/255"]),
        (
            r#"{"eps":"256/255"}"#,
            ["eps 256/255", "limit of 1 for linf", "8/255"],
        ),
        (r#"{"norm":"l2","eps":60}"#, ["eps 60", "55.4", "l2"]),
        (r#"{"steps":0}"#, ["steps 0", "1 to 1000", "usual"]),
        (r#"{"steps":1001}"#, ["steps 1001", "1 to 1000", "usual"]),
        (r#"{"step_size":0}"#, ["step_size 0", "over 0", "2/255"]),
        (r#"{"restarts":0}"#, ["restarts 0", "1 to 100", "usual"]),
        (r#"{"restarts":101}"#, ["restarts 101", "1 to 100", "usual"]),
        (
            r#"{"attack":"fgsm","steps":5}"#,
            ["steps 5", "fgsm", "objective"],
        ),
        (
            r#"{"attack":"apgd-t","objective":"margin"}"#,
            ["objective margin", "apgd-t", "restarts"],
        ),
        (
            r#"{"attack":"autoattack","restarts":2}"#,
            ["restarts 2", "autoattack", "seed"],
        ),
        (r#"{"variants":"ni"}"#, ["variants ni", "pgd", "step_size"]),
        (r#"{"attack":"cw","norm":"linf"}"#, ["cw", "linf", "l2"]),
        (
            r#"{"attack":"square","steps":100001}"#,
            ["steps 100001", "1 to 20000", "usual"],
        ),
    ] {
        let message = message(json);
        for part in parts {
            assert!(message.contains(part), "{json}: `{message}` lacks `{part}`");
        }
    }
}
