# An automatic pair: the power switches do each step, in the order that never sets the nodes against each other (design.md 5)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
run
