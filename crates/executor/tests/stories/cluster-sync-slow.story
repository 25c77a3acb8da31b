# A cluster that takes its time to agree is waited for (design.md 5, cluster member)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
appliance us-m syncs 8m
run
