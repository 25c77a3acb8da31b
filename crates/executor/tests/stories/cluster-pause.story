# A pause takes hold at the cluster's end, since half a cluster does not audit (design.md 6.4)
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
when us-m restarts: person pause
run
person resume
run
