# An appliance that falls ill while its wave soaks is a failure of its wave and stops everybody until a person resumes (design.md 6.4)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  waves:
    - {name: canary, select: {names: [a1]}, soak: 3h}
    - {name: rest}
  failure_budget: {count: 9}
faults: |
  behaviours:
    - {appliance: a1, does: {falls_ill: {after: 40m, with: {corrupted: {}}}}}
run
person resume
run
