# A cluster that has begun is finished though its window ends inside, and though the program was dead meanwhile (design.md 6.4)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["daily 21:00 - 00:00"]}
  clusters: {us: {}}
  appliances:
    - {name: us-m, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-master]}}
when us-m is back: kill for 4h
run
