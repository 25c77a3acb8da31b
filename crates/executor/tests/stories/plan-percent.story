# Waves by percentage keep clusters whole, over the sites in turn, the same each time (design.md 6.9; semantics.md `waves`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
    - {name: a1}
    - {name: a2}
rollout: |
  limits: {unavailable: 2}
  waves:
    - {name: quarter, percent: 25}
    - {name: half, percent: 50}
    - {name: rest}
run
