# A member of the group that is not in the rollout and does not answer counts as down: its partner waits until it is seen up (design.md 6.2; semantics.md Down)
fleet: |
  redundancy_groups: {edge: {unavailable: 1}}
  appliances:
    - {name: a, redundancy_group: edge}
    - {name: b, redundancy_group: edge}
rollout: |
  select: {names: [a]}
hands b power-off
at +1h: look
at +90m: hands b power-on
run
