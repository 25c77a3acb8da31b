//! Large files pass; files made to hurt are refused.

use crate::support::{draw, fleet};

fn codes(text: String) -> Vec<&'static str> {
    let mut source = fleet("");
    source.text = text;
    match planner::read(source, None) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.code).collect(),
    }
}

#[test]
fn a_hundred_thousand_appliances_are_read() {
    let mut text = "version: 1\ndefaults: { login: { username: u, password: { env: P } }, tls: &t { ca: ca.pem } }\n\
                    sites: { a: {}, b: {} }\nredundancy_groups: { g: {} }\nappliances:\n"
        .to_owned();
    for at in 0..100_000 {
        text += &format!(
            "  - {{ name: n{at}, address: 10.{}.{}.{}, hostname: sps-{at}, site: a, redundancy_group: g, port: 8443, \
             labels: {{ env: prod, ring: r{} }}, tls: *t, login: {{ username: x }} }}\n",
            at / 65_536,
            at / 256 % 256,
            at % 256,
            at % 7
        );
    }
    let inputs =
        planner::read(fleet(&text), None).unwrap_or_else(|faults| panic!("{}", draw(&faults)));
    assert_eq!(inputs.appliances().count(), 100_000);
}

#[test]
fn a_file_of_more_than_32_mb_is_refused() {
    assert_eq!(codes("#".repeat(planner::LARGEST_FILE + 1)), ["file-too-large"]);
}

#[test]
fn traps_are_refused() {
    let deep = "[".repeat(10_000);
    let deep_blocks: String = (0..500).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..10 {
        let list = vec![format!("*a{}", at - 1); 10].join(", ");
        bomb += &format!("a{at}: &a{at} [{list}]\n");
    }
    let recursive = "a: &a [*a]\n".to_owned();
    for trap in [deep, deep_blocks, bomb, recursive] {
        let start: String = trap.chars().take(20).collect();
        let codes = codes(trap);
        assert!(codes == ["file-too-complex"] || codes == ["yaml-syntax"], "{start}: {codes:?}");
    }
}

#[test]
fn more_than_a_thousand_faults_are_counted() {
    let mut text = "version: 1\nappliances:\n".to_owned();
    for _ in 0..2_500 {
        text += "  - {}\n";
    }
    let faults = planner::read(fleet(&text), None).expect_err("5,002 faults");
    assert_eq!(faults.len(), 1_001);
    let last = faults.last().expect("a fault");
    assert_eq!(
        (last.code, last.message.as_str()),
        ("more-faults", "4002 more faults are not listed")
    );
}

#[test]
fn empty_files_are_refused_in_plain_words() {
    for text in ["", "# only a comment\n", "---\n", "- a\n", "text\n", "7\n", "~\n"] {
        assert_eq!(codes(text.to_owned()), ["wrong-shape"], "{text:?}");
    }
}
