# A window over the week's end is one window (semantics.md `sites.X.windows`)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Sun 23:00 - Mon 01:00"]}
  appliances:
    - {name: a1}
    - {name: a2}
run
