//! Reports of simulated rollouts, in all forms.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::decision::{Actor, Decision};
use model::event::{ApplianceChange, Change, Event, HookChange, HookPoint, RolloutChange};
use model::plan::Plan;
use model::rollout::HookKind;
use model::{ApplianceName, FirmwareVersion, SiteName};
use planner::{Facts, Source};
use sim::FaultPlan;

use super::{Log, ReportFacts, brief, html, markdown, text};
use crate::printer::Paint;
use crate::simulation::{Simulated, Simulation, simulate};

const FLEET: &str = "\
version: 1
defaults: { login: { username: u, password: { env: NONE } }, tls: { system: true } }
sites:
  ams:
    time_zone: Europe/Amsterdam
    windows: [\"daily 21:00 - 05:00\"]
    freezes: [{ from: 2026-11-28, to: 2026-11-30, reason: audit }]
  nyc: { time_zone: America/New_York }
clusters: { us: { parallel: 1 } }
appliances:
  - { name: ams-1, address: 192.0.2.1, site: ams, labels: { ring: canary } }
  - { name: ams-2, address: 192.0.2.2, site: ams }
  - { name: ams-3, address: 192.0.2.6, site: ams }
  - { name: ams-4, address: 192.0.2.7, site: ams }
  - { name: minion, address: 192.0.2.3, site: nyc, cluster: { name: us, roles: [search-minion, managed-host] } }
  - { name: manager, address: 192.0.2.4, site: nyc, cluster: { name: us, roles: [central-management, search-master] } }
  - { name: pair, address: 192.0.2.5, site: nyc, upgrade_call: arms, ha: { mode: attended } }
";

const ROLLOUT: &str = "\
version: 1
name: sps-7.5.1
firmware: { version: 7.5.1, sha256: \"e6837af0b5dcb5397c6bc8b52c0fb95aa49a3fea4303e274c7501f0857cb9b80\", fetch: \"https://repo.example/sps.iso\" }
message: CHG1
select: { all: true }
waves:
  - { name: canary, select: { labels: { ring: canary } }, soak: 30m, approval: required }
  - { name: rest }
limits: { unavailable: 2 }
failure_budget: { count: 5 }
";

/// One whose test fails in hostile words, one that reverts, one that never comes back.
const FAULTS: &str = r#"{ "behaviours": [
  { "appliance": "ams-2", "does": { "test_fails": { "summary": "<script>alert('x')</script> | *no* room\u001b[2J" } } },
  { "appliance": "ams-3", "does": { "revert": {} } },
  { "appliance": "ams-4", "does": { "never_returns": {} } }
] }"#;

fn plan(fleet: &str, rollout: &str) -> Plan {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        folder: "/nowhere".to_owned(),
        text: text.to_owned(),
    };
    let read = planner::read(source("fleet", fleet), Some(source("rollout", rollout)));
    let planned = read.and_then(|inputs| planner::plan(&inputs, &Facts::not_looked_at()));
    planned.expect("a plan")
}

async fn simulated(plan: Plan, faults: &str) -> Simulated {
    let simulation = Simulation {
        plan: Arc::new(plan),
        versions: BTreeMap::new(),
        from: FirmwareVersion::parse("7.5.0").expect("a version"),
        size: 1_500_000_000,
        faults: serde_json::from_str::<FaultPlan>(faults).expect("faults"),
        seed: 1,
        start: "2026-11-30T22:00:00Z".parse().expect("a time"),
        durations: Vec::new(),
    };
    simulate(simulation).await.expect("it is simulated")
}

fn facts(simulated: &Simulated) -> ReportFacts {
    let mut log = Log::default();
    for event in &simulated.events {
        log.add(event).expect("it follows");
    }
    let folded = model::run::Run::fold(&simulated.events).expect("they follow");
    assert_eq!(log.run(), folded.as_ref(), "the log folds to the run");
    ReportFacts::of(&log, &simulated.reasons, simulated.end).expect("there are events")
}

/// What no simulation does: a support bundle, and a hook that failed.
async fn story() -> ReportFacts {
    let mut simulated = simulated(plan(FLEET, ROLLOUT), FAULTS).await;
    let name = ApplianceName::new("ams-3").expect("a name");
    let bundled = ApplianceChange::Bundled {
        path: Some("/var/lib/spsfleet/bundles/ams-3.zip".to_owned()),
        saw: "12.5 MB".to_owned(),
    };
    let hook = |change: HookChange| {
        let point = HookPoint::new(HookKind::WaveAfter, "rest");
        Change::Rollout(RolloutChange::Hook { point, change })
    };
    let last = simulated.events.last().expect("events").clone();
    let left = ApplianceChange::LeftBehind {
        key: model::FetchKey::new("job-1"),
        why: "it answers 500".to_owned(),
    };
    let changes = [
        Change::Appliance(name.clone(), left),
        Change::Appliance(name, bundled),
        hook(HookChange::Intended),
        hook(HookChange::Failed("exit code 1: <b>no</b>".to_owned())),
    ];
    for (seq, change) in (last.seq + 1..).zip(changes) {
        simulated.events.push(Event { seq, change, ..last.clone() });
    }
    facts(&simulated)
}

/// Every element that is opened is closed, in order, and no attribute is left open.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut quoted = false;
        let end = rest.find(|letter| {
            quoted ^= letter == '"';
            letter == '>' && !quoted
        });
        let tag = &rest[..end.expect("a tag ends")];
        assert!(!tag.contains('<'), "{tag}");
        rest = &rest[tag.len() + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().expect("a name");
        match tag {
            _ if VOID.contains(&name) || tag.ends_with('/') => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "before {rest:.80}"),
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn text_reads_well_in_80_columns() {
    let facts = story().await;
    let text = text(&facts, Paint(false));
    assert!(text.starts_with("sps-7.5.1 "), "the verdict comes first");
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:?}");
    insta::assert_snapshot!(text.replace(facts.plan_digest.as_str(), "[DIGEST]"));
}

#[tokio::test]
async fn markdown_reads_well() {
    let facts = story().await;
    let page = markdown(&facts);
    assert!(page.starts_with(&format!("# {}", facts.verdict.text)));
    assert!(!page.contains("<script") && !page.contains('\u{1b}'));
    let mut columns = None;
    for line in page.lines() {
        let pipes = line.replace("\\|", "").matches('|').count();
        columns = line.starts_with('|').then_some(pipes).inspect(|pipes| {
            assert_eq!(
                columns.unwrap_or(*pipes),
                *pipes,
                "a row has the columns of its head: {line}"
            );
        });
    }
    insta::assert_snapshot!(page.replace(facts.plan_digest.as_str(), "[DIGEST]"));
}

#[tokio::test]
async fn html_is_whole_and_trusts_nobody() {
    let facts = story().await;
    let page = html(&facts);
    assert_well_formed(&page);
    assert!(page.contains("left behind: fetch record job-1: it answers 500"));
    assert!(page.contains(&format!("<title>{}</title>", facts.verdict.text)));
    for member in &facts.appliances {
        assert!(page.contains(&format!(">{}</td>", member.name)), "{}", member.name);
    }
    assert!(!page.contains("<script") && !page.contains('\u{1b}'), "words stay words");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
    for outside in ["src=", "<link", "@import", "<img", "<iframe", "onload", "href=\"http"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for class in
        ["b-staging", "b-down", "b-person", "class=\"gap\"", "class=\"freeze\"", "id=\"s-0\""]
    {
        assert!(page.contains(class), "{class}");
    }
}

#[tokio::test]
async fn facts_are_as_things_were() {
    let facts = story().await;
    let member = |name: &str| {
        let found = facts.appliances.iter().find(|member| member.name.as_str() == name);
        found.expect("it is in the rollout")
    };
    let version = |version: &Option<FirmwareVersion>| version.as_ref().map(ToString::to_string);
    let gone = member("ams-4");
    assert_eq!(version(&gone.version_before).as_deref(), Some("7.5.0"));
    assert_eq!(version(&gone.version_after), None, "nobody knows what it runs");
    assert!(gone.still_down && gone.down.len() == 1 && gone.down[0].to.is_none());
    assert_eq!(gone.downtime, gone.down[0].length(facts.as_of), "it is counted up to now");
    let back = member("ams-3");
    assert_eq!(version(&back.version_after).as_deref(), Some("7.5.0"));
    assert!(!back.still_down && back.down[0].to.is_some());
    let never = member("ams-2");
    assert!(never.down.is_empty() && never.downtime.is_zero());
    assert!(never.reason.as_ref().expect("a reason").text.contains("*no* room"));
    let pair = member("pair");
    assert_eq!(pair.secondary_off.len(), 1);
    let steps: Vec<&str> = pair.person_steps.iter().map(|step| step.step).collect();
    assert_eq!(
        steps,
        ["peer-has-firmware", "secondary-off", "reboot", "secondary-on", "pair-healthy"]
    );
    assert!(pair.person_steps.iter().all(|step| step.by.is_some()));
    let cluster = &facts.clusters[0];
    let gap: SignedDuration = cluster.gaps.iter().map(|gap| gap.length(facts.as_of)).sum();
    assert_eq!(cluster.audit_gap, gap, "the spans are the gap");
    assert!(!cluster.gap_open && gap > SignedDuration::from_mins(5));
    let canary = &facts.waves[0];
    assert_eq!(canary.approval.as_ref().expect("it was approved").reason, "simulated");
    assert!(canary.ended > canary.started && canary.soak_until > canary.ended);
    let site = facts.sites.values().next().expect("ams has a calendar");
    let freeze = &site.freezes[0];
    assert_eq!(freeze.span.from.to_string(), "2026-11-27T23:00:00Z");
    assert!(canary.ended > freeze.span.to, "nobody went down in the freeze");
    for member in facts.appliances.iter().filter(|member| member.site.as_str() == "ams") {
        for down in &member.down {
            let inside = |open: &&super::facts::Span| {
                open.from <= down.from && open.to.is_none_or(|to| down.from < to)
            };
            assert!(site.open.iter().any(|open| inside(&open)), "{} in a window", member.name);
        }
    }
}

#[tokio::test]
async fn a_lifted_freeze_is_drawn_where_it_was_lifted() {
    let mut done = simulated(plan(FLEET, ROLLOUT), r#"{ "behaviours": [] }"#).await;
    let accepted = done.events.first().expect("events").clone();
    let until = accepted.at + SignedDuration::from_mins(20);
    let decision = Decision::OverrideFreeze { site: SiteName::new("ams").expect("a name"), until };
    let actor = Actor { uid: 0, name: "ops".to_owned(), pid: 1 };
    let lift = RolloutChange::Decided { actor, reason: "CVE".to_owned(), decision };
    let lift = Event { seq: 2, change: Change::Rollout(lift), ..accepted.clone() };
    done.events.iter_mut().skip(1).for_each(|event| event.seq += 1);
    done.events.insert(1, lift);
    let facts = facts(&done);
    let site = facts.sites.values().next().expect("ams has a calendar");
    assert_eq!(site.lifted, [super::facts::Span { from: accepted.at, to: Some(until) }]);
    let page = html(&facts);
    assert!(page.contains("<rect class=\"lifted\"") && page.contains("by ops: site ams"));
}

#[tokio::test]
async fn a_report_of_what_is_over_is_the_same_tomorrow() {
    let done = simulated(plan(FLEET, ROLLOUT), r#"{ "behaviours": [] }"#).await;
    let mut log = Log::default();
    done.events.iter().for_each(|event| log.add(event).expect("it follows"));
    let of = |now: Timestamp| ReportFacts::of(&log, &BTreeMap::new(), now).expect("events");
    let tomorrow = done.end + SignedDuration::from_hours(24);
    let (now, later) = (of(done.end), of(tomorrow));
    assert_eq!(html(&now), html(&later));
    assert_eq!(now.verdict.good, Some(true));
    assert!(brief(&now, Paint(false), 80).contains("sps-7.5.1 succeeded: 7 of 7 appliances"));
    let json = serde_json::to_value(&now).expect("JSON");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["appliances"][0]["version_after"], "7.5.1");
    assert_eq!(json["not_upgraded"], serde_json::json!([]));
}

#[tokio::test]
async fn a_thousand_appliances_are_under_five_megabytes() {
    let mut fleet = FLEET.split("clusters:").next().expect("a head").to_owned();
    fleet.push_str("appliances:\n");
    for number in 0..1_000 {
        let ring = if number < 20 { "canary" } else { "later" };
        let site = if number % 2 == 0 { "ams" } else { "nyc" };
        fleet.push_str(&format!(
            "  - {{ name: {site}-edge-gateway-{number:04}, address: 10.0.{}.{}, site: {site}, labels: {{ ring: {ring} }} }}\n",
            number / 250,
            number % 250 + 1
        ));
    }
    let rollout =
        ROLLOUT.replace("unavailable: 2", "unavailable: 50").replace("count: 5", "count: 50");
    let faults =
        r#"{ "behaviours": [{ "appliance": "nyc-edge-gateway-0777", "does": { "revert": {} } }] }"#;
    let done = simulated(plan(&fleet, &rollout), faults).await;
    let facts = facts(&done);
    assert_eq!(facts.counts.appliances, 1_000);
    let page = html(&facts);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert_well_formed(&page);
    assert!(page.contains("\u{2717} nyc-edge-gateway"), "who failed is named in the drawing");
}

#[test]
fn events_of_another_beginning_are_refused() {
    let event = Event {
        seq: 1,
        rollout: model::RolloutId::new("r"),
        at: Timestamp::UNIX_EPOCH,
        change: Change::Rollout(RolloutChange::Finished),
    };
    assert!(Log::default().add(&event).is_err());
    assert!(ReportFacts::of(&Log::default(), &BTreeMap::new(), Timestamp::UNIX_EPOCH).is_none());
}
