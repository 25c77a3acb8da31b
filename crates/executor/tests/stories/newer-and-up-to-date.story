# Who runs the target is up to date, who runs something newer is left out: neither is staged or touched (design.md 6.1; semantics.md Order of things)
fleet: |
  appliances:
    - {name: a}
    - {name: b}
    - {name: c}
appliance b version 7.5.1
appliance c version 7.6.0
run
