# An abort while images are on their way: our fetch jobs are cancelled and removed, other slots are not touched (design.md 6.10)
fleet: |
  appliances:
    - {name: a1}
    - {name: a2}
appliance a1 slot 3 7.4.0
at +30s: person abort
run
person resume
