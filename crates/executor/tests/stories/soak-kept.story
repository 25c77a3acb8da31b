# The next wave waits until the soak is over, and the first one is watched (design.md 6.4; semantics.md `soak`)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
rollout: |
  waves:
    - {name: canary, select: {names: [a1]}, soak: 3h}
    - {name: rest}
at +2h: look
run
