# A window over midnight is one window; who is not expected to be through at its end waits for the next one (design.md 6.4; semantics.md `sites.X.windows`)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 23:30 - 00:30"]}
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
    - {name: a4}
    - {name: a5}
    - {name: a6}
    - {name: a7}
    - {name: a8}
    - {name: a9}
    - {name: b1}
    - {name: b2}
rollout: |
  timeouts: {upgrade: 10m, return: 25m, verify: 5m, armed_grace: 2m}
when a9 UPGRADED +1m: look
run
