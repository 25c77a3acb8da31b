# Lost replies of power acts are looked after and no act is sent twice (design.md 6.1)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
faults: |
  faults:
    - {on: POWER /secondary/off, fault: reply_lost}
    - {on: POWER /primary/restart, fault: reply_lost}
    - {on: POWER /secondary/on, fault: reply_lost}
run
