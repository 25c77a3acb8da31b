//! What reading and planning cost for large fleets: `cargo bench -p planner`.

use divan::Bencher;
use divan::counter::ItemsCount;
use model::history::History;
use planner::{Facts, Inputs, Source};

fn main() {
    divan::main();
}

fn source(name: &str, text: String) -> Source {
    Source { name: name.to_owned(), folder: "/etc/spsfleet".to_owned(), text }
}

fn fleet(appliances: usize) -> Source {
    let mut text =
        "version: 1\ndefaults:\n  login: { username: fleet, password: { credential: sps } }\n  \
                    tls: { ca: ca.pem }\nsites:\n"
            .to_owned();
    let zones = ["Europe/Amsterdam", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "UTC"];
    for site in 0..50 {
        text += &format!(
            "  s{site}: {{ time_zone: {}, windows: [Sat 22:00 - Sun 08:00, Mon-Thu 22:00 - 06:00], \
             freezes: [{{ from: 2026-12-18, to: 2027-01-04 }}], limits: {{ unavailable: 8 }} }}\n",
            zones[site % zones.len()]
        );
    }
    text += "clusters:\n";
    for cluster in 0..appliances / 20 {
        text += &format!("  c{cluster}: {{ parallel: 2 }}\n");
    }
    text += "redundancy_groups:\n";
    for group in 0..appliances / 4 {
        text += &format!("  g{group}: {{ unavailable: 1 }}\n");
    }
    text += "appliances:\n";
    for at in 0..appliances {
        let (a, b, c) = (at / 65_536, at / 256 % 256, at % 256);
        text += &format!(
            "  - name: sps-{at}\n    address: 10.{a}.{b}.{c}\n    site: s{}\n    \
             labels: {{ env: prod, ring: r{} }}\n",
            at / 20 % 50,
            at % 7
        );
        // Of every twenty, five are a cluster, one is a pair, and most of the others stand in for one another.
        let roles = match at % 20 {
            0 => Some("central-management, search-master"),
            1 => Some("managed-host, search-local"),
            2..=4 => Some("managed-host, search-minion"),
            _ => None,
        };
        if let Some(roles) = roles {
            text += &format!("    cluster: {{ name: c{}, roles: [{roles}] }}\n", at / 20);
        } else if at / 4 < appliances / 4 {
            text += &format!("    redundancy_group: g{}\n", at / 4);
        }
        if at % 20 == 19 {
            text += "    upgrade_call: arms\n    ha: { mode: attended }\n";
        }
    }
    source("fleet.yaml", text)
}

fn rollout() -> Source {
    let text = format!(
        "version: 1\nname: bench\nfirmware: {{ version: 7.5.1, fetch: \"https://repo.example/i\", sha256: \"{}\" }}\n\
         message: bench\nselect: {{ labels: {{ env: prod }} }}\nwaves:\n  \
         - {{ name: canary, percent: 1, soak: 2h, approval: required }}\n  \
         - {{ name: tenth, percent: 10, soak: 1h }}\n  - name: rest\n\
         limits: {{ unavailable: 200, transfers: 100, requests_per_second: 2000 }}\n\
         drain: {{ wait: 15m }}\nhooks: {{ before: {{ command: [mute] }}, after: {{ command: [unmute] }} }}\n",
        "0".repeat(64)
    );
    source("rollout.yaml", text)
}

fn inputs(appliances: usize) -> Inputs {
    match planner::read(fleet(appliances), Some(rollout())) {
        Ok(inputs) => inputs,
        Err(faults) => panic!("{}", faults[0]),
    }
}

/// YAML text to checked inputs: parsing, defaults, rules, selection and waves.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 5, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, appliances: usize) {
    bencher
        .counter(ItemsCount::new(appliances))
        .with_inputs(|| (fleet(appliances), rollout()))
        .bench_values(|(fleet, rollout)| planner::read(fleet, Some(rollout)));
}

/// Checked inputs to a plan with its digest.
#[divan::bench(args = [1_000, 10_000, 100_000], sample_count = 5, sample_size = 1)]
fn plan(bencher: Bencher<'_, '_>, appliances: usize) {
    let inputs = inputs(appliances);
    bencher
        .counter(ItemsCount::new(appliances))
        .bench_local(|| planner::plan(&inputs, &Facts::not_looked_at()));
}

/// When the plan is expected to be carried out, from text to the last appliance.
#[divan::bench(args = [1_000, 10_000], sample_count = 5, sample_size = 1)]
fn read_plan_and_forecast(bencher: Bencher<'_, '_>, appliances: usize) {
    let from = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 56);
    bencher
        .counter(ItemsCount::new(appliances))
        .with_inputs(|| (fleet(appliances), rollout()))
        .bench_values(|(fleet, rollout)| {
            let inputs = planner::read(fleet, Some(rollout)).map_err(|faults| faults.len())?;
            let plan = planner::plan(&inputs, &Facts::not_looked_at()).map_err(|f| f.len())?;
            Ok::<_, usize>(planner::forecast(&plan, &History::default(), from))
        });
}

/// The forecast alone.
#[divan::bench(args = [1_000, 10_000], sample_count = 5, sample_size = 1)]
fn forecast(bencher: Bencher<'_, '_>, appliances: usize) {
    let from = jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(24 * 365 * 56);
    let plan = match planner::plan(&inputs(appliances), &Facts::not_looked_at()) {
        Ok(plan) => plan,
        Err(faults) => panic!("{}", faults[0]),
    };
    bencher
        .counter(ItemsCount::new(appliances))
        .bench_local(|| planner::forecast(&plan, &History::default(), from));
}

/// The linter over a plan.
#[divan::bench(args = [10_000, 100_000], sample_count = 5, sample_size = 1)]
fn lint(bencher: Bencher<'_, '_>, appliances: usize) {
    let plan = match planner::plan(&inputs(appliances), &Facts::not_looked_at()) {
        Ok(plan) => plan,
        Err(faults) => panic!("{}", faults[0]),
    };
    bencher.counter(ItemsCount::new(appliances)).bench_local(|| planner::lint(&plan));
}
