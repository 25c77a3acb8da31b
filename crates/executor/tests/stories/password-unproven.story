# A password that has not worked anywhere is refused by three appliances and sent to no further one (design.md 6.6)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
    - {name: a4}
    - {name: a5}
faults: |
  behaviours:
    - {does: {password_changed: {}}}
run
