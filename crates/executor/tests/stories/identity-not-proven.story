# No password goes to an appliance whose certificate proves nothing (design.md 6.7)
fleet: |
  appliances:
    - {name: a}
    - {name: b}
faults: |
  behaviours:
    - {appliance: a, does: {wrong_certificate: {when: always}}}
run
