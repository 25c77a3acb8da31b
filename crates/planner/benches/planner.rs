//! What reading and planning cost for large fleets: `cargo bench -p planner`.

use divan::Bencher;
use divan::counter::ItemsCount;
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
    for site in 0..50 {
        text += &format!("  s{site}: {{ limits: {{ unavailable: 2 }} }}\n");
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
            at % 50,
            at % 7
        );
        if at / 4 < appliances / 4 {
            text += &format!("    redundancy_group: g{}\n", at / 4);
        }
    }
    source("fleet.yaml", text)
}

fn rollout() -> Source {
    let text = format!(
        "version: 1\nname: bench\nfirmware: {{ version: 7.5.1, fetch: \"https://repo.example/i\", sha256: \"{}\" }}\n\
         message: bench\nselect: {{ labels: {{ env: prod }} }}\nwaves:\n  \
         - {{ name: canary, percent: 1 }}\n  - {{ name: tenth, percent: 10 }}\n  - name: rest\n",
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

/// The linter over a plan.
#[divan::bench(args = [10_000, 100_000], sample_count = 5, sample_size = 1)]
fn lint(bencher: Bencher<'_, '_>, appliances: usize) {
    let plan = match planner::plan(&inputs(appliances), &Facts::not_looked_at()) {
        Ok(plan) => plan,
        Err(faults) => panic!("{}", faults[0]),
    };
    bencher.counter(ItemsCount::new(appliances)).bench_local(|| planner::lint(&plan));
}
