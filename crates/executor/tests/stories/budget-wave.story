# A wave may have a budget of its own (semantics.md `failure_budget`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
rollout: |
  waves:
    - {name: canary, select: {names: [a1, a2]}, failure_budget: {count: 1}}
    - {name: rest}
  failure_budget: {count: 9}
faults: |
  behaviours:
    - {appliance: a1, does: {revert: {times: 9}}}
run
