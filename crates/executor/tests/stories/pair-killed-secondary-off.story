# The program dies while the secondary is off: the next one takes up the debt with its procedure, sends nothing twice and pays it only when its condition holds (semantics.md Debts; design.md 6.1)
fleet: |
  appliances:
    - name: a
      address: a.example
      upgrade_call: arms
      reboot: $bmc(a-a)
      ha: {mode: automatic, peer_sync: 10m, secondary_power: $bmc(a-b)}
when a SECONDARY OFF +20s: kill for 30m
when a restarts +1m: kill for 20m
run
