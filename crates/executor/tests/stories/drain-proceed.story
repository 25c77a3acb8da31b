# Sessions that do not end in time: with `proceed` they are cut, and how many is said (semantics.md `drain`)
fleet: |
  appliances:
    - {name: a1}
appliance a1 sessions 7
rollout: |
  drain: {sessions: 2, wait: 20m, otherwise: proceed}
run
