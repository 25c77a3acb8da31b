# Who is ready and stops answering counts as down and holds the others; it is taken when it is back (design.md 6.2; semantics.md Down)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
start 2026-12-01T20:00Z
faults: |
  behaviours:
    - {appliance: a1, does: {outage: {at: 10m, for: 40m}}}
person pause
at +20m: person resume
at +30m: look
serve 3h
