//! Facts about files: what is wanted, and what becomes of what was found.

use model::Sha256Hex;
use planner::{Facts, FileFact, FileKind, Inputs};

use crate::support::{FLEET, ROLLOUT, change, draw, fleet, read};

const SUM: &str = "e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80";

fn inputs(select: &str) -> Inputs {
    let rollout = change(ROLLOUT, "{ labels: { env: prod } }", select);
    read(FLEET, &rollout).unwrap_or_else(|faults| panic!("{}", draw(&faults)))
}

fn wanted(inputs: &Inputs) -> Vec<String> {
    let line = |file: planner::FileWanted| {
        format!("{:?} {} at {}:{}", file.kind, file.path, file.place.file, file.place.line)
    };
    inputs.files().into_iter().map(line).collect()
}

/// All is well with every file.
fn good(inputs: &Inputs) -> Facts {
    let mut facts = Facts::new();
    for file in inputs.files() {
        let sha256 = (file.kind == FileKind::Image).then(|| Sha256Hex::parse(SUM).expect("a sum"));
        facts.insert(file.kind, &file.path, FileFact { error: None, size: 1_500, sha256 });
    }
    facts
}

#[test]
fn each_file_is_wanted_once_at_its_first_place() {
    assert_eq!(
        wanted(&inputs("{ all: true }")),
        [
            "Ca /etc/spsfleet/ca.pem at fleet.yaml:8",
            "Image /etc/spsfleet/sps-7.5.1.iso at rollout.yaml:7",
            "PasswordFile /etc/spsfleet/lab-password at fleet.yaml:38",
            "Credential sps-password at fleet.yaml:7",
        ]
    );
}

#[test]
fn only_what_the_rollout_needs_is_wanted() {
    let files = wanted(&inputs("{ sites: [ams] }"));
    assert!(!files.iter().any(|file| file.contains("lab-password")), "{files:?}");
    let whole = planner::read(fleet(FLEET), None).expect("a good fleet");
    assert_eq!(wanted(&whole).len(), 3);
}

#[test]
fn good_files_leave_no_warning_and_the_size_is_in_the_plan() {
    let inputs = inputs("{ all: true }");
    let plan = planner::plan(&inputs, &good(&inputs)).expect("a plan");
    assert_eq!(plan.warnings, []);
    assert_eq!(plan.firmware.upload.as_ref().map(|image| image.size), Some(1_500));
    assert_eq!(planner::check(&inputs, &good(&inputs)), Ok(Vec::new()));
    assert_eq!(planner::lint(&plan), []);
}

#[test]
fn every_bad_file_is_a_fault_where_it_is_named() {
    let inputs = inputs("{ all: true }");
    let mut facts = good(&inputs);
    for (kind, path) in [
        (FileKind::Ca, "/etc/spsfleet/ca.pem"),
        (FileKind::Credential, "sps-password"),
        (FileKind::PasswordFile, "/etc/spsfleet/lab-password"),
    ] {
        let fact = FileFact { error: Some("no such file".to_owned()), ..FileFact::default() };
        facts.insert(kind, path, fact);
    }
    let other = FileFact { error: None, size: 7, sha256: Some(Sha256Hex::of(b"other")) };
    facts.insert(FileKind::Image, "/etc/spsfleet/sps-7.5.1.iso", other);
    let faults = planner::plan(&inputs, &facts).expect_err("four faults");
    insta::assert_snapshot!(draw(&faults));

    let mut facts = good(&inputs);
    facts.insert(FileKind::Image, "/etc/spsfleet/sps-7.5.1.iso", FileFact::default());
    let faults = planner::check(&inputs, &facts).expect_err("an empty image");
    assert_eq!(faults.iter().map(|fault| fault.code).collect::<Vec<_>>(), ["image-file"]);
}

#[test]
fn a_file_that_nothing_is_told_of_is_warned_about() {
    let inputs = inputs("{ sites: [ams] }");
    let mut facts = Facts::new();
    for file in inputs.files().into_iter().filter(|file| file.kind != FileKind::Credential) {
        facts.insert(file.kind, &file.path, FileFact { size: 1, ..FileFact::default() });
    }
    let plan = planner::plan(&inputs, &facts).expect("a plan");
    let told = plan.warnings.iter().filter(|warning| warning.code == "not-looked-at");
    let texts: Vec<&str> = told.map(|warning| warning.text.as_str()).collect();
    assert_eq!(texts, ["it is not known whether these can be used: the credential sps-password"]);
}
