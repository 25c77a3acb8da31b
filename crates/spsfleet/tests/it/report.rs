//! `report` on the database of a `run`, in all its forms.

use serde_json::Value;

use crate::support::World;

const RUN: &str = "run --yes --fleet sim/fleet.yaml --state fleet.db sim/rollout.yaml";

fn report(world: &World, format: &str) -> String {
    let done = world.run(&format!("report sim-7.5.1 --state fleet.db --format {format}"));
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{format}");
    done.out
}

#[test]
fn a_record_is_kept_in_every_form_and_all_say_the_same() {
    let world = World::new();
    let _sim = world.simulate(
        "behaviours: [{ appliance: ams-2, does: { test_fails: { summary: 'no <b>room</b> | here', times: 1 } } }]",
    );
    let run = world.run(RUN);
    assert_eq!(run.code, 3, "{}", run.err);

    let json: Value = serde_json::from_str(&report(&world, "json")).expect("JSON");
    assert_eq!((&json["schema"], &json["rollout"]), (&1.into(), &"sim-7.5.1".into()));
    assert_eq!(json["not_upgraded"], serde_json::json!(["ams-2"]));
    let names = ["ams-1", "ams-2", "nyc-1"];
    let verdict = json["verdict"]["text"].as_str().expect("a verdict");
    assert_eq!(run.out.lines().last(), Some(verdict), "the end of `run` says the same");
    assert!(verdict.starts_with("sim-7.5.1 paused: 2 of 3 appliances on 7.5.1, 1 failed in "));

    let text = report(&world, "text");
    assert_eq!(text.lines().next(), Some(verdict), "it comes first");
    assert!(text.contains("NOT UPGRADED\nams-2: failed, version 7.5.0; test-failed in test: "));
    let plain = world.run("report sim-7.5.1 --state fleet.db").out;
    assert_eq!(plain.lines().next(), Some(verdict), "text is the usual form");
    let page = report(&world, "md");
    assert_eq!(page.lines().next(), Some(format!("# {verdict}").as_str()));
    assert!(page.contains("no &lt;b&gt;room&lt;/b&gt; \\| here"), "{page}");
    let page = report(&world, "html");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains(&format!("<title>{verdict}</title>")));
    assert!(page.contains("no &lt;b&gt;room&lt;/b&gt;") && !page.contains("<b>room"));
    for form in [&text, &page] {
        assert!(names.iter().all(|name| form.contains(name)));
        assert!(!form.contains(&world.read("sim/password")), "no password is told");
    }

    for line in ["resume sim-7.5.1 --state fleet.db", "retry sim-7.5.1 ams-2 --state fleet.db"] {
        assert_eq!(world.run(line).code, 0);
    }
    assert_eq!(world.run(RUN).code, 0);
    let over = report(&world, "html");
    assert_eq!(over, report(&world, "html"), "what is over does not change");
    let json: Value = serde_json::from_str(&report(&world, "json")).expect("JSON");
    assert_eq!(json["verdict"]["good"], true);
    let retried = json["appliances"].as_array().expect("a list").iter();
    let retries: Vec<&Value> = retried.map(|member| &member["retries"]).collect();
    assert!(retries.contains(&&1.into()), "{retries:?}");
    let verbs = json["decisions"].as_array().expect("a list").iter();
    let verbs: Vec<&Value> = verbs.map(|decision| &decision["verb"]).collect();
    assert_eq!(verbs, ["resume", "retry"]);
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new();
    let none = world.run("report sps --state fleet.db");
    assert_eq!((none.code, none.out.as_str()), (2, ""), "{}", none.err);
    let format = world.run("report sps --state fleet.db --format pdf");
    assert_eq!(format.code, 2);
    assert!(format.err.contains("text, md, html, json"), "{}", format.err);
}
