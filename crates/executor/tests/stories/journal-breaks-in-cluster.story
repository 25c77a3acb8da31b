# Even a cluster that has begun does not go on without a journal (design.md 6.8)
fleet: |
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
when us-m restarts: journal breaks
at +1h: look
at +2h: journal works
run
