# Sessions that end in time are not cut (semantics.md `drain`)
fleet: |
  appliances:
    - {name: a1}
rollout: |
  drain: {sessions: 2, wait: 20m, otherwise: hold}
faults: |
  behaviours:
    - {appliance: a1, does: {sessions: {open: 7, until: 14m}}}
at +10m: look
run
