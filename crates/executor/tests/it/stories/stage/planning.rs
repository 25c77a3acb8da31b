//! From a story's YAML to its plan.

use model::plan::Plan;
use planner::{Facts, Source};

use crate::stories::language::Story;

/// The plan, made twice and linted; or the faults, one a line.
pub(super) fn planned(story: &Story, rollout: &str) -> Result<Plan, String> {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        folder: "/etc/spsfleet".to_owned(),
        text: text.to_owned(),
    };
    let inputs =
        planner::read(source("fleet.yaml", &story.fleet), Some(source("rollout.yaml", rollout)));
    let plan = inputs.and_then(|inputs| {
        let plan = planner::plan(&inputs, &Facts::not_looked_at())?;
        let again = planner::plan(&inputs, &Facts::not_looked_at())?;
        let bytes = |plan: &Plan| serde_json::to_vec(plan).expect("JSON");
        assert_eq!(bytes(&plan), bytes(&again), "{}: same inputs, same plan", story.name);
        Ok(plan)
    });
    let plan = plan.map_err(|faults| {
        let line = |fault: &planner::Fault| format!("  {fault}\n");
        faults.iter().map(line).collect::<String>()
    })?;
    assert_eq!(planner::lint(&plan), [], "{}: the linter and the planner differ", story.name);
    Ok(plan)
}
