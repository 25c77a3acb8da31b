//! Every kind of fault once, as it is told.

use std::collections::BTreeSet;

use crate::support::{FLEET, ROLLOUT, change, draw, read};

/// Changes of the good files that make them bad: a title, a text, and what stands there instead.
type Cases<'a> = &'a [(&'a str, &'a str, &'a str)];

const LAST: &str = "    labels: { env: lab }\n";

const IN_FLEET: Cases<'_> = &[
    ("syntax", "sites:\n", "sites: [\n"),
    ("tab", "  port: 443\n", "\tport: 443\n"),
    ("two documents", "clusters: {}", "---\nclusters: {}"),
    ("unknown anchor", "tls: { ca: ca.pem }", "tls: *nothing"),
    ("no version", "version: 1\n", ""),
    ("other version", "version: 1\n", "version: 2\n"),
    ("unknown key at the top", "clusters:", "clutsers:"),
    ("unknown key of an appliance", "hostname: sps-ams-2", "host: sps-ams-2"),
    ("misspelt key of an appliance", "hostname: sps-ams-2", "hostnam: sps-ams-2"),
    ("key that defaults do not take", "  port: 443", "  address: 10.0.0.1"),
    ("same key twice", "    hostname: sps-ams-2\n", "    hostname: a\n    hostname: b\n"),
    ("no address", "    address: 10.10.0.12\n", ""),
    ("no name", "  - name: ams-2\n    address", "  - address"),
    ("empty name", "name: ams-2", "name:"),
    ("bad name", "name: ams-2", "name: AMS 2"),
    ("same name twice", "name: ams-2", "name: ams-1"),
    ("same address twice", "address: 10.10.0.12", "address: 10.10.0.11"),
    (
        "same IPv6 address in two spellings",
        "address: 10.10.0.12",
        "address: 2001:db8::1\n  - { name: x, address: \"2001:DB8:0::1\" }\n  - name: y\n    address: 10.0.0.9",
    ),
    ("scheme in the address", "address: 10.10.0.12", "address: https://10.10.0.12"),
    ("port in the address", "address: 10.10.0.12", "address: 10.10.0.12:8443"),
    ("bad IPv4 address", "address: 10.10.0.12", "address: 10.10.0.300"),
    ("bad port", "port: 8443", "port: 84433"),
    ("port that is a word", "port: 8443", "port: https"),
    ("list where a value belongs", "port: 8443", "port: [8443]"),
    ("value where a map belongs", "    labels: { env: lab }\n", "    labels: lab\n"),
    ("appliances that are no list", "appliances:\n", "appliances: 5\nmore:\n"),
    ("unknown site", "site: nyc", "site: nyk"),
    ("unknown site, far from any", "site: nyc", "site: somewhere-else"),
    ("unknown group", "  ams-edge: { unavailable: 1 }", "  ams-edgy: { unavailable: 1 }"),
    ("unknown cluster", LAST, "    cluster: { name: us, roles: [search-minion] }\n"),
    ("zero limit of a site", "transfers: 4", "transfers: 0"),
    ("limit that is no number", "transfers: 4", "transfers: many"),
    ("zero unavailable of a group", "{ unavailable: 1 }", "{ unavailable: 0 }"),
    ("unknown zone", "  nyc: {}", "  nyc: { time_zone: Europe/Amstredam }"),
    ("windows without zone", "  nyc: {}", "  nyc: { windows: [daily 01:00 - 05:00] }"),
    ("bad window", "  nyc: {}", "  nyc: { time_zone: UTC, windows: [Sam 01:00 - 05:00] }"),
    (
        "window that closes before it opens",
        "  nyc: {}",
        "  nyc: { time_zone: UTC, windows: [{ from: 2026-12-02T22:00, to: 2026-12-02T04:00 }] }",
    ),
    (
        "window of days",
        "  nyc: {}",
        "  nyc: { time_zone: UTC, windows: [{ from: 2026-12-02, to: 2026-12-03 }] }",
    ),
    (
        "bad date of a freeze",
        "  nyc: {}",
        "  nyc: { time_zone: UTC, freezes: [{ from: 18.12.2026, to: 2027-01-04 }] }",
    ),
    (
        "freeze that ends before it begins",
        "  nyc: {}",
        "  nyc: { time_zone: UTC, freezes: [{ from: 2027-12-18, to: 2027-01-04 }] }",
    ),
    ("no password anywhere", "    password: { credential: sps-password }\n", ""),
    ("no user name anywhere", "    username: fleet-upgrader\n", ""),
    ("password in the file", "{ credential: sps-password }", "hunter2"),
    (
        "two password sources",
        "{ credential: sps-password }",
        "{ credential: sps-password, env: X }",
    ),
    ("no password source", "{ credential: sps-password }", "{}"),
    ("credential that is a path", "credential: sps-password", "credential: /run/x"),
    ("bad variable", "{ credential: sps-password }", "{ env: A-B }"),
    ("empty command", "{ credential: sps-password }", "{ command: [] }"),
    ("command that is a text", "{ credential: sps-password }", "{ command: /bin/x }"),
    ("bad pin", "0f3c5d0a6f", "0f3c5d"),
    ("two ways of trust", "{ ca: ca.pem }", "{ ca: ca.pem, insecure: true }"),
    ("system: false", "{ ca: ca.pem }", "{ system: false }"),
    ("unknown upgrade call", "upgrade_call: detect", "upgrade_call: reboot"),
    ("unknown reboot", "reboot: operator", "reboot: person"),
    (
        "Redfish without system",
        "reboot: operator",
        "reboot: { redfish: { url: \"https://10.0.0.1\", username: x, password: { env: X } } }",
    ),
    ("HA pair that does not say what the call does", LAST, "    ha: { mode: attended }\n"),
    ("HA pair without mode", LAST, "    upgrade_call: arms\n    ha: { peer_sync: 10m }\n"),
    (
        "automatic pair that lacks all",
        LAST,
        "    upgrade_call: arms\n    ha: { mode: automatic }\n",
    ),
    (
        "automatic pair whose call reboots",
        LAST,
        "    upgrade_call: reboots\n    ha: { mode: automatic }\n",
    ),
    (
        "power switch without state",
        LAST,
        "    upgrade_call: arms\n    ha: { mode: automatic, peer_sync: 10m, secondary_power: { command: { on: [x], off: [x] } } }\n",
    ),
    ("member without roles", LAST, "    cluster: { name: us }\n"),
    ("empty roles", LAST, "    cluster: { name: us, roles: [] }\n"),
    ("label that is a list", "{ env: lab }", "{ env: [lab] }"),
];

const HOPS_ABOVE: &str = "  via: [{ version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }, { version: 7.5.1, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }]";
const HOPS_FALLING: &str = "  via: [{ version: 7.0.5.1, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }, { version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }]";
const HOPS_TWICE: &str = "  via: [{ version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }, { version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\" }]";
const HOP_WITHOUT_IMAGE: &str = "  via: [{ version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\" }]";

/// Changes of the rollout file.
const IN_ROLLOUT: Cases<'_> = &[
    ("syntax", "slots: {", "slots: {{"),
    ("unknown key", "stage: ahead", "stages: ahead"),
    ("no name", "name: sps-7.5.1\n", ""),
    ("bad name", "name: sps-7.5.1\n", "name: SPS 7.5.1\n"),
    ("bad version", "  version: 7.5.1", "  version: 7.5"),
    (
        "no sum",
        "  sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\"\n",
        "",
    ),
    ("bad sum", "cb9b80\"", "xyz\""),
    (
        "neither fetch nor upload",
        "  fetch: https://repo.example/sps-7.5.1.iso\n  upload: sps-7.5.1.iso\n",
        "",
    ),
    ("other scheme", "https://repo.example", "ftp://repo.example"),
    ("user information", "https://repo.example", "https://me:secret@repo.example"),
    ("empty message", "\"CHG0012345 SPS 7.5.1\"", "\"  \""),
    ("no selection", "select: { labels: { env: prod } }\n", ""),
    ("empty selection", "select: { labels: { env: prod } }", "select: {}"),
    (
        "selection of nothing but an exception",
        "select: { labels: { env: prod } }",
        "select: { except: { names: [ams-1] } }",
    ),
    ("all: false", "select: { labels: { env: prod } }", "select: { all: false }"),
    ("empty labels", "select: { labels: { env: prod } }", "select: { labels: {} }"),
    ("empty names", "select: { labels: { env: prod } }", "select: { names: [] }"),
    ("names that are a text", "select: { labels: { env: prod } }", "select: { names: ams-1 }"),
    ("unknown name", "select: { labels: { env: prod } }", "select: { names: [ams-1, asm-2] }"),
    ("unknown site", "select: { labels: { env: prod } }", "select: { sites: [nyk] }"),
    ("unknown cluster", "select: { labels: { env: prod } }", "select: { clusters: [us] }"),
    (
        "unknown name in an exception",
        "select: { labels: { env: prod } }",
        "select: { all: true, except: { names: [lab-2] } }",
    ),
    ("nothing selected", "{ env: prod }", "{ env: prdo }"),
    (
        "no waves",
        "waves:\n  - name: canary\n    select: { labels: { ring: canary } }\n  - name: half\n    percent: 50\n  - name: rest\n",
        "waves: []\n",
    ),
    ("wave without name", "  - name: half\n    percent: 50", "  - percent: 50"),
    ("same wave twice", "name: half", "name: canary"),
    ("wave with both", "    percent: 50", "    percent: 50\n    select: { all: true }"),
    ("percent too large", "percent: 50", "percent: 101"),
    ("percent of nothing", "percent: 50", "percent: 0"),
    ("falling percent", "    percent: 50", "    percent: 50\n  - name: third\n    percent: 33"),
    ("wave after the rest", "  - name: rest", "  - name: rest\n  - name: more\n    percent: 100"),
    ("wave that picks nobody", "{ ring: canary }", "{ ring: canery }"),
    ("unknown name of a wave", "{ labels: { ring: canary } }", "{ names: [ams-11] }"),
    ("in no wave", "  - name: rest\n", ""),
    ("zero limit", "unavailable: 3", "unavailable: 0"),
    ("unknown stage", "stage: ahead", "stage: before"),
    ("zero budget", "count: 1,", "count: 0,"),
    ("unknown breach", "on_breach: pause", "on_breach: stop"),
    ("percent of the disk", "disk_used_max: 90", "disk_used_max: 190"),
    ("flag that is a word", "require_untainted: true", "require_untainted: yes"),
    ("unknown room", "make_room: never", "make_room: newest"),
    ("duration without unit", "wait: 2h", "wait: 2"),
    ("bad duration", "return: 45m", "return: 45 minutes"),
    ("zero duration", "blind: 30s", "blind: 0s"),
    ("unknown timeout", "armed_grace: 3m", "armed: 3m"),
    ("bad approval", "    percent: 50", "    percent: 50\n    approval: yes"),
    ("bad drain", "stage: ahead", "drain: { wait: soon }"),
    ("bad hook", "stage: ahead", "hooks: { before: { timeout: 1m } }"),
    ("unknown hook", "stage: ahead", "hooks: { befor: { command: [x] } }"),
    (
        "hop without sum",
        "  upload: sps-7.5.1.iso",
        "  via: [{ version: 7.0.5, fetch: \"https://x.example\" }]",
    ),
    ("hop that is not older than the target", "  upload: sps-7.5.1.iso", HOPS_ABOVE),
    ("hops that fall", "  upload: sps-7.5.1.iso", HOPS_FALLING),
    ("hop twice", "  upload: sps-7.5.1.iso", HOPS_TWICE),
    ("hop without image", "  upload: sps-7.5.1.iso", HOP_WITHOUT_IMAGE),
    (
        "hop that adopts",
        "  upload: sps-7.5.1.iso",
        "  via: [{ version: 7.0.5, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://x.example\", adopt: true }]",
    ),
    ("bad window", "windows: []", "windows: [Sam 01:00 - 05:00]"),
    ("bad freeze", "freezes: []", "freezes: [{ from: 2027-12-18, to: 2027-01-04 }]"),
    ("negative soak", "    percent: 50", "    percent: 50\n    soak: -5m"),
    ("bad sessions", "stage: ahead", "drain: { sessions: none }"),
    ("bad otherwise", "stage: ahead", "drain: { otherwise: cut }"),
    ("hook without words", "stage: ahead", "hooks: { after: { command: [] } }"),
];

fn tell(title: &str, fleet: &str, rollout: &str) -> String {
    let faults = read(fleet, rollout).expect_err(title);
    let mut text = String::new();
    text += &format!("## {title}\n{}\n", draw(&faults));
    text
}

#[test]
fn faults_of_the_fleet_file() {
    let told =
        IN_FLEET.iter().map(|(title, from, to)| tell(title, &change(FLEET, from, to), ROLLOUT));
    insta::assert_snapshot!(told.collect::<String>());
}

#[test]
fn faults_of_the_rollout_file() {
    let told =
        IN_ROLLOUT.iter().map(|(title, from, to)| tell(title, FLEET, &change(ROLLOUT, from, to)));
    insta::assert_snapshot!(told.collect::<String>());
}

#[test]
fn every_fault_of_both_files_comes_back_at_once() {
    let mut fleet = FLEET.to_owned();
    for (from, to) in [
        ("port: 8443", "port: 0"),
        ("site: nyc", "site: nyk"),
        ("name: ams-2", "name: ams-1"),
        ("hostname: sps-ams-2", "hostnam: x"),
    ] {
        fleet = change(&fleet, from, to);
    }
    let mut rollout = ROLLOUT.to_owned();
    for (from, to) in [
        ("  version: 7.5.1", "  version: x"),
        ("blind: 30s", "blind: 30"),
        ("percent: 50", "percent: 500"),
        ("stage: ahead", "drain: { wait: 0s }"),
    ] {
        rollout = change(&rollout, from, to);
    }
    let faults = read(&fleet, &rollout).expect_err("eight faults");
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(
        codes,
        [
            "duplicate-name",
            "unknown-key",
            "unknown-site",
            "bad-port",
            "bad-version",
            "bad-number",
            "zero",
            "bad-duration"
        ],
        "{}",
        draw(&faults)
    );
}

#[test]
fn a_syntax_error_hides_only_its_own_file() {
    let fleet = change(FLEET, "port: 8443", "port: {");
    let rollout = change(ROLLOUT, "blind: 30s", "blind: 30");
    let faults = read(&fleet, &rollout).expect_err("two faults");
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["yaml-syntax", "bad-duration"], "{}", draw(&faults));
}

#[test]
fn the_marked_text_is_the_faulty_text() {
    let marked = |fleet: &str| {
        let faults = read(fleet, ROLLOUT).expect_err("a fault");
        let place = &faults[0].place;
        fleet[place.offset..place.offset + place.len].to_owned()
    };
    assert_eq!(marked(&change(FLEET, "port: 8443", "port: \"99999\" # é")), "\"99999\"");
    assert_eq!(marked(&change(FLEET, "site: nyc", "\"site\": 'nyk' # é")), "'nyk'");
    assert_eq!(marked(&change(FLEET, "hostname: sps-ams-2", "hostnam: é")), "hostnam");
    assert_eq!(marked(&change(FLEET, "sites:\n", "# é\nsites: *x\n")), "*");
}

#[test]
fn no_message_repeats_a_password() {
    for (from, to) in
        [("{ credential: sps-password }", "hunter2"), ("{ credential: sps-password }", "[hunter2]")]
    {
        let faults = read(&change(FLEET, from, to), ROLLOUT).expect_err("a fault");
        assert!(!draw(&faults).contains("hunter2"));
    }
    let url = change(ROLLOUT, "https://repo", "https://me:hunter2@repo");
    assert!(!draw(&read(FLEET, &url).expect_err("a fault")).contains("hunter2"));
}

#[test]
fn every_kind_is_told_above() {
    let mut told = BTreeSet::new();
    for (_, from, to) in IN_FLEET {
        told.extend(
            read(&change(FLEET, from, to), ROLLOUT).expect_err(from).into_iter().map(|f| f.code),
        );
    }
    for (_, from, to) in IN_ROLLOUT {
        told.extend(
            read(FLEET, &change(ROLLOUT, from, to)).expect_err(from).into_iter().map(|f| f.code),
        );
    }
    insta::assert_snapshot!(told.into_iter().collect::<Vec<_>>().join("\n"));
}
