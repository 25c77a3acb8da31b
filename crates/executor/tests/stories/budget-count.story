# The failure budget as a count: when it is reached nobody else goes down until a person resumes, and failures count anew (semantics.md `failure_budget`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
    - {name: a4}
    - {name: a5}
rollout: |
  failure_budget: {count: 2}
faults: |
  behaviours:
    - {appliance: a1, does: {revert: {times: 9}}}
    - {appliance: a3, does: {revert: {times: 9}}}
run
run
person resume
run
