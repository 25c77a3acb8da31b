# It comes back on the old version: terminal and a failure; only a person's retry upgrades it again, after another test (design.md 6.1; semantics.md Reverted)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {revert: {}}}
run
person resume
run
person retry a
run
