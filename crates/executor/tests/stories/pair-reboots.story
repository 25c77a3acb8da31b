# A pair whose call reboots both nodes: no power is switched, the pair is awaited (design.md 5)
fleet: |
  appliances:
    - {name: a, upgrade_call: reboots, ha: {mode: automatic, reboots_both: true}}
run
