# An appliance that stays unreachable is a failure of the budget too: who waits behind it stays up (semantics.md `failure_budget`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  unreachable: {wait: 1h}
  waves:
    - {name: canary, select: {names: [a1]}}
    - {name: rest}
hands a1 power-off
run
