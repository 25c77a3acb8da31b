# A budget that aborts: whoever is not down is left out, our fetch jobs are removed, and it is final (semantics.md `failure_budget`; design.md 6.10)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
rollout: |
  failure_budget: {on_breach: abort}
  limits: {transfers: 1}
faults: |
  behaviours:
    - {appliance: a1, does: {revert: {times: 9}}}
run
person resume
person retry a1
run
