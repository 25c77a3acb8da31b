# A bystander that never answers keeps its partner only while that one waits: once it is left out nothing is waited for (design.md 6.2; semantics.md Holds)
fleet: |
  redundancy_groups: {edge: {unavailable: 1}}
  appliances:
    - {name: a, redundancy_group: edge}
    - {name: b, redundancy_group: edge}
rollout: |
  select: {names: [a]}
hands b power-off
at +30m: person skip a
run
