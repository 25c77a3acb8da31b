# A cluster does not start in a window that ends before all of it is expected to be through; its next long enough one is taken (design.md 6.4; 5)
fleet: |
  sites:
    default: {time_zone: Europe/Amsterdam, windows: ["Mon-Fri 22:00 - 04:00", "Sat 22:00 - Sun 08:00"]}
  clusters:
    us: {parallel: 1}
  appliances:
    - {name: us-m1, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-m2, cluster: {name: us, roles: [managed-host, search-minion]}}
    - {name: us-host, cluster: {name: us, roles: [managed-host, search-local]}}
    - {name: us-cm, cluster: {name: us, roles: [central-management, search-local]}}
    - {name: us-master, cluster: {name: us, roles: [managed-host, search-master]}}
run no-wait
run
