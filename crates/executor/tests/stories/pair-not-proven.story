# Without proof that the node behind the switch is the secondary it is not switched off (design.md 5, `secondary_check`)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b), secondary_check: {command: [is-secondary, a-b]}}
program is-secondary fails
run
program is-secondary works
person retry a
run
