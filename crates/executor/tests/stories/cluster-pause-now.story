# `pause --now` takes hold inside a cluster: the member that is down comes back, no further one goes (design.md 6.4)
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
when us-m restarts: person pause now
run
wait 1h
person resume
run
