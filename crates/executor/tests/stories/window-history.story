# What was seen decides what fits: 45 minutes are too short by the configured durations, and long enough once the fleet was seen to take less (design.md 6.4; expectation from history)
fleet: |
  sites:
    lab: {}
    ams: {time_zone: Europe/Amsterdam, windows: ["daily 23:00 - 23:45"]}
  appliances:
    - {name: a1, site: ams}
    - {name: lab, site: lab}
rollout: |
  waves:
    - {name: lab, select: {names: [lab]}}
    - {name: rest}
run
