# Armed with the target before we came: a hold, nothing is rebooted (semantics.md Armed)
fleet: |
  appliances:
    - {name: a}
appliance a slot 3 7.5.1 armed 3
run
