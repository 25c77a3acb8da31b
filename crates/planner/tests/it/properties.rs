//! What holds for every fleet.

use std::collections::BTreeSet;

use model::plan::Plan;
use planner::Facts;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::support::{draw, fleet as fleet_file, read};

/// One appliance: which site, group and ring, if any.
type Parts = (u8, Option<u8>, Option<u8>);

fn line(at: usize, (site, group, ring): &Parts) -> String {
    let mut text = format!("  - {{ name: n{at}, address: n{at}.example, site: s{site}");
    if let Some(group) = group {
        text += &format!(", redundancy_group: g{group}");
    }
    if let Some(ring) = ring {
        text += &format!(", labels: {{ ring: r{ring} }}");
    }
    text + " }\n"
}

fn fleet(lines: &[String]) -> String {
    "version: 1\ndefaults: { login: { username: u, password: { env: P } } }\n\
     sites: { s0: { limits: { unavailable: 2 } }, s1: {}, s2: {}, s3: {} }\n\
     redundancy_groups: { g0: {}, g1: { unavailable: 2 }, g2: {} }\nappliances:\n"
        .to_owned()
        + &lines.concat()
}

fn rollout(select: &str, percents: &BTreeSet<u8>, ring_first: bool) -> String {
    let mut text = format!(
        "version: 1\nname: r\nfirmware: {{ version: 7.5.1, fetch: \"http://x.example/i\", sha256: \"{}\" }}\n\
         message: m\nselect: {select}\nwaves:\n",
        "0".repeat(64)
    );
    if ring_first {
        text += "  - { name: ring, select: { labels: { ring: r0 } } }\n";
    }
    for percent in percents {
        text += &format!("  - {{ name: p{percent}, percent: {percent} }}\n");
    }
    text + "  - name: rest\n"
}

fn planned(fleet: &str, rollout: &str) -> Result<Plan, Vec<planner::Fault>> {
    planner::plan(&read(fleet, rollout)?, &Facts::not_looked_at())
}

fn select() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("{ all: true }"),
        Just("{ sites: [s0, s1] }"),
        Just("{ all: true, except: { sites: [s2] } }"),
        Just("{ sites: [s0, s3], except: { labels: { ring: r1 } } }"),
    ]
}

/// Every place lies in the text, on whole characters.
fn places_hold(text: &str, read: Result<planner::Inputs, Vec<planner::Fault>>) {
    for fault in read.err().into_iter().flatten() {
        for place in fault.related.iter().map(|related| &related.place).chain([&fault.place]) {
            assert!(text.get(place.offset..place.offset + place.len).is_some(), "{fault}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_selected_appliance_is_in_exactly_one_wave(
        parts in vec((0..4_u8, option::of(0..3_u8), option::of(0..3_u8)), 1..40),
        select in select(),
        percents in proptest::collection::btree_set(1..=100_u8, 0..4),
        ring_first in any::<bool>(),
        turn in 0..40_usize,
    ) {
        let mut lines: Vec<String> =
            parts.iter().enumerate().map(|(at, parts)| line(at, parts)).collect();
        let rollout = rollout(select, &percents, ring_first);
        let plan = match planned(&fleet(&lines), &rollout) {
            Ok(plan) => plan,
            Err(faults) => {
                // Nothing selected by the rollout or by its first wave is the only fault there is.
                prop_assert!(
                    faults.iter().all(|fault| fault.code == "nothing-selected"),
                    "{}", draw(&faults)
                );
                return Ok(());
            }
        };
        prop_assert_eq!(planner::lint(&plan), []);

        let in_waves: Vec<_> = plan.waves.iter().flat_map(|wave| &wave.appliances).collect();
        let once: BTreeSet<_> = in_waves.iter().collect();
        prop_assert_eq!(once.len(), in_waves.len());
        prop_assert_eq!(once.len(), plan.appliances.len());

        // Up to each percentage, at least so many are in.
        let total = plan.appliances.len();
        let mut taken = 0;
        for wave in &plan.waves {
            taken += wave.appliances.len();
            if let Some(percent) = wave.name.as_str().strip_prefix('p') {
                let percent: usize = percent.parse().expect("a number");
                prop_assert_eq!(taken, (total * percent).div_ceil(100));
            }
        }

        // In another order of the file it is the same plan, byte for byte.
        let by = turn % lines.len();
        lines.rotate_left(by);
        lines.reverse();
        let again = planned(&fleet(&lines), &rollout).map_err(|faults| draw(&faults));
        let again = again.expect("a plan");
        prop_assert_eq!(
            serde_json::to_vec(&again).expect("json"),
            serde_json::to_vec(&plan).expect("json")
        );
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a-z0-9:{}\\[\\]&*!#|>'\"%@, \n\t\u{e9}]{0,200}") {
        places_hold(&text, planner::read(fleet_file(&text), Some(crate::support::rollout(&text))));
        let in_place = crate::support::FLEET.replacen("10.10.0.11", &text, 1);
        places_hold(&in_place, planner::read(fleet_file(&in_place), None));
    }

    #[test]
    fn no_cut_of_a_good_file_makes_it_panic(cut in 0..crate::support::FLEET.len()) {
        let start = &crate::support::FLEET[..cut];
        places_hold(start, planner::read(fleet_file(start), None));
    }
}
