# Of a redundancy group one is down at once, whatever rollout and site allow (design.md 6.2)
fleet: |
  redundancy_groups: {edge: {unavailable: 1}}
  appliances:
    - {name: a1, redundancy_group: edge}
    - {name: a2, redundancy_group: edge}
    - {name: b}
rollout: |
  limits: {unavailable: 3}
when a1 restarts +1m: look
run
