# A site's limit holds over all rollouts at once: while the first one's appliance is down the second one's waits, though nobody runs the first (design.md 6.2)
fleet: |
  sites: {ams: {limits: {unavailable: 1}}}
  appliances:
    - {name: a, site: ams}
    - {name: b, site: ams}
rollout: |
  select: {names: [a]}
rollout second: |
  select: {names: [b]}
when a restarts: die
run r1
run second
run r1
run second
