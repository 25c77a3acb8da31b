//! What a careful person would doubt is told before a plan is accepted.

use crate::support::plan;

const FLEET: &str = "version: 1
defaults: { login: { username: u, password: { env: P } }, tls: { ca: ca.pem } }
sites: { s: { time_zone: Europe/Amsterdam }, bare: {} }
clusters: { us: { allow_attended: true } }
redundancy_groups: { g: {} }
appliances:
  - { name: a, address: a.example, site: s }
  - { name: b, address: b.example, site: bare }
  - { name: m, address: m.example, site: s, cluster: { name: us, roles: [managed-host, search-minion] } }
  - { name: cm, address: cm.example, site: s, cluster: { name: us, roles: [central-management, search-master] } }
  - { name: pair, address: p.example, site: s, upgrade_call: arms, reboot: { command: [r] }, ha: { mode: automatic, peer_sync: 10m, secondary_check: { command: [c] }, secondary_power: { redfish: { url: \"https://bmc.example\", system: x, username: u, password: { env: B }, tls: { ca: bmc.pem } } } } }
";

fn rollout(select: &str, rest: &str) -> String {
    format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: {} }}\n\
         message: m\nselect: {select}\n{rest}\n",
        "a".repeat(64)
    )
}

/// What the plan warns of, besides files that nobody looked at.
fn told(fleet: &str, rollout: &str) -> Vec<String> {
    let warnings = plan(fleet, rollout).warnings.into_iter();
    warnings
        .filter(|warning| warning.code != "not-looked-at")
        .map(|warning| format!("{}: {}", warning.code, warning.text))
        .collect()
}

const ALL: &str = "{ all: true }";

#[test]
fn a_sound_fleet_is_not_warned_about() {
    assert_eq!(told(FLEET, &rollout(ALL, "")), [""; 0]);
}

/// What is replaced in the fleet, and what must be told.
const IN_FLEET: &[(&str, &str, &[&str])] = &[
    (
        "secondary_check: { command: [c] }, ",
        "",
        &[
            "no-secondary-check: nothing proves which node is the secondary before its power goes off (`secondary_check`) on pair",
        ],
    ),
    (
        "reboot: { command: [r] }, ",
        "",
        &[
            "reboot-by-hand: a person must reboot (`reboot: operator`) while the secondary is switched off, though the pair is automatic: pair",
        ],
    ),
    (
        "peer_sync: 10m",
        "peer_sync: 30s",
        &[
            "short-duration: `peer_sync` is surprisingly short (the vendor speaks of a few minutes) on pair",
        ],
    ),
    (
        "https://bmc.example\", system: x, username: u, password: { env: B }, tls: { ca: bmc.pem }",
        "http://bmc.example\", system: x, username: u, password: { env: B }, tls: { insecure: true }",
        &[
            "insecure: `tls: {insecure: true}`: whoever answers for the Redfish service gets its password, and may say that power is off, of pair",
            "redfish-in-clear: the password of the Redfish service crosses the network in clear (http), of pair",
        ],
    ),
    (
        "tls: { ca: bmc.pem }",
        "tls: { insecure: true }",
        &[
            "insecure: `tls: {insecure: true}`: whoever answers for the Redfish service gets its password, and may say that power is off, of pair",
        ],
    ),
    (
        "site: s, cluster: { name: us, roles: [managed-host, search-minion] }",
        "site: s, upgrade_call: arms, cluster: { name: us, roles: [managed-host, search-minion] }",
        &[
            "person-in-cluster: inside a cluster a person's steps are waited for, and its upgraded minions do not audit meanwhile: m",
        ],
    ),
    (
        "site: s, cluster: { name: us, roles: [managed-host, search-minion] }",
        "upgrade_call: reboots, ha: { mode: attended }, cluster: { name: us, roles: [managed-host, search-minion] }",
        &[
            "person-in-cluster: inside a cluster a person's steps are waited for, and its upgraded minions do not audit meanwhile: m",
        ],
    ),
    (
        "roles: [managed-host, search-minion]",
        "roles: [managed-host]",
        &["no-search-role: no search role in the cluster `us` for m"],
    ),
    (
        "roles: [central-management, search-master]",
        "roles: [central-management]",
        &[
            "no-search-master: no member of the cluster `us` is its search-master",
            "no-search-role: no search role in the cluster `us` for cm",
        ],
    ),
];

#[test]
fn doubts_about_the_fleet() {
    for (from, to, wanted) in IN_FLEET {
        let fleet = crate::support::change(FLEET, from, to);
        assert_eq!(told(&fleet, &rollout(ALL, "")), *wanted, "{to}");
    }
}

#[test]
fn a_group_that_is_down_as_a_whole() {
    let grouped = FLEET.replace("site: s, cluster:", "site: s, redundancy_group: g, cluster:");
    let whole = "group-in-cluster: all members of the redundancy group `g` are in the cluster `us`: until that is through, none of them stands in for another";
    assert_eq!(told(&grouped, &rollout(ALL, "")), [whole]);
    let one_outside =
        grouped.replace("a.example, site: s", "a.example, site: s, redundancy_group: g");
    assert_eq!(told(&one_outside, &rollout(ALL, "")), [""; 0]);
    assert_eq!(
        told(&one_outside, &rollout("{ clusters: [us] }", "")),
        [
            "part-of-group: only a part of the redundancy group `g` is selected; the others keep their version: a"
        ]
    );
}

/// What the rollout says besides, and what must be told.
const IN_ROLLOUT: &[(&str, &[&str])] = &[
    (
        "waves: [{ name: one, percent: 20 }, { name: two, soak: 1h, approval: required }]",
        &[
            "approval-without-effect: `approval: required` of the wave `two` has no effect: no wave comes after it",
        ],
    ),
    (
        "waves: [{ name: one, percent: 100 }, { name: two, approval: required }]",
        &[
            "empty-wave: the wave `two` adds nobody: earlier waves have taken all that it picks; it has no soak and no approval either",
        ],
    ),
    ("waves: [{ name: one, percent: 20, approval: required }, { name: two }]", &[]),
    ("drain: { wait: 5s }", &["short-duration: `drain.wait: 5s` is surprisingly short"]),
    ("drain: {}", &[]),
    ("hooks: { cluster_before: { command: [x] } }", &[]),
    (
        "windows: [daily 00:00 - 12:00]",
        &[
            "no-time-zone: the windows and freezes of the rollout are read as UTC at sites without `time_zone`: bare",
        ],
    ),
    (
        "freezes: [{ from: 2026-12-24, to: 2026-12-26 }]",
        &[
            "no-time-zone: the windows and freezes of the rollout are read as UTC at sites without `time_zone`: bare",
        ],
    ),
    ("windows: []\nfreezes: []", &[]),
];

#[test]
fn doubts_about_the_rollout() {
    for (rest, wanted) in IN_ROLLOUT {
        assert_eq!(told(FLEET, &rollout(ALL, rest)), *wanted, "{rest}");
    }
}

#[test]
fn what_has_no_effect_where_no_cluster_is_selected() {
    let hooks = "hooks: { cluster_after: { command: [x] }, before: { command: [y] } }";
    assert_eq!(
        told(FLEET, &rollout("{ names: [a] }", hooks)),
        ["hook-without-effect: the hook `cluster_after` never runs: no cluster is selected"]
    );
}

#[test]
fn windows_that_are_too_short_for_what_they_must_hold() {
    let told = |windows: &str| {
        let rest = format!("windows: [{windows}]\ndrain: {{ wait: 17m }}");
        told(FLEET, &rollout("{ sites: [s] }", &rest))
    };
    // 90 minutes for one, 145 for the pair, and for the cluster 2 x 73, the drain and the sync.
    assert_eq!(told("daily 01:00 - 05:00"), [""; 0]);
    let hours = |warnings: Vec<String>| {
        let brief = |text: String| {
            let code = text.split_once(':').map(|(code, _)| code.to_owned()).unwrap_or_default();
            let who = text.split_once("enough for ").map_or("", |(_, rest)| rest);
            let who = who.split_once(" (").map_or(who, |(who, _)| who).to_owned();
            format!("{code}: {who}")
        };
        warnings.into_iter().map(brief).collect::<Vec<_>>()
    };
    assert_eq!(
        hours(told("daily 01:00 - 03:25")),
        [
            "window-too-short: the cluster `us`: the longest is 2h 25m, needed are 2h 53m for 2 members in 2 ranks, 1 at once"
        ]
    );
    assert_eq!(
        hours(told("daily 01:00 - 02:30")),
        [
            "window-too-short: pair: the longest is 1h 30m, needed are 2h 25m",
            "window-too-short: the cluster `us`: the longest is 1h 30m, needed are 2h 53m for 2 members in 2 ranks, 1 at once",
        ]
    );
    assert_eq!(
        hours(told("daily 01:00 - 02:29")),
        [
            "window-too-short: a, pair: the longest is 1h 29m, needed are 2h 25m",
            "window-too-short: the cluster `us`: the longest is 1h 29m, needed are 2h 53m for 2 members in 2 ranks, 1 at once",
        ]
    );
    assert_eq!(
        hours(told("daily 01:00 - 02:00, { from: 2026-12-05T08:00, to: 2026-12-05T20:00 }")),
        [""; 0],
        "one day is long enough"
    );
}
