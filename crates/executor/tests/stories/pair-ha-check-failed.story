# `HA check failed` in a test is a hard stop: no upgrade call is made (design.md 5, test; 6.5)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
faults: |
  behaviours:
    - {appliance: a, does: {test_fails: {summary: "HA check started; HA check failed"}}}
run
