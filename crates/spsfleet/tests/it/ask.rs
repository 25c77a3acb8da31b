//! Help, wrong command lines, files that are not there.

use crate::support::{World, settings};

#[test]
fn help_is_data_and_lists_what_works() {
    let done = World::new().run("--help");
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    settings().bind(|| insta::assert_snapshot!(done.out));
}

#[test]
fn every_command_shows_an_example() {
    let world = World::new();
    for command in [
        "demo",
        "simulate",
        "check",
        "plan",
        "run",
        "status",
        "events",
        "explain",
        "pause",
        "resume",
        "abort",
        "approve",
        "confirm",
        "retry",
        "skip",
        "resolve",
        "freeze override",
    ] {
        let done = world.run(&format!("{command} --help"));
        assert_eq!(done.code, 0);
        assert!(done.out.contains(&format!("Example:\n  spsfleet {command}")), "{}", done.out);
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let world = World::new();
    for line in
        ["", "rollout", "run", "status", "resolve r a maybe --state x", "demo --appliances 0"]
    {
        let done = if line.is_empty() { world.run_words(&[]) } else { world.run(line) };
        assert_eq!(done.code, 2, "{line}: {}", done.err);
        assert_eq!(done.out, "", "{line}");
        assert!(done.err.contains("Usage:") || done.err.contains("invalid value"), "{}", done.err);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let world = World::new();
    for (line, text) in [
        ("check --fleet none.yaml", "error: none.yaml: no such file\n"),
        ("status --state none.db", "/none.db: there is no such database\n"),
        ("events --state none.db", "/none.db: there is no such database\n"),
        ("pause r --state none.db", "/none.db: there is no such database\n"),
    ] {
        let done = world.run(line);
        assert_eq!((done.code, done.out.as_str()), (2, ""), "{line}");
        assert!(done.err.ends_with(text), "{line}: {}", done.err);
    }
    world.write("text.db", "this is no database, only text that somebody wrote");
    let done = world.run("status --state text.db");
    assert_eq!(done.code, 2);
    assert!(done.err.contains("this is no database"), "{}", done.err);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let world = World::new();
    assert_eq!(world.run_unread("--help"), Some(0));
    let done = world.run("demo --appliances 1 --speed 5 --dir d");
    assert_eq!(done.code, 4, "{}", done.err);
    assert_eq!(world.run_unread("events --state d/demo.db"), Some(0));
    assert_eq!(world.run_unread("demo --appliances 1 --speed 5 --dir e"), Some(4));
}
