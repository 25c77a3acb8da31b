# Other firmware is armed: a hold, no upgrade call is made over it (semantics.md Armed)
fleet: |
  appliances:
    - {name: a}
appliance a slot 3 7.4.0 armed 3
run
