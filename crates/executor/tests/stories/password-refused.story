# A refused password is not sent to that appliance again until a person says retry (design.md 6.6)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {password_changed: {}}}
run
wait 1h
run
person retry a
run
