# `abort --now` leaves out members too that are not down yet (design.md 6.4)
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
when us-m restarts: person abort now
run
