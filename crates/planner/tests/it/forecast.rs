//! When plans are expected to be carried out.

use jiff::{SignedDuration, Timestamp};
use model::event::{Step, StepDuration};
use model::history::{History, Source};
use model::plan::Plan;
use model::{ApplianceName, SiteName};
use planner::forecast::{Forecast, forecast};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// A Tuesday, 13:00 in Amsterdam.
const FROM: &str = "2026-12-01T12:00:00Z";

fn fleet(sites: &str, rest: &str, appliances: &[&str]) -> String {
    let mut text = format!(
        "version: 1\ndefaults: {{ login: {{ username: u, password: {{ env: P }} }}, upgrade_call: reboots }}\n\
         sites: {{ {sites} }}\n{rest}\nappliances:\n"
    );
    for (number, appliance) in appliances.iter().enumerate() {
        text += &format!("  - {{ address: 10.0.0.{}, name: {appliance} }}\n", number + 1);
    }
    text
}

fn rollout(rest: &str) -> String {
    format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: {} }}\n\
         message: m\nselect: {{ all: true }}\n{rest}\n",
        "a".repeat(64)
    )
}

/// Staging takes 35 minutes and the disruptive part 60 where nothing was seen.
const TIMEOUTS: &str = "timeouts: { stage: 3h, test: 15m, upgrade: 10m, return: 40m, verify: 10m }";

fn plan(fleet: &str, rest: &str) -> Plan {
    crate::support::plan(fleet, &rollout(&format!("{TIMEOUTS}\n{rest}")))
}

/// `name start-end` of each appliance by its start, in minutes after the beginning.
fn lines(forecast: &Forecast) -> Vec<String> {
    let minutes = |to: Timestamp| to.duration_since(forecast.from).as_mins();
    let mut spans: Vec<_> = forecast
        .appliances
        .iter()
        .filter_map(|(name, of)| Some((minutes(of.start?), minutes(of.end?), name)))
        .collect();
    spans.sort_unstable();
    spans.into_iter().map(|(from, to, name)| format!("{name} {from}-{to}")).collect()
}

fn told(plan: &Plan) -> Vec<String> {
    lines(&forecast(plan, &History::default(), at(FROM)))
}

#[test]
fn one_after_another_within_the_limits() {
    let fleet = fleet(
        "a: { limits: { unavailable: 1 } }, b: {}",
        "",
        &["a1, site: a", "a2, site: a", "b1, site: b", "b2, site: b"],
    );
    assert_eq!(told(&plan(&fleet, "")), ["a1 35-95", "b1 95-155", "a2 155-215", "b2 215-275"]);
    let two = plan(&fleet, "limits: { unavailable: 2 }");
    assert_eq!(told(&two), ["a1 35-95", "b1 35-95", "a2 95-155", "b2 95-155"]);
    let many = plan(&fleet, "limits: { unavailable: 9 }");
    assert_eq!(told(&many), ["a1 35-95", "b1 35-95", "b2 35-95", "a2 95-155"]);
    let slow = plan(&fleet, "limits: { unavailable: 9, transfers: 1 }");
    assert_eq!(told(&slow), ["a1 35-95", "b1 70-130", "a2 105-165", "b2 140-200"]);
}

#[test]
fn redundancy_groups_keep_their_members_up() {
    let fleet = fleet(
        "a: {}",
        "redundancy_groups: { g: {} }",
        &["a1, site: a, redundancy_group: g", "a2, site: a, redundancy_group: g", "a3, site: a"],
    );
    let plan = plan(&fleet, "limits: { unavailable: 3 }");
    assert_eq!(told(&plan), ["a1 35-95", "a3 35-95", "a2 95-155"]);
}

#[test]
fn waves_wait_for_the_soak_of_the_one_before() {
    let fleet = fleet("a: {}", "", &["a1, site: a", "a2, site: a", "a3, site: a"]);
    let waves = "waves: [{ name: one, percent: 33, soak: 2h, approval: required }, { name: two }]\n\
                 limits: { unavailable: 2 }";
    let plan = plan(&fleet, waves);
    let forecast = forecast(&plan, &History::default(), at(FROM));
    assert_eq!(lines(&forecast), ["a1 35-95", "a2 215-275", "a3 215-275"]);
    let [one, two] = forecast.waves.as_slice() else { panic!("two waves") };
    assert!(one.waits_for_person && !two.waits_for_person);
    let minutes = |to: Option<Timestamp>| to.map(|to| to.duration_since(forecast.from).as_mins());
    assert_eq!([one.start, Some(one.end), Some(one.soaked)].map(minutes), [35, 95, 215].map(Some));
    assert_eq!(
        [two.start, Some(two.end), Some(two.soaked)].map(minutes),
        [215, 275, 275].map(Some)
    );
    assert_eq!(forecast.end, two.end);
    assert_eq!(forecast.never, []);
}

#[test]
fn windows_are_kept_and_a_closed_site_keeps_nobody_else() {
    let sites = "a: { time_zone: Europe/Amsterdam, windows: [daily 01:00 - 03:30] }, b: {}";
    let fleet = fleet(
        sites,
        "",
        &["a1, site: a", "a2, site: a", "a3, site: a", "b1, site: b", "b2, site: b"],
    );
    // The first night opens 720 minutes after the beginning and has room for two in a row.
    assert_eq!(
        told(&plan(&fleet, "")),
        ["b1 35-95", "b2 95-155", "a1 720-780", "a2 780-840", "a3 2160-2220"]
    );
}

#[test]
fn freezes_and_changed_clocks_are_kept() {
    let sites = "a: { time_zone: Europe/Amsterdam, windows: [daily 02:00 - 03:00], \
                 freezes: [{ from: 2026-12-01, to: 2027-03-27 }] }";
    let fleet = fleet(sites, "", &["a1, site: a"]);
    let forecast = forecast(&plan(&fleet, ""), &History::default(), at(FROM));
    // 28 March 2027 has no hour from 02:00 on.
    assert_eq!(forecast.appliances["a1"].start, Some(at("2027-03-29T00:00:00Z")));
}

#[test]
fn who_needs_longer_than_every_window_never_starts() {
    let sites = "a: { time_zone: UTC, windows: [daily 01:00 - 01:59] }, b: {}";
    let fleet = fleet(sites, "", &["a1, site: a", "b1, site: b"]);
    let plan = plan(&fleet, "");
    let texts: Vec<&str> = plan.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "no window of the site `a` is long enough for a1: the longest is 59m, needed are 1h (upgrade 10m, return 40m, verify 10m); they start only once history shows that they are faster"
        ]
    );
    let nothing = History::default();
    let foreseen = forecast(&plan, &nothing, at(FROM));
    assert_eq!(lines(&foreseen), ["b1 35-95"]);
    let [never] = foreseen.never.as_slice() else { panic!("one") };
    assert_eq!(never.appliances, [ApplianceName::new("a1").expect("a name")]);
    assert_eq!(never.longest, Some(SignedDuration::from_mins(59)));
    assert_eq!(
        (never.need.took, never.need.source),
        (SignedDuration::from_hours(1), Source::Configured)
    );

    // Once history shows that it is faster, it fits.
    let seen = [Step::Activate, Step::Return, Step::Verify].map(|step| StepDuration {
        appliance: ApplianceName::new("b1").expect("a name"),
        site: SiteName::new("b").expect("a name"),
        step,
        took: SignedDuration::from_mins(5),
    });
    let foreseen = forecast(&plan, &History::of(&seen), at(FROM));
    assert_eq!(lines(&foreseen), ["b1 35-50", "a1 780-795"]);
    assert_eq!(foreseen.appliances["a1"].expected.source, Source::Fleet);
}

const CLUSTER: [&str; 5] = [
    "m1, site: a, cluster: { name: us, roles: [managed-host, search-minion] }",
    "m2, site: a, cluster: { name: us, roles: [managed-host, search-minion] }",
    "cm, site: b, cluster: { name: us, roles: [central-management, search-master] }",
    "h, site: b, cluster: { name: us, roles: [managed-host, search-local] }",
    "x, site: a",
];

#[test]
fn a_cluster_goes_as_one_in_its_order() {
    let fleet_of = |parallel: u32| {
        fleet("a: {}, b: {}", &format!("clusters: {{ us: {{ parallel: {parallel} }} }}"), &CLUSTER)
    };
    let one = plan(&fleet_of(1), "drain: { wait: 20m }");
    let foreseen = forecast(&one, &History::default(), at(FROM));
    assert_eq!(
        lines(&foreseen),
        ["x 35-115", "m1 135-195", "m2 195-255", "h 255-315", "cm 315-375"],
        "sessions are waited for once"
    );
    let us = &foreseen.clusters["us"];
    assert_eq!(us.audit_gap.took, SignedDuration::from_mins(240));
    assert_eq!(us.expected.took, SignedDuration::from_mins(20 + 240 + 10));
    assert_eq!(us.start, Some(at("2026-12-01T13:55:00Z")));
    assert_eq!(us.end, Some(at("2026-12-01T18:25:00Z")));

    let two = plan(&fleet_of(2), "limits: { unavailable: 2 }");
    assert_eq!(
        told(&two),
        ["x 35-95", "m1 95-155", "m2 95-155", "h 155-215", "cm 215-275"],
        "it waits until it has both places"
    );
    let three = plan(&fleet_of(2), "limits: { unavailable: 3 }");
    assert_eq!(told(&three)[2], "x 35-95");
}

#[test]
fn a_cluster_waits_until_it_fits_at_all_its_sites() {
    let sites = "a: { time_zone: UTC, windows: [daily 00:00 - 12:00] }, \
                 b: { time_zone: UTC, windows: [daily 06:00 - 18:00] }";
    let fleet = fleet(sites, "clusters: { us: {} }", &CLUSTER);
    let plan = plan(&fleet, "");
    assert_eq!(crate::support::warned(&plan), [""; 0]);
    // Both are open from 06:00 to 12:00, which is 18 hours after the beginning.
    assert_eq!(
        told(&plan),
        ["x 720-780", "m1 1080-1140", "m2 1140-1200", "h 1200-1260", "cm 1260-1320"]
    );
}

#[test]
fn a_cluster_that_is_too_long_for_its_windows_is_told_of() {
    let sites = "a: { time_zone: UTC, windows: [daily 00:00 - 04:00] }, b: {}";
    let fleet = fleet(sites, "clusters: { us: {} }", &CLUSTER);
    let plan = plan(&fleet, "");
    let texts: Vec<&str> = plan.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "no window of the site `a` is long enough for the cluster `us`: the longest is 4h, needed are 4h 10m for 4 members in 3 ranks, 1 at once (each at most upgrade 10m, return 40m, verify 10m; verify 10m after the last); it starts only once history shows that it is faster"
        ]
    );
    let foreseen = forecast(&plan, &History::default(), at(FROM));
    assert_eq!(lines(&foreseen), ["x 720-780"]);
    assert_eq!(foreseen.never[0].cluster.as_ref().map(|name| name.as_str()), Some("us"));
    assert_eq!(foreseen.never[0].appliances.len(), 4);
}

#[test]
fn staging_in_the_window_begins_there_with_its_wave() {
    let sites = "a: { time_zone: UTC, windows: [daily 00:00 - 04:00] }";
    let fleet = fleet(sites, "", &["a1, site: a", "a2, site: a"]);
    let in_window = plan(&fleet, "stage: in_window\nlimits: { transfers: 1 }");
    let foreseen = forecast(&in_window, &History::default(), at(FROM));
    assert_eq!(lines(&foreseen), ["a1 755-815", "a2 815-875"]);
    assert_eq!(foreseen.appliances["a1"].staged, Some(at("2026-12-02T00:35:00Z")));
    assert_eq!(foreseen.appliances["a2"].staged, Some(at("2026-12-02T01:10:00Z")));
}

#[test]
fn every_version_to_go_through_takes_its_time() {
    let fleet = fleet("a: {}", "", &["a1, site: a", "a2, site: a"]);
    let hop = format!(
        "via: [{{ version: 7.0.5, fetch: \"http://x.example/h\", sha256: {} }}]",
        "b".repeat(64)
    );
    let whole = rollout(TIMEOUTS).replace("firmware: {", &format!("firmware: {{ {hop},"));
    let plan = crate::support::plan(&fleet, &whole);
    // While the next image is staged, the other goes down.
    assert_eq!(told(&plan), ["a1 35-215", "a2 95-275"]);
}

#[test]
fn a_persons_steps_are_named() {
    let fleet = fleet(
        "a: {}",
        "",
        &["a1, site: a", "a2, site: a, ha: { mode: attended }", "a3, site: a, upgrade_call: arms"],
    );
    let foreseen = forecast(&plan(&fleet, ""), &History::default(), at(FROM));
    let waits: Vec<bool> = foreseen.appliances.values().map(|of| of.waits_for_person).collect();
    assert_eq!(waits, [false, true, true]);
}

#[test]
fn a_forecast_is_data() {
    let fleet = fleet("a: {}", "", &["a1, site: a"]);
    let foreseen = forecast(&plan(&fleet, ""), &History::default(), at(FROM));
    let json = serde_json::to_value(&foreseen).expect("json");
    assert_eq!(json["appliances"]["a1"]["start"], "2026-12-01T12:35:00Z");
    assert_eq!(json["appliances"]["a1"]["expected"]["source"], "configured");
}
