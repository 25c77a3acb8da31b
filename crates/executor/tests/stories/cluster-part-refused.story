# A part of a cluster cannot be rolled out to, nor split over waves (design.md 6.3; semantics.md `select`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
rollout: |
  select: {names: [us-m]}
