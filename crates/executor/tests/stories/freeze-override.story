# A person lifts a freeze until a moment, with a reason: what is not done by then waits again. A site without a freeze has nothing to lift (design.md 6.4)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 22:00 - 02:00"], freezes: [{from: 2026-12-01, to: 2026-12-04, reason: audit week}]}
  appliances:
    - {name: a01}
    - {name: a02}
    - {name: a03}
    - {name: a04}
    - {name: a05}
    - {name: a06}
    - {name: a07}
    - {name: a08}
    - {name: a09}
    - {name: a10}
    - {name: a11}
    - {name: a12}
at +1m: person override ams until 2026-12-01T23:15[Europe/Amsterdam]
at +1m: person override default until 2026-12-01T23:15[Europe/Amsterdam]
at 2026-12-01T23:30[Europe/Amsterdam]: look
run
