# No member goes down before all are staged and tested, however small the reason of the last one is (design.md 6.3)
fleet: |
  clusters:
    us: {parallel: 1}
  appliances:
    - {name: us-m1, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-m2, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-host, cluster: {name: us, roles: [managed-host, search-local]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-local]}}
    - {name: us-master, cluster: {name: us, roles: [managed-host, search-master]}}
    - {name: solo}
rollout: |
  limits: {unavailable: 5}
  failure_budget: {count: 9}
faults: |
  behaviours:
    - {appliance: us-master, does: {test_fails: {summary: "Disk check failed", times: 1}}}
run
person retry us-master
run
