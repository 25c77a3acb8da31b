# A freeze wins over an open window (design.md 6.4; semantics.md `sites.X.freezes`)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 22:00 - 02:00"], freezes: [{from: 2026-12-01, to: 2026-12-04, reason: audit week}]}
  appliances:
    - {name: a1}
run no-wait
run
