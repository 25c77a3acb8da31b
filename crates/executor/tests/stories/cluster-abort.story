# An abort lets a cluster that has begun come to its end and leaves out all others (design.md 6.4; semantics.md `abort`)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
    - {name: solo}
rollout: |
  waves:
    - {name: cluster, select: {clusters: [us]}}
    - {name: later}
when us-m restarts: person abort
run
