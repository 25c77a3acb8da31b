# A secondary that was switched off stays off while the primary runs other firmware: switching it on would break the pair. The debt stays open, with its reason (semantics.md Debts; design.md 6.1)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
faults: |
  behaviours:
    - {appliance: a, does: {revert: {}}}
run
run
person retry a
person resume
run
