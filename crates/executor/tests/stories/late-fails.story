# Who does not answer for `unreachable.wait` is a failure, counts against the budget, and the rollout ends and not never (semantics.md `unreachable.wait`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  failure_budget: {count: 9}
  limits: {unavailable: 2}
hands a1 power-off
run
