# A member that fails stops the cluster half upgraded; the alarm is raised and only a person's retry lets it go on (design.md 6.4)
fleet: |
  clusters:
    us: {parallel: 1}
  appliances:
    - {name: us-m1, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-m2, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-host, cluster: {name: us, roles: [managed-host, search-local]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-local]}}
    - {name: us-master, cluster: {name: us, roles: [managed-host, search-master]}}
rollout: |
  failure_budget: {count: 9}
faults: |
  behaviours:
    - {appliance: us-m2, does: {revert: {}}}
run
wait 30m
run
person retry us-m2
run
