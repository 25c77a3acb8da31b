# The failure budget as a percentage of all selected, whichever of the two is reached first (semantics.md `failure_budget`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
    - {name: a4}
    - {name: a5}
rollout: |
  failure_budget: {count: 9, percent: 40}
faults: |
  behaviours:
    - {appliance: a1, does: {revert: {times: 9}}}
    - {appliance: a2, does: {revert: {times: 9}}}
run
