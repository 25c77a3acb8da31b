# The node behind the switch is the primary today: while it shuts down the appliance goes silent, so power is restored, the pair fails, nothing is rebooted (design.md 5; semantics.md Down)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
faults: |
  behaviours:
    - {appliance: a, does: {switch_is_primary: {}}}
run
