# Whoever asks why gets a typed reason with its numbers and its end (design.md 6.11)
fleet: |
  sites:
    ams: {limits: {unavailable: 1}}
    nyc: {time_zone: America/New_York, windows: ["Sat 22:00 - Sun 04:00"]}
  redundancy_groups: {edge: {unavailable: 1}}
  appliances:
    - {name: a1, site: ams}
    - {name: a2, site: ams}
    - {name: c1, redundancy_group: edge}
    - {name: c2, redundancy_group: edge}
    - {name: n1, site: nyc}
    - {name: z1}
rollout: |
  limits: {unavailable: 2}
  waves:
    - {name: most, select: {names: [a1, a2, c1, c2, n1]}}
    - {name: last}
when a1 restarts +1m: look
run
