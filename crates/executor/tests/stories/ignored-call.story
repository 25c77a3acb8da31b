# A call that was accepted and did nothing is not made again (design.md 6.1)
fleet: |
  appliances:
    - {name: a}
faults: |
  behaviours:
    - {appliance: a, does: {upgrade_ignored: {}}}
run
