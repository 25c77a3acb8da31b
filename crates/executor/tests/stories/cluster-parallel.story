# Members of one rank go down together where the cluster and the rollout allow it, those of different ranks never (design.md 6.3; semantics.md `clusters.X.parallel`)
fleet: |
  clusters:
    us: {parallel: 2}
  appliances:
    - {name: us-m1, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-m2, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-host, cluster: {name: us, roles: [managed-host, search-local]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-local]}}
    - {name: us-master, cluster: {name: us, roles: [managed-host, search-master]}}
rollout: |
  limits: {unavailable: 3}
run
