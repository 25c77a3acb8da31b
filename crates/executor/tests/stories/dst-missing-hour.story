# A window in the hour that a clock change leaves out does not open that day (semantics.md `sites.X.windows`; model of time: the site's wall clock)
start 2027-03-27T20:00Z
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Sun 02:00 - 03:00"]}
  appliances:
    - {name: a1}
rollout: |
  timeouts: {upgrade: 10m, return: 25m, verify: 5m, armed_grace: 2m}
run
