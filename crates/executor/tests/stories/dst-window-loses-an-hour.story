# A window of two hours by the wall clock that a clock change leaves only one of is not taken for 73 minutes of work (design.md 6.4)
start 2027-03-27T20:00Z
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Sun 01:30 - 03:30"]}
  appliances:
    - {name: a1}
run
