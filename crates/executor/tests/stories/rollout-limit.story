# No more are down than the rollout allows, and waves go in order (design.md 6.2; 6.4)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
    - {name: a3}
    - {name: a4}
    - {name: a5}
rollout: |
  limits: {unavailable: 2}
  waves:
    - {name: first, select: {names: [a1, a2, a3]}}
    - {name: rest}
run
