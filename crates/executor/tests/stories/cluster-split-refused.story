# A wave that names a part of a cluster is refused (design.md 6.3; semantics.md `waves`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
rollout: |
  waves:
    - {name: one, select: {names: [us-m]}}
    - {name: rest}
