# A window in the hour that comes twice is open for both, as the site's wall clock says: 73 minutes fit into it that day only (semantics.md `sites.X.windows`)
start 2026-10-18T20:00Z
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Sun 02:00 - 03:00"]}
  appliances:
    - {name: a1}
    - {name: a2}
run
