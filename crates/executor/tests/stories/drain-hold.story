# Sessions that do not end in time: with `hold` nobody is cut off and its place is free for others (design.md 5; semantics.md `drain`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
appliance a1 sessions 7
rollout: |
  drain: {sessions: 2, wait: 20m, otherwise: hold}
run
