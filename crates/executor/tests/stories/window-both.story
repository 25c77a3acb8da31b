# Site and rollout windows: both must be open (semantics.md `sites.X.windows`)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Mon-Fri 22:00 - 02:00"]}
  appliances:
    - {name: a1}
rollout: |
  windows: ["Thu-Sat 20:00 - 23:30"]
run no-wait
run
