# Hops are taken in turn, each staged, tested, activated and verified; one that is passed is left out (design.md 5; several hops)
fleet: |
  appliances:
    - {name: a}
    - {name: b}
rollout: |
  firmware:
    version: 7.5.1
    sha256: $sha(7.5.1)
    fetch: $url(7.5.1)
    via:
      - {version: 7.0.5}
      - {version: 7.3.0}
appliance a version 6.0.0
appliance b version 7.1.0
run
